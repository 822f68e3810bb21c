//! Everything at once: clients that read whole objects, parts and heads, leave in the middle or delete, while the origin
//! pauses, breaks, refuses and lies. Whatever happens, a complete answer is exact. The seed is printed with a failure;
//! `STANDPIPE_TEST_SEED` repeats it.

use std::sync::Arc;

use scenarios::{impatient, settled};
use testkit::client::{Client, Ending, Response};
use testkit::content::Content;
use testkit::node::{Node, fetch_target};
use testkit::origin::{End, Framing, Origin, Ranges, Script};

const PATHS: u64 = 12;
const CLIENTS: usize = 24;
const TURNS: usize = 20;

/// Length of the object behind a path: from nothing to a few megabytes, around the sizes where bytes are put together.
fn length(path: u64) -> u64 {
    [0, 1, 4095, 65_536, 65_537, 262_144, 262_145, 300_001, 1 << 20, (1 << 20) + 1, 2_500_000, 4_194_305]
        [path as usize]
}

/// One way for the origin to answer; honest half of the time.
fn mood(random: &mut fastrand::Rng, path: u64) -> Script {
    let len = length(path);
    let object = Script::generated(path, len);
    let object = match random.u8(..6) {
        0 => object.framing(Framing::Chunked),
        1 => object.without_validators(),
        2 => object.etag("W/\"weak\""),
        _ => object,
    };
    let at = random.u64(..len + 1);
    match random.u8(..12) {
        0 => object.cut_at(at, End::Close).into(),
        1 => object.cut_at(at, End::Reset).into(),
        2 => object.cut_at(at, End::Close).ranges(Ranges::Shifted(1)).into(),
        3 => object.cut_at(at, End::Reset).ranges(Ranges::Ignored).into(),
        4 => Script::answer("503 Busy\r\nRetry-After: 0", "busy"),
        5 => Script::reset(),
        _ => object.into(),
    }
}

/// What a client does next.
enum Turn {
    Whole,
    Part(String, std::ops::Range<u64>),
    Head,
    Leave(u64),
    Delete,
    Insist,
}

fn turn(random: &mut fastrand::Rng, len: u64) -> Turn {
    match random.u8(..10) {
        0..4 => Turn::Whole,
        4..7 if len > 0 => part(random, len),
        7 => Turn::Leave(random.u64(..len + 1)),
        8 => Turn::Head,
        9 if random.bool() => Turn::Delete,
        _ => Turn::Insist,
    }
}

fn part(random: &mut fastrand::Rng, len: u64) -> Turn {
    let first = random.u64(..len);
    let last = random.u64(first..len);
    match random.u8(..3) {
        0 => Turn::Part(format!("bytes={first}-"), first..len),
        1 => Turn::Part(format!("bytes=-{}", len - first), first..len),
        _ => Turn::Part(format!("bytes={first}-{last}"), first..last + 1),
    }
}

/// One client: a connection as long as it lasts, then another.
async fn client(node: Arc<Node>, base: String, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut connection = node.client().await;
    for _ in 0..TURNS {
        let path = random.u64(..PATHS);
        let target = fetch_target(&format!("{base}/{path}"), "");
        let has_broken = match turn(&mut random, length(path)) {
            Turn::Whole => checked(&mut connection, &target, &[], path, 0..length(path)).await,
            Turn::Insist => {
                let target = format!("{target}&revalidate=always");
                checked(&mut connection, &target, &[], path, 0..length(path)).await
            }
            Turn::Part(field, span) => {
                checked(&mut connection, &target, &[("Range", &field)], path, span).await
            }
            Turn::Head => {
                let head = connection.request("HEAD", &target, &[]).await;
                let declared = head.content_length();
                assert!(head.status != 200 || declared.is_none_or(|n| n == length(path)), "{head:?}");
                assert!(!head.is_broken(), "{head:?}");
                false
            }
            Turn::Leave(_) if length(path) == 0 => false,
            Turn::Leave(at) => {
                connection.start("GET", &target, &[]).await;
                leave(&mut connection, at).await;
                true
            }
            Turn::Delete => {
                let target = target.replace("/fetch?", "/delete?");
                let answer = connection.request("POST", &target, &[("Content-Length", "0")]).await;
                assert!([200, 404].contains(&answer.status), "{answer:?}");
                false
            }
        };
        if has_broken {
            connection = node.client().await;
        }
    }
}

/// Goes away after the head: with a reset or without.
async fn leave(connection: &mut Client, at: u64) {
    connection.head("GET").await;
    if at.is_multiple_of(2) {
        connection.stream().set_zero_linger().expect("a socket option");
    }
}

/// Asks, and checks every byte of the answer as it comes. Tells whether the connection has broken.
async fn checked(
    connection: &mut Client,
    target: &str,
    fields: &[(&str, &str)],
    path: u64,
    span: std::ops::Range<u64>,
) -> bool {
    connection.start("GET", target, fields).await;
    let head = connection.head("GET").await;
    let span = match head.status {
        200 => 0..length(path),
        206 => span,
        // A transfer that fails in the moment of its answer takes the head with it.
        0 => return true,
        _ => {
            let ending = connection.body(&head, |_| {}).await;
            let honest = [416, 502, 503, 504].contains(&head.status) && ending == Ending::Complete;
            assert!(honest, "{target} {fields:?}: {head:?} ended {ending:?}");
            return head.header("connection") == Some("close");
        }
    };
    assert_eq!(head.status == 206, head.header("content-range").is_some(), "{head:?}");
    let (content, mut at) = (Content::new(path), span.start);
    let ending = connection
        .body(&head, |bytes| {
            content.assert_matches(at, bytes);
            at += bytes.len() as u64;
        })
        .await;
    assert!(at <= span.end, "{} bytes too many: {head:?}", at - span.end);
    assert!(ending != Ending::WithConnection, "nobody can tell whether this is all: {head:?}");
    assert!(
        ending != Ending::Complete || at == span.end,
        "a clean end {} bytes early: {head:?}",
        span.end - at
    );
    ending != Ending::Complete || head.header("connection") == Some("close")
}

async fn chaos(seed: u64) {
    eprintln!("STANDPIPE_TEST_SEED={seed}");
    let origin = Origin::start().await;
    let node =
        Arc::new(impatient().args(["--store-memory", "1MiB", "--store-open-files", "16"]).start().await);
    for path in 0..PATHS {
        origin.route_with(&format!("/{path}"), move |_, before| {
            let mut random = fastrand::Rng::with_seed(seed ^ (path << 32) ^ before as u64);
            mood(&mut random, path)
        });
    }
    let base = origin.url("");
    let mut clients = tokio::task::JoinSet::new();
    for index in 0..CLIENTS {
        clients.spawn(client(Arc::clone(&node), base.clone(), seed ^ (index as u64) << 16));
    }
    clients.join_all().await;
    settled(&node).await;
    for path in 0..PATHS {
        origin.route(&format!("/{path}"), Script::generated(path, length(path)));
        let answer: Response = node.fetch(&format!("{base}/{path}")).await.expect(200);
        assert_eq!(answer.body.len() as u64, length(path), "/{path}");
        Content::new(path).assert_matches(0, &answer.body);
    }
    node.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_a_complete_answer_is_exact() {
    match std::env::var("STANDPIPE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => chaos(seed).await,
        None => {
            for seed in 1..=3 {
                chaos(seed).await;
            }
        }
    }
}
