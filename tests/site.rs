//! Sites: configured origins by path, by host, and on listeners of their own, as their users and enemies see them.

use scenarios::{impatient, outcome, settled};
use testkit::client::{self, Client};
use testkit::node::{Builder, Node};
use testkit::origin::{Origin, Script, Step};

/// A site `docs` in front of the origin, below its `/base`.
fn with_site(origin: &Origin, more: &str) -> Builder {
    let toml = format!("[[site]]\nname = \"docs\"\norigin = \"{}\"\n{more}", origin.url("/base/"));
    impatient().config(&toml)
}

fn fresh(body: &str) -> Script {
    Script::answer("200 OK\r\nCache-Control: max-age=60\r\nETag: \"v1\"", body)
}

#[tokio::test]
async fn a_site_is_one_object_by_path_host_and_listener() {
    let origin = Origin::start().await;
    origin.route("/base/a", fresh("abc"));
    let node = with_site(&origin, "hosts = [\"docs.example\"]\nlisten = [\"127.0.0.1:0\"]\n").start().await;
    let first = node.get("/r/docs/a").await.expect_body(200, "abc");
    assert_eq!(outcome(&first), "MISS");
    settled(&node).await;
    let by_host = node.request("GET", "/a", &[("Host", "docs.example")]).await.expect_body(200, "abc");
    assert_eq!(outcome(&by_host), "HIT");
    let line = node.stdout().lines().find(|line| line.contains("for the site docs")).map(str::to_owned);
    let address = line.as_deref().and_then(|line| line.rsplit('/').next()).expect("it says where");
    let own = client::get(address.parse().expect("an address"), "/a").await.expect_body(200, "abc");
    assert_eq!(outcome(&own), "HIT");
    // A listener of a site is a site and nothing else.
    let address: std::net::SocketAddr =
        line.as_deref().and_then(|line| line.rsplit('/').next()?.parse().ok()).expect("an address");
    client::raw(
        address,
        "CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\nConnection: close\r\n\r\n",
    )
    .await
    .expect_refusal(&[405]);
    client::get(address, "/metrics").await.expect(404);
    assert_eq!(origin.requests_for("/base/a").len(), 1);
    node.assert_alive().await;
}

#[tokio::test]
async fn flags_make_a_site_and_its_listener() {
    let origin = Origin::start().await;
    origin.route("/a", fresh("abc"));
    let site = format!("docs={}", origin.url("/"));
    let node = impatient().args(["--site", &site, "--site-listen", "docs=127.0.0.1:0"]).start().await;
    node.get("/r/docs/a").await.expect_body(200, "abc");
    assert!(node.stdout().contains("standpipe listening for the site docs on http://127.0.0.1:"));
}

// RFC 9110 section 9.3: every method passes, its content whole, and nothing of it is kept.
#[tokio::test]
async fn all_methods_pass_with_their_content() {
    let origin = Origin::start().await;
    origin.route(
        "/base/form",
        Script::answer("201 Created\r\nLocation: /x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2", "made"),
    );
    let node = with_site(&origin, "").start().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let mut client = node.client().await;
        client.start(method, "/r/docs/form", &[("Content-Length", "7"), ("Cookie", "c=1")]).await;
        client.send("content").await;
        let answer = client.response(method).await.expect_body(201, "made");
        assert_eq!(answer.header("location"), Some("/x"));
        let cookies: Vec<_> =
            answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).collect();
        assert_eq!(cookies.len(), 2, "{answer:?}");
        let seen = origin.requests_for("/base/form").pop().expect("it came");
        assert_eq!((&*seen.method, &*seen.body), (method, b"content".as_slice()));
        assert_eq!(seen.header("cookie"), Some("c=1"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert!(seen.header("via").is_some_and(|via| via.starts_with("1.1 ")));
    }
    assert_eq!(origin.requests_for("/base/form").len(), 5);
}

// 4c 18, 19
#[tokio::test]
async fn paths_reach_the_origin_as_they_are_and_never_lead_above_the_site() {
    let origin = Origin::start().await;
    for path in ["/base/x%2fy", "/base//a", "/base/"] {
        origin.route(path, fresh("abc"));
    }
    let node = with_site(&origin, "").start().await;
    for (target, path) in
        [("/r/docs/x%2fy?q=%41;b", "/base/x%2fy?q=%41;b"), ("/r/docs//a", "/base//a"), ("/r/docs", "/base/")]
    {
        node.get(target).await.expect_body(200, "abc");
        assert_eq!(origin.requests().pop().expect("it came").path_and_query(), path);
    }
    let before = origin.requests().len();
    for target in
        ["/r/docs/../secret", "/r/docs/%2e%2e/secret", "/r/docs/..\\secret", "/r/docs/a/../../secret"]
    {
        node.get(target).await.expect_refusal(&[400]);
    }
    node.get("/r/other/a").await.expect_refusal(&[404]);
    assert_eq!(origin.requests().len(), before);
}

