use super::*;
use crate::origin::{Origin, Script, Step};

async fn answer_of(script: Script) -> Response {
    let origin = Origin::start().await;
    origin.route("/", script);
    get(origin.address(), "/").await
}

#[tokio::test]
async fn tells_whole_from_broken() {
    let whole = answer_of(Script::answer("200 OK", "abc")).await;
    assert_eq!((whole.ending, whole.text().as_str()), (Ending::Complete, "abc"));
    assert_eq!(answer_of(Script::lying_length("5", "abc")).await.ending, Ending::Cut);
    assert_eq!(answer_of(Script::until_close("abc")).await.ending, Ending::WithConnection);
    assert_eq!(answer_of(Script::chunked_raw("3\r\nabc\r\n0\r\n\r\n")).await.ending, Ending::Complete);
    assert_eq!(answer_of(Script::chunked_raw("3\r\nabc\r\n")).await.ending, Ending::Cut);
    let reset = Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").then(Step::Reset);
    assert_eq!(answer_of(reset).await.ending, Ending::Reset);
    let none = answer_of(Script::reset()).await;
    assert_eq!((none.status, none.ending), (0, Ending::Reset));
}

#[tokio::test]
async fn skips_interim_answers_and_pipelines() {
    let origin = Origin::start().await;
    origin.route(
        "/a",
        Script::raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
    );
    origin.route("/b", Script::object("second"));
    let mut client = Client::connect(origin.address()).await;
    client.start("GET", "/a", &[]).await;
    client.start("GET", "/b", &[]).await;
    client.start("HEAD", "/b", &[]).await;
    assert_eq!(client.response("GET").await.status, 204);
    client.response("GET").await.expect_body(200, "second");
    let head = client.response("HEAD").await.expect_body(200, "");
    assert_eq!(head.content_length(), Some(6));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
#[should_panic(expected = "length and chunked together")]
async fn two_framings_are_a_violation() {
    answer_of(Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"))
        .await;
}

#[tokio::test]
#[should_panic(expected = "bare LF")]
async fn a_bare_line_feed_is_a_violation() {
    answer_of(Script::raw("HTTP/1.1 200 OK\nContent-Length: 0\n\n")).await;
}

#[tokio::test]
#[should_panic(expected = "chunk longer than its size")]
async fn a_wrong_chunk_size_is_a_violation() {
    answer_of(Script::chunked_raw("2\r\nabc\r\n0\r\n\r\n")).await;
}
