//! Requests that want to reach where they must not. Every server here has the default guard unless a test opens it.

use scenarios::impatient;
use testkit::client;
use testkit::node::{Node, fetch_target};
use testkit::origin::{Origin, Script};

/// A guarded server and an origin on loopback that must never be reached.
async fn guarded() -> (Origin, Node) {
    let origin = Origin::start().await;
    origin.route("/", Script::object("secret"));
    (origin, impatient().guarded().args(["--origin-resolver", "system"]).start().await)
}

/// Panics unless every URL is refused as forbidden and nobody has reached the origin.
async fn all_forbidden(origin: &Origin, node: &Node, urls: &[String]) {
    for url in urls {
        let answer = node.fetch(url).await;
        assert!([400, 403].contains(&answer.status), "{url}: {} {}", answer.status, answer.text());
        answer.expect_refusal(&[400, 403]);
        node.get(&format!("/{url}")).await.expect_refusal(&[400, 403, 404]);
    }
    assert_eq!(origin.connections(), 0, "somebody got through");
    node.assert_alive().await;
}

// 44: loopback in every spelling.
#[tokio::test]
async fn loopback_is_refused_in_every_spelling() {
    let (origin, node) = guarded().await;
    let port = origin.address().port();
    let urls: Vec<String> = [
        "127.0.0.1",
        "127.0.0.2",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0x7F.0x0.0x0.0x1",
        "127.000.000.001",
        "0",
        "0.0.0.0",
        "127.255.255.254",
        "%31%32%37.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "localhost",
        "LOCALHOST",
        "user:pass@127.0.0.1",
        "example.com@127.0.0.1",
    ]
    .iter()
    .map(|host| format!("http://{host}:{port}/"))
    .collect();
    all_forbidden(&origin, &node, &urls).await;
}

// 45: IPv6 loopback, mapped and embedded forms, zone ids.
#[tokio::test]
async fn embedded_addresses_are_seen_through() {
    let (origin, node) = guarded().await;
    let port = origin.address().port();
    let urls: Vec<String> = [
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[2001:0:7f00:1::]",
        "[fec0::1]",
        "[100::1]",
        "[::ffff:0:127.0.0.1]",
    ]
    .iter()
    .map(|host| format!("http://{host}:{port}/"))
    .collect();
    all_forbidden(&origin, &node, &urls).await;
}

// 46: metadata services.
#[tokio::test]
async fn metadata_and_private_addresses_are_refused() {
    let (origin, node) = guarded().await;
    let urls: Vec<String> = [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
    ]
    .iter()
    .map(|host| format!("http://{host}/latest/meta-data/"))
    .collect();
    all_forbidden(&origin, &node, &urls).await;
    // By name, before anybody is asked for its address.
    for name in ["metadata.google.internal", "METADATA.GOOGLE.INTERNAL", "metadata.google.internal."] {
        node.fetch(&format!("http://{name}/computeMetadata/v1/")).await.expect_refusal(&[403]);
    }
}

// 49: other schemes.
#[tokio::test]
async fn other_schemes_are_refused() {
    let (origin, node) = guarded().await;
    let port = origin.address().port();
    for url in [
        "file:///etc/passwd".to_owned(),
        format!("ftp://127.0.0.1:{port}/"),
        format!("gopher://127.0.0.1:{port}/_GET"),
        "data:text/plain,abc".to_owned(),
        "dict://127.0.0.1:11211/".to_owned(),
        "unix:/run/docker.sock".to_owned(),
        "http+unix://%2Frun%2Fdocker.sock/".to_owned(),
        "blob:http://a/".to_owned(),
        "ws://127.0.0.1/".to_owned(),
        "jar:http://a!/".to_owned(),
    ] {
        node.fetch(&url).await.expect_refusal(&[400]);
    }
    assert_eq!(origin.connections(), 0);
    node.assert_alive().await;
}

// 50: ports of other protocols, CR and LF in the host.
#[tokio::test]
async fn hosts_cannot_carry_another_request() {
    let origin = Origin::start().await;
    origin.route_with("/", |request, _| Script::object(format!("{:?}", request.headers)).into());
    let node = impatient().start().await;
    let address = origin.address();
    for url in [
        format!("http://{address}%0d%0aX-Evil:%201/"),
        format!("http://{address}%0D%0A%0D%0AGET%20/evil/"),
        format!("http://127.0.0.1%0d%0a:{}/", address.port()),
        format!("http://{address}%20evil/"),
        format!("http://{address}\r\nX-Evil: 1/"),
        format!("http://{address}%2f@evil/"),
    ] {
        let answer = node.fetch(&url).await;
        assert!([200, 400, 404, 502].contains(&answer.status), "{url}: {}", answer.status);
    }
    for path in ["/%0d%0aX-Evil:%201", "/\r\nX-Evil: 1", "/?a=\r\n\r\nGET /evil HTTP/1.1"] {
        node.fetch(&origin.url(path)).await;
    }
    for request in origin.requests() {
        assert!(request.header("x-evil").is_none() && !request.path().starts_with("/evil"), "{request:?}");
        assert_eq!(request.method, "GET");
    }
    // Ports where nobody speaks HTTP are refused even on hosts that are allowed.
    for port in [22, 25, 6379] {
        node.fetch(&format!("http://127.0.0.1:{port}/")).await.expect_refusal(&[403]);
    }
    node.assert_alive().await;
}