#[tokio::test]
async fn the_first_rule_that_fits_is_taken_and_cases_look_at_the_answer() {
    let origin = Origin::start().await;
    origin.route("/base/img/a", Script::answer("200 OK\r\nETag: \"v\"", "abc"));
    origin.route("/base/live", fresh("now"));
    origin.route("/base/img/none", Script::answer("404 Not Found", "no"));
    let rules = "[[rule]]\nsite = \"docs\"\npath = \"/base/img/**\"\ndefault-ttl = \"1h\"\nignore-query = [\"utm_*\"]\n\
                 [[rule.case]]\nstatus = \"404\"\nerror-ttl = [\"404=1h\"]\n[[rule]]\npath = \"/base/live\"\nbypass = true\n";
    let node = with_site(&origin, rules).start().await;
    for (target, count) in
        [("/r/docs/img/a?utm_source=1", 1), ("/r/docs/img/a?utm_source=2", 1), ("/r/docs/img/a?b", 2)]
    {
        node.get(target).await.expect_body(200, "abc");
        settled(&node).await;
        assert_eq!(origin.requests_for("/base/img/a").len(), count, "{target}");
    }
    for _ in 0..2 {
        node.get("/r/docs/img/none").await.expect_body(404, "no");
        settled(&node).await;
        node.get("/r/docs/live").await.expect_body(200, "now");
    }
    assert_eq!(origin.requests_for("/base/img/none").len(), 1);
    assert_eq!(origin.requests_for("/base/live").len(), 2);
}

#[tokio::test]
async fn a_kept_host_reaches_the_origin_and_keeps_answers_apart() {
    let origin = Origin::start().await;
    origin.route_with("/base/a", |request, _| fresh(request.header("host").unwrap_or_default()));
    let node = with_site(&origin, "hosts = [\"*.example\"]\nhost = \"keep\"\n").start().await;
    for host in ["a.example", "b.example", "A.example"] {
        let answer = node.request("GET", "/a", &[("Host", host)]).await;
        answer.expect_body(200, host.to_lowercase());
        settled(&node).await;
    }
    assert_eq!(origin.requests_for("/base/a").len(), 2);
}

#[tokio::test]
async fn the_next_origin_is_asked_when_the_first_cannot_be_reached() {
    let origin = Origin::start().await;
    origin.route("/a", fresh("abc"));
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let toml =
        format!("[[site]]\nname = \"docs\"\norigin = [\"http://{free}/x\", \"{}\"]\n", origin.url("/"));
    let node = impatient().config(&toml).start().await;
    node.get("/r/docs/a").await.expect_body(200, "abc");
}

// RFC 8297
#[tokio::test]
async fn an_early_hint_of_the_origin_comes_before_its_answer() {
    let origin = Origin::start().await;
    let gate = testkit::origin::Gate::new();
    let hint = Script::raw("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        .then(Step::Wait(gate.clone()))
        .then(Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".into()));
    origin.route("/base/page", hint);
    let node = with_site(&origin, "").start().await;
    let stream = tokio::net::TcpStream::connect(node.address()).await.expect("connects");
    let mut stream = tokio::io::BufStream::new(stream);
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    stream
        .write_all(b"GET /r/docs/page HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await
        .expect("sent");
    stream.flush().await.expect("sent");
    let mut lines = String::new();
    testkit::guarded("the hint", async {
        while !lines.ends_with("\r\n\r\n") {
            stream.read_line(&mut lines).await.expect("a line");
        }
    })
    .await;
    assert!(
        lines.starts_with("HTTP/1.1 103 Early Hints\r\n") && lines.contains("</a.css>; rel=preload"),
        "{lines}"
    );
    gate.open();
    let mut rest = String::new();
    testkit::guarded("the answer", stream.read_to_string(&mut rest)).await.expect("text");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("\r\n\r\nabc"), "{rest}");
}

// 4c 31 in the other direction: content that breaks off never ends well at the origin.
#[tokio::test]
async fn content_that_breaks_off_is_no_request() {
    let origin = Origin::start().await;
    origin.route("/base/form", Script::answer("200 OK", "taken"));
    let node = with_site(&origin, "").start().await;
    let mut client = Client::connect(node.address()).await;
    client.start("POST", "/r/docs/form", &[("Content-Length", "1000")]).await;
    client.send("too little").await;
    client.finish().await;
    let _ = client.response("POST").await;
    assert!(origin.requests_for("/base/form").is_empty(), "a part was taken for the whole");
    node.assert_alive().await;
}

#[tokio::test]
async fn a_changed_file_is_taken_on_sighup_and_by_the_api_and_a_bad_one_is_not() {
    let origin = Origin::start().await;
    origin.route("/base/a", fresh("abc"));
    let node = with_site(&origin, "").start().await;
    let file = node.directory().join("standpipe.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("written");
    node.get("/r/new/a").await.expect_refusal(&[404]);
    let good = format!("[[site]]\nname = \"new\"\norigin = \"{}\"\n", origin.url("/base"));
    write(&good);
    hang_up(&node);
    let log = node.logged(&["configuration read again"]).await;
    assert!(log.contains("new") && log.contains("docs"), "{log}");
    node.get("/r/new/a").await.expect_body(200, "abc");
    node.get("/r/docs/a").await.expect_refusal(&[404]);
    write("[[site]]\nname = \"bad\"\n");
    let refused = node.request("POST", "/api/v1/reload", &[]).await.expect_refusal(&[422]);
    assert!(refused.text().contains("needs `origin`"), "{}", refused.text());
    node.get("/r/new/a").await.expect_body(200, "abc");
    write(&format!("{good}[access]\nrules = [\"deny any door=site\", \"allow loopback\"]\n"));
    let done = node.request("POST", "/api/v1/reload", &[]).await.expect(200);
    assert!(done.text().contains("access.rules"), "{}", done.text());
    node.get("/r/new/a").await.expect_refusal(&[403]);
}

fn hang_up(node: &Node) {
    let pid = i32::try_from(node.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("the process runs");
}
