//! Requests that are passed on for a client.

use super::*;
use cache::{Interim, Manners};
use parking_lot::Mutex;
use testkit::origin::{Gate, Step};

/// A client's request.
pub(super) fn exchange(method: &str, url: &str) -> OriginRequest {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    OriginRequest { method, purpose: Purpose::Exchange(Manners::default()), ..request(url) }
}

fn with_fields(mut request: OriginRequest, fields: &[(&'static str, &'static str)]) -> OriginRequest {
    for (name, value) in fields {
        request.headers.append(*name, HeaderValue::from_static(value));
    }
    request
}

pub(super) fn hosted(mut request: OriginRequest, host: &str) -> OriginRequest {
    let host = Some(HeaderValue::from_str(host).expect("a host"));
    request.purpose = Purpose::Exchange(Manners { host, ..Manners::default() });
    request
}

fn lines(request: &testkit::origin::Request) -> Vec<String> {
    request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

#[tokio::test]
async fn fields_are_passed_in_order_and_nothing_is_added_but_via() {
    let origin = Origin::start().await;
    origin.route("/", ok("x"));
    let fields = [
        ("x-b", "1"),
        ("te", "trailers"),
        ("cookie", "a"),
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("host", "evil.example"),
        ("content-length", "5"),
        ("expect", "100-continue"),
        ("authorization", "old"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic a"),
        ("via", "1.0 other"),
    ];
    let bench = Bench::new();
    let mut request = with_fields(exchange("GET", &origin.url("/")), &fields);
    request.credentials.insert("authorization", HeaderValue::from_static("new"));
    bench.send(request.clone()).await.expect("an answer");
    let host = format!("host: {}", origin.address());
    let kept = [
        "x-b: 1",
        "cookie: a",
        "x-a: 1",
        "x-a: 2",
        "via: 1.0 other",
        "via: 1.1 standpipe",
        "authorization: new",
    ];
    assert_eq!(lines(&origin.requests()[0]), [&kept[..], &[&host]].concat());

    bench.send(hosted(request.clone(), "site.example:81")).await.expect("an answer");
    assert_eq!(lines(&origin.requests()[1]), [&["host: site.example:81"], &kept[..]].concat());
    bench.send(hosted(request, &origin.address().to_string())).await.expect("an answer");
    assert_eq!(lines(&origin.requests()[2]), lines(&origin.requests()[0]));
}

#[tokio::test]
async fn a_redirect_is_passed_as_it_is() {
    let origin = Origin::start().await;
    origin.route("/a", Script::redirect(301, "/b"));
    let bench = Bench::new();
    for method in ["GET", "HEAD", "POST"] {
        let answer = bench.send(exchange(method, &origin.url("/a"))).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.url.path()), (301, "/a"));
        assert_eq!(answer.headers["location"], "/b");
    }
    // The server's own request goes on, unless it has content.
    origin.route("/b", ok("there"));
    let own = || OriginRequest { purpose: Purpose::Object, ..exchange("GET", &origin.url("/a")) };
    assert_eq!(bench.send(own()).await.expect("an answer").status, 200);
    let answer = bench.pass(own(), Some(super::content::full("x"))).await.expect("an answer");
    assert_eq!(answer.status, 301);
}

#[tokio::test]
async fn an_answers_repeated_fields_keep_their_order() {
    let origin = Origin::start().await;
    let fields = "Set-Cookie: b=1\r\nConnection: x\r\nX: 1\r\nSet-Cookie: a=2; Path=/\r\nTrailer: t";
    origin.route("/", Script::answer(&format!("200 OK\r\n{fields}"), "x"));
    let answer = Bench::new().send(exchange("GET", &origin.url("/"))).await.expect("an answer");
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["b=1", "a=2; Path=/"]);
    assert!(["connection", "x", "trailer"].iter().all(|name| !answer.headers.contains_key(*name)));
}

