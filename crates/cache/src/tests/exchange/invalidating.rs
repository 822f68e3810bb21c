//! What requests past the store mean for what is stored and for what is on its way (RFC 9111 section 4.4).

use super::*;

#[tokio::test]
async fn rfc9111_4_4_unsafe_methods_make_the_stored_response_invalid() {
    let bed = Bed::new();
    bed.origin.then(fresh(b"old"));
    bed.exchange(get()).await;
    bed.quiet().await;
    bed.origin.then(Reply::status(500));
    assert_eq!(bed.exchange(Asked::method("PUT")).await.status, 500);
    assert_eq!(bed.exchange(get()).await.outcome, Outcome::Hit, "an error changes nothing");
    bed.origin.then(Reply::status(204));
    assert_eq!(bed.exchange(Asked::method("PUT")).await.status, 204);
    bed.origin.then(fresh(b"new"));
    assert_eq!(bed.exchange(get()).await.body.expect("a body"), b"new");
    bed.quiet().await;
    let elsewhere = Asked { url: "http://origin.example/other", ..Asked::method("POST") };
    bed.origin.then(Reply::status(201).field("location", "/file"));
    bed.exchange(elsewhere).await;
    bed.origin.then(fresh(b"newer"));
    assert_eq!(bed.exchange(get()).await.body.expect("a body"), b"newer");
}

/// What was asked for before a PUT succeeded may be older than it: whoever asked gets it, nobody after.
#[tokio::test]
async fn an_answer_that_a_put_overtook_is_not_kept() {
    let bed = Arc::new(Bed::new());
    let (gated, gate) = fresh(b"before").gated();
    bed.origin.then(gated);
    let reading = {
        let bed = Arc::clone(&bed);
        tokio::spawn(async move { bed.exchange(get()).await })
    };
    while bed.origin.count() == 0 {
        tokio::task::yield_now().await;
    }
    bed.origin.then(Reply::status(204));
    assert_eq!(bed.exchange(Asked::method("PUT")).await.status, 204);
    gate.send(()).expect("the origin waits");
    assert_eq!(reading.await.expect("no panic").body.expect("a body"), b"before");
    bed.quiet().await;
    bed.origin.then(fresh(b"after"));
    assert_eq!(bed.exchange(get()).await.body.expect("a body"), b"after");
}