// 38 and 48: a redirect from an allowed origin to a forbidden one, and to ourselves.
#[tokio::test]
async fn a_redirect_to_a_forbidden_address_is_not_followed() {
    let origin = Origin::start().await;
    let hidden = Origin::start_on("127.0.0.2".parse().expect("an address")).await;
    hidden.route("/", Script::object("secret"));
    let node = impatient().guarded().args(["--allow-origin", "127.0.0.1/32"]).start().await;
    origin.route("/fine", Script::object("abc"));
    node.fetch(&origin.url("/fine")).await.expect_body(200, "abc");
    let port = hidden.address().port();
    for (index, location) in [
        hidden.url("/"),
        format!("http://127.2:{port}/"),
        format!("//0x7f000002:{port}/"),
        format!("http://[::ffff:127.0.0.2]:{port}/"),
        "http://169.254.169.254/latest/".to_owned(),
        "http://[::1]/".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{index}");
        origin.route(&path, Script::redirect(302, &location));
        let answer = node.fetch(&origin.url(&path)).await.expect_refusal(&[403, 502]);
        assert!(!answer.text().contains("secret"));
    }
    assert_eq!(hidden.connections(), 0);
    node.assert_alive().await;
}

// 47: the address that was checked is the one that is used. A name that leads to both a forbidden and an allowed
// address (as a rebinding name does in turn) reaches the allowed one only.
#[tokio::test]
async fn a_name_is_pinned_to_its_checked_address() {
    let origin = Origin::start().await;
    origin.route("/", Script::object("secret"));
    let node = impatient()
        .guarded()
        .args(["--origin-resolver", "system", "--allow-origin", "::1/128"])
        .start()
        .await;
    let answer = node.fetch(&format!("http://localhost:{}/", origin.address().port())).await;
    assert!([403, 502].contains(&answer.status), "{answer:?}");
    assert_eq!(origin.connections(), 0);
    node.assert_alive().await;
}

#[tokio::test]
async fn what_the_operator_opens_is_open_and_no_more() {
    let origin = Origin::start().await;
    let beside = Origin::start_on("127.0.0.2".parse().expect("an address")).await;
    for one in [&origin, &beside] {
        one.route("/", Script::object("abc"));
    }
    let node = impatient()
        .guarded()
        .args(["--allow-origin", "localhost", "--origin-resolver", "system"])
        .start()
        .await;
    node.fetch(&format!("http://localhost:{}/", origin.address().port())).await.expect_body(200, "abc");
    node.fetch(&beside.url("/")).await.expect_refusal(&[403]);
    assert_eq!(beside.connections(), 0);
}

#[tokio::test]
async fn a_forbidden_fetch_names_the_setting_that_opens_it() {
    let (origin, node) = guarded().await;
    let answer = node.fetch(&origin.url("/")).await.expect_refusal(&[403]);
    assert!(answer.text().contains("allow"), "{}", answer.text());
}

// 51: a loop through our own address, directly and by redirect.
#[tokio::test]
async fn a_loop_through_ourselves_is_508() {
    let origin = Origin::start().await;
    let node = impatient().start().await;
    let inner = format!("{}{}", node.url(), fetch_target(&origin.url("/f"), ""));
    origin.route("/f", Script::redirect(302, &inner));
    let answer = node.fetch(&origin.url("/f")).await;
    assert!([502, 508].contains(&answer.status), "{answer:?}");
    let own = node.fetch(&format!("{}/api/v1/fetch?url={}/f", node.url(), node.url())).await;
    assert_eq!(own.status, 508, "{own:?}");
    assert!(origin.requests().len() < 30);
    node.assert_alive().await;
}

#[tokio::test]
async fn a_request_that_has_been_here_before_is_508() {
    let (origin, node) =
        (Origin::start().await, Node::builder().args(["--server-name", "riser"]).start().await);
    origin.route("/f", Script::object("abc"));
    let target = fetch_target(&origin.url("/f"), "");
    client::get_with(node.address(), &target, &[("Via", "1.1 other, 1.1 riser")])
        .await
        .expect_refusal(&[508]);
    client::get_with(node.address(), &target, &[("Via", "1.1 other (riser)")]).await.expect_body(200, "abc");
    assert!(origin.requests()[0].header("via").is_some_and(|via| via.contains("riser")));
}

// 44, 48: what the configuration names is trusted; what a client names is not, not even over a connection that is
// kept for the site.
#[tokio::test]
async fn a_sites_origin_is_reached_for_the_site_alone() {
    let origin = Origin::start().await;
    origin.route("/private", Script::answer("200 OK\r\nCache-Control: no-store", "for the site"));
    let site = format!("app={}", origin.url("/"));
    let node = impatient().guarded().args(["--site", &site]).start().await;
    node.get("/r/app/private").await.expect_body(200, "for the site");
    node.fetch(&origin.url("/private")).await.expect_refusal(&[403]);
    node.get("/r/app/private").await.expect_body(200, "for the site");
    node.fetch(&origin.url("/private")).await.expect_refusal(&[403]);
    assert_eq!(origin.requests_for("/private").len(), 2);
}