// RFC 9110 section 8.6, RFC 9112 section 6.3
#[tokio::test]
async fn answers_without_content_have_none_whatever_their_length_says() {
    let origin = Origin::start().await;
    for (method, status) in [("HEAD", 200), ("HEAD", 404), ("GET", 304), ("GET", 204), ("DELETE", 204)] {
        let path = format!("/{method}/{status}");
        origin.route(&path, Script::raw(format!("HTTP/1.1 {status} So\r\nContent-Length: 5\r\n\r\n")));
        let bench = Bench::new();
        for _ in 0..2 {
            let answer = bench.send(exchange(method, &origin.url(&path))).await.expect("an answer");
            assert_eq!(answer.status, status);
            assert_eq!(answer.headers["content-length"], "5");
            assert_eq!(whole(answer.body).await.expect("no bytes"), "", "{path}");
        }
    }
    assert_eq!(origin.connections(), 5, "the second request finds the connection as it should be");
}

#[tokio::test]
async fn content_that_comes_with_such_an_answer_is_nobodys() {
    let origin = Origin::start().await;
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (method, status) in [("HEAD", 200), ("GET", 304), ("GET", 204)] {
        let head = format!("HTTP/1.1 {status} So\r\n\r\n{smuggled}");
        origin.route("/", Script::raw(head));
        origin.route("/next", ok("next"));
        let bench = Bench::new();
        let answer = bench.send(exchange(method, &origin.url("/"))).await.expect("an answer");
        assert_eq!(whole(answer.body).await.expect("no bytes"), "");
        assert_eq!(bench.get(&origin.url("/next")).await.expect("an answer").1, "next");
    }
}

// RFC 9110 section 15.2, RFC 8297
#[tokio::test]
async fn interim_answers_are_told_at_once_and_in_order() {
    let origin = Origin::start().await;
    let gates = [Gate::new(), Gate::new()];
    let script =
        Script::raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\nConnection: x\r\nX: 1\r\n\r\n")
            .then(Step::Wait(gates[0].clone()))
            .then(Step::Send(
                "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </c>\r\n\r\n".into(),
            ))
            .then(Step::Wait(gates[1].clone()))
            .then(Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into()));
    origin.route("/", script);

    let told = Arc::new(Mutex::new(Vec::new()));
    let count = tokio::sync::watch::Sender::new(0);
    let mut counted = count.subscribe();
    let interim: Interim = Arc::new({
        let told = Arc::clone(&told);
        move |status, headers| {
            let links =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")));
            told.lock().push((status.as_u16(), links.collect::<Vec<_>>()));
            count.send_modify(|count| *count += 1);
        }
    });
    let mut request = exchange("GET", &origin.url("/"));
    request.purpose = Purpose::Exchange(Manners { interim: Some(interim), ..Manners::default() });
    let bench = Bench::new();
    let (answer, ()) = tokio::join!(bench.send(request), async {
        for (gate, due) in gates.iter().zip([1, 3]) {
            guarded("an interim answer", counted.wait_for(|count| *count == due)).await.expect("told");
            gate.open();
        }
    });
    assert_eq!(whole(answer.expect("an answer").body).await.expect("bytes"), "ok");
    let expected = [
        (103, vec!["link: </a>".to_owned(), "link: </b>".to_owned()]),
        (102, vec![]),
        (103, vec!["link: </c>".to_owned()]),
    ];
    assert_eq!(*told.lock(), expected);
}

#[tokio::test]
async fn what_is_no_exchange_is_refused() {
    let origin = Origin::start().await;
    let bench = Bench::new();
    let error = bench.send(exchange("CONNECT", &origin.url("/"))).await.err().expect("a refusal");
    assert_eq!(error.kind, Kind::UrlInvalid);
    assert_eq!(origin.connections(), 0);
    origin.route(
        "/",
        Script::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    );
    let request =
        with_fields(exchange("GET", &origin.url("/")), &[("connection", "upgrade"), ("upgrade", "x")]);
    let error = bench.send(request).await.err().expect("a refusal");
    assert_eq!(error.kind, Kind::OriginBroken);
}
