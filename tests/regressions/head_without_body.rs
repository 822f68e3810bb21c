//! An origin that sent a head and then broke or stalled, before one byte of the body, gave the client a 200 with a
//! length and a broken connection, though nothing had been promised yet that could not be taken back.

use scenarios::{assert_recovers, impatient};
use testkit::content::content;
use testkit::node::fetch_target;
use testkit::origin::{Origin, Script, Step};

#[tokio::test]
async fn a_fill_that_breaks_before_its_first_byte_is_an_honest_refusal() {
    let (origin, node) = (Origin::start().await, impatient().start().await);
    let part = ("Range", "bytes=1000-");
    for (path, framing, ending, fields, status) in [
        ("/1", "Content-Length: 200000", Step::Reset, &[][..], 502),
        ("/2", "Content-Length: 200000", Step::Reset, &[part][..], 502),
        ("/3", "Transfer-Encoding: chunked", Step::Close, &[][..], 502),
        ("/4", "Content-Length: 5", Step::Stall, &[][..], 504),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nETag: \"a\"\r\n{framing}\r\n\r\n");
        origin.route(path, Script::raw(head).then(ending));
        let answer = node.request("GET", &fetch_target(&origin.url(path), ""), fields).await;
        let answer = answer.expect_refusal(&[status]);
        let fwd = answer.header("cache-status").is_some_and(|status| status.contains("; fwd=miss;"));
        assert!(fwd, "{:?}", answer.headers);
        assert_recovers(&node, &origin, path, &content(1, 200_000)).await;
    }
}
