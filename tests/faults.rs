//! The machine fails: descriptors, sockets, disk space, storms.

use scenarios::{assert_recovers, impatient, metric, outcome, size_of};
use testkit::client::{self, Client};
use testkit::content::content;
use testkit::node::{Node, fetch_target};
use testkit::origin::{Gate, Origin, Script};

// 43: a storm of connections that are reset at once.
#[tokio::test]
async fn a_storm_of_resets_is_weathered() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    origin.route("/f", Script::object("abc"));
    for n in 0..500 {
        let mut client = Client::connect(node.address()).await;
        if n % 2 == 0 {
            client.start("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
        }
        client.stream().set_zero_linger().expect("a socket option");
    }
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    node.assert_alive().await;
}

// 43: every descriptor is taken; the server answers those it has and recovers when some are free again.
#[tokio::test]
async fn exhausted_descriptors_are_survived() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    origin.route("/f", Script::object("abc"));
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    let mut known = node.client().await;
    known.request("GET", "/api/v1/health/", &[]).await.expect(200);
    limit_descriptors(node.pid(), 48);
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(Client::connect(node.address()).await);
    }
    // Those who are connected are served; the object is at hand or the refusal is honest.
    known.request("GET", "/api/v1/health/", &[]).await.expect(200);
    let hit = known.request("GET", &fetch_target(&origin.url("/f"), ""), &[]).await;
    scenarios::assert_honest(&hit, b"abc");
    let cold = known.request("GET", &fetch_target(&origin.url("/cold"), ""), &[]).await;
    assert!([404, 500, 502, 503, 504, 507].contains(&cold.status), "{cold:?}");
    drop(idle);
    limit_descriptors(node.pid(), 1024);
    assert_recovers(&node, &origin, "/cold", b"abc").await;
}

fn limit_descriptors(pid: u32, most: u64) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(pid as i32);
    let maximum = Some(1024);
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(most), maximum })
        .expect("a limit that may be lowered");
}

// 57, 60: what is still coming takes the room. Who finds none is told what fills the store, and what to do.
#[tokio::test]
async fn the_quota_is_never_exceeded_and_its_error_names_the_fix() {
    let (origin, gate) = (Origin::start().await, Gate::new());
    let node = Node::builder().args(["--store-quota", "1MiB", "--fetch-when-full", "refuse"]).start().await;
    let long = content(1, 900_000);
    origin.route("/long", Script::object(long.clone()).pause_at(500_000, &gate));
    origin.route("/other", Script::object(content(2, 400_000)));
    let mut client = node.client().await;
    client.start("GET", &fetch_target(&origin.url("/long"), ""), &[]).await;
    gate.reached(1).await;
    // What the origin has sent need not have come.
    while metric(&node, "standpipe_store_fills", &[]).await < 1.0 {}
    let refusal = node.fetch(&origin.url("/other")).await.expect_refusal(&[507]);
    for part in ["400000 bytes", "900000 of its 1048576 bytes", "1 objects", "raise `store.quota`"] {
        assert!(refusal.text().contains(part), "{part}: {}", refusal.text());
    }
    gate.open();
    client.response("GET").await.expect_body(200, &long);
    assert!(size_of(&node.directory().join("store/bodies")) <= 1 << 20);
    node.assert_alive().await;
}

#[tokio::test]
async fn an_object_of_unknown_length_that_outgrows_the_quota_is_no_clean_end() {
    let origin = Origin::start().await;
    let node = impatient().args(["--store-quota", "1MiB"]).start().await;
    let bytes = content(1, 3 << 20);
    origin.route("/f", Script::object(bytes.clone()).framing(testkit::origin::Framing::Chunked));
    let answer = node.fetch(&origin.url("/f")).await;
    if answer.status == 507 {
        answer.expect_refusal(&[507]);
    } else {
        scenarios::assert_honest(&answer, &bytes);
    }
    // The space is free again as soon as the last reader has let go.
    let freed = async { while metric(&node, "standpipe_store_used_bytes", &[]).await > 0.0 {} };
    testkit::guarded("the space of a failed fill to be free", freed).await;
    assert_recovers(&node, &origin, "/small", b"abc").await;
}

// 55 in small: the directory is moved away and emptied under a running server.
#[tokio::test]
async fn a_store_that_vanishes_is_not_the_end() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let bytes = content(1, 300_000);
    origin.route("/f", Script::object(bytes.clone()));
    node.fetch(&origin.url("/f")).await.expect_body(200, &bytes);
    scenarios::settled(&node).await;
    let store = node.directory().join("store");
    std::fs::rename(&store, node.directory().join("elsewhere")).expect("a directory of this test");
    std::fs::remove_dir_all(node.directory().join("elsewhere")).expect("a directory of this test");
    let answer = node.fetch(&origin.url("/f")).await;
    assert!(answer.body == bytes || answer.status >= 500 || answer.is_broken(), "{}", answer.status);
    origin.route("/g", Script::object(bytes.clone()));
    let answer = node.fetch(&origin.url("/g")).await;
    assert!(answer.body == bytes || answer.status >= 500 || answer.is_broken(), "{}", answer.status);
    node.assert_alive().await;
}

