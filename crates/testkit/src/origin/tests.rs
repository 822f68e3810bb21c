use super::*;
use crate::client::{self, Client, Ending};
use crate::content::{Content, content};

#[tokio::test]
async fn an_object_is_a_decent_static_file() {
    let origin = Origin::start().await;
    origin.route("/f", Script::object("0123456789"));
    let whole = client::get(origin.address(), "/f?x=1").await.expect_body(200, "0123456789");
    let etag = whole.header("etag").expect("an ETag").to_owned();
    let cases: &[(client::Field<'_>, u16, &str)] = &[
        (("Range", "bytes=2-4"), 206, "234"),
        (("Range", "bytes=-3"), 206, "789"),
        (("Range", "bytes=8-99"), 206, "89"),
        (("Range", "bytes=10-"), 416, ""),
        (("If-None-Match", &etag), 304, ""),
        (("If-None-Match", "\"other\""), 200, "0123456789"),
    ];
    for (field, status, body) in cases {
        client::get_with(origin.address(), "/f", &[*field]).await.expect_body(*status, body);
    }
    let stale = [("Range", "bytes=2-4"), ("If-Range", "\"other\"")];
    client::get_with(origin.address(), "/f", &stale).await.expect_body(200, "0123456789");
    client::head(origin.address(), "/f").await.expect_body(200, "");
    assert_eq!(client::get(origin.address(), "/g").await.status, 404);
    assert_eq!(origin.requests_for("/f").len(), 9);
    assert_eq!(origin.requests()[1].header("range"), Some("bytes=2-4"));
}

#[tokio::test]
async fn big_bodies_are_generated() {
    let origin = Origin::start().await;
    origin.route("/big", Script::generated(5, 3_000_000).framing(Framing::Chunked));
    let whole = client::get(origin.address(), "/big").await.expect_body(200, content(5, 3_000_000));
    assert_eq!(whole.content_length(), None);
    let part =
        client::get_with(origin.address(), "/big", &[("Range", "bytes=1048570-1048579")]).await.expect(206);
    Content::new(5).assert_matches(1_048_570, &part.body);
}

#[tokio::test]
async fn lies_are_told_as_scripted() {
    let origin = Origin::start().await;
    let object = || Script::object("0123456789");
    origin.route("/shifted", object().ranges(Ranges::Shifted(1)));
    origin.route("/total", object().ranges(Ranges::Total(99)));
    origin.route("/unknown", object().ranges(Ranges::UnknownTotal));
    origin.route("/ignored", object().ranges(Ranges::Ignored));
    origin.route("/cut", object().cut_at(4, End::Close));
    origin.route("/reset", object().cut_at(4, End::Reset));
    origin.route("/long", object().declares(12).cut_at(10, End::Close));
    let range = [("Range", "bytes=2-4")];
    let content_range = async |path| {
        let answer = client::get_with(origin.address(), path, &range).await;
        (answer.status, answer.header("content-range").map(str::to_owned), answer.text())
    };
    assert_eq!(content_range("/shifted").await, (206, Some("bytes 3-4/10".into()), "34".into()));
    assert_eq!(content_range("/total").await, (206, Some("bytes 2-4/99".into()), "234".into()));
    assert_eq!(content_range("/unknown").await, (206, Some("bytes 2-4/*".into()), "234".into()));
    assert_eq!(content_range("/ignored").await, (200, None, "0123456789".into()));
    let ending = async |path| client::get(origin.address(), path).await.ending;
    assert_eq!(ending("/cut").await, Ending::Cut);
    assert_eq!(ending("/reset").await, Ending::Reset);
    assert_eq!(ending("/long").await, Ending::Cut);
}

#[tokio::test]
async fn gates_hold_bytes_back_and_scripts_follow_one_another() {
    let origin = Origin::start().await;
    let gate = Gate::new();
    origin.route_each(
        "/f",
        vec![Script::object("0123456789").pause_at(4, &gate).into(), Script::answer("410 Gone", "x")],
    );
    let mut client = Client::connect(origin.address()).await;
    client.start("GET", "/f", &[]).await;
    let head = client.head("GET").await;
    assert_eq!(client.some_body(4).await, b"0123");
    gate.reached(1).await;
    gate.open();
    assert_eq!((client.some_body(6).await.as_slice(), head.status), (b"456789".as_slice(), 200));
    origin.request_seen_for("/f", 1).await;
    assert_eq!(client.request("GET", "/f", &[]).await.status, 410);
}

#[tokio::test]
async fn a_stopped_origin_refuses() {
    let origin = Origin::start().await;
    origin.route("/never", Script::silence());
    let mut client = Client::connect(origin.address()).await;
    client.start("GET", "/never", &[]).await;
    origin.request_seen(1).await;
    let address = origin.stop().await;
    assert!(client.is_closed().await);
    assert!(TcpStream::connect(address).await.is_err());
}