// 56: two processes on one directory.
#[tokio::test]
async fn a_second_server_on_the_same_store_is_refused_and_told_who_has_it() {
    let node = Node::start().await;
    let store = node.directory().join("store");
    let args: [std::ffi::OsString; 4] =
        ["--listen".into(), "127.0.0.1:0".into(), "--store-directory".into(), store.into()];
    let second = testkit::node::run(args).await;
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && text.contains(&node.pid().to_string()), "{text}");
    node.assert_alive().await;
}

#[tokio::test]
async fn a_taken_port_is_one_clear_sentence() {
    let node = Node::start().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let args: [std::ffi::OsString; 4] = [
        "--listen".into(),
        node.address().to_string().into(),
        "--store-directory".into(),
        directory.path().into(),
    ];
    let second = testkit::node::run(args).await;
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && text.contains(&node.address().to_string()), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

// 43: ten dead origins hold nobody else up.
#[tokio::test]
async fn dead_origins_hold_up_nobody_else() {
    let (origin, node) = (Origin::start().await, Node::start().await);
    let dead = Origin::start_on("127.0.0.3".parse().expect("an address")).await;
    let gate = Gate::new();
    origin.route("/f", Script::object("abc"));
    let mut waiting = Vec::new();
    for n in 0..60 {
        dead.route(&format!("/{n}"), Script::object("late").head_after(&gate));
        let mut client = node.client().await;
        client.start("GET", &fetch_target(&dead.url(&format!("/{n}")), ""), &[]).await;
        waiting.push(client);
    }
    gate.reached(32).await;
    node.fetch(&origin.url("/f")).await.expect_body(200, "abc");
    node.assert_alive().await;
    assert_eq!(dead.connections(), 32, "the limit for one host");
    gate.open();
    for client in &mut waiting {
        client.response("GET").await.expect_body(200, "late");
    }
}

#[tokio::test]
async fn more_requests_than_an_origin_may_have_waiting_are_refused_honestly() {
    let origin = Origin::start().await;
    let node = Node::builder()
        .args(["--origin-max-connections-per-host", "1", "--origin-queue-per-host", "1"])
        .args(["--fill-retry-for", "100ms", "--negative-other", "0s"])
        .start()
        .await;
    let gate = Gate::new();
    let mut waiting = Vec::new();
    for n in 0..10 {
        origin.route(&format!("/{n}"), Script::object("late").head_after(&gate));
        let mut client = node.client().await;
        client.start("GET", &fetch_target(&origin.url(&format!("/{n}")), ""), &[]).await;
        waiting.push(client);
    }
    gate.reached(1).await;
    let mut refused = 0;
    let mut served = 0;
    let mut answers = tokio::task::JoinSet::new();
    for mut client in waiting {
        answers.spawn(async move { client.response("GET").await });
    }
    while let Some(answer) = answers.join_next().await {
        let answer = answer.expect("no panic");
        if answer.status == 200 {
            served += 1;
        } else {
            answer.expect_refusal(&[502, 503, 504]);
            refused += 1;
        }
        if refused == 8 {
            gate.open();
        }
    }
    assert_eq!((served, refused), (2, 8));
    node.assert_alive().await;
}

// 43 and 12: more clients than allowed wait; nobody is lost.
#[tokio::test]
async fn more_clients_than_allowed_wait_for_their_turn() {
    let origin = Origin::start().await;
    let node = Node::builder().args(["--server-max-connections", "4"]).start().await;
    origin.route("/f", Script::object("abc"));
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = node.client().await;
        client.start("GET", &fetch_target(&origin.url("/f"), ""), &[("Connection", "close")]).await;
        clients.push(client);
    }
    for mut client in clients {
        client.response("GET").await.expect_body(200, "abc");
    }
    scenarios::settled(&node).await;
    assert_eq!(outcome(&client::get(node.address(), &fetch_target(&origin.url("/f"), "")).await), "HIT");
    node.assert_alive().await;
}

// 53 at this stage: the store of a server that was killed is no obstacle for the next one.
#[tokio::test]
async fn a_killed_servers_store_is_usable_at_once() {
    let origin = Origin::start().await;
    let bytes = content(1, 300_000);
    let gate = Gate::new();
    origin.route("/done", Script::object(bytes.clone()));
    origin.route_each(
        "/half",
        vec![
            Script::object(bytes.clone()).pause_at(150_000, &gate).into(),
            Script::object(bytes.clone()).into(),
        ],
    );
    let store = tempfile::tempdir().expect("a temporary directory");
    let start = async || impatient().arg("--store-directory").arg(store.path()).start().await;
    let mut first = start().await;
    first.fetch(&origin.url("/done")).await.expect_body(200, &bytes);
    let mut half = first.client().await;
    half.start("GET", &fetch_target(&origin.url("/half"), ""), &[]).await;
    gate.reached(1).await;
    first.kill().await;
    let second = start().await;
    for path in ["/done", "/half"] {
        second.fetch(&origin.url(path)).await.expect_body(200, &bytes);
    }
    second.assert_alive().await;
}
