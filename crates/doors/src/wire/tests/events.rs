//! That each request ends as one event that says what happened.

use testkit::client::{Client, get};

use super::*;

#[tokio::test]
async fn a_whole_response_is_complete_with_all_its_bytes() {
    let (log, lines) = log();
    let stored = Stored::new(300_000);
    let server = Server::start(Setup { log, ..Setup::default() }, move |_| stored.body(1 << 20)).await;
    get(server.address, "/a").await.expect(200);
    let line = next(&lines).await;
    assert_eq!(line["ending"], "complete", "{line}");
    assert_eq!(line["bytes"], 300_000);
    assert_eq!(line["target"], "/a");
    assert!(server.metrics().contains("standpipe_bytes_sent_total{source=\"cache\"} 300000"));
}

#[tokio::test]
async fn an_empty_body_is_complete() {
    let (log, lines) = log();
    let server = Server::start(Setup { log, ..Setup::default() }, |_| {
        Body::Made(Made { length: Some(0), steps: VecDeque::new() })
    })
    .await;
    get(server.address, "/").await.expect_body(200, "");
    let line = next(&lines).await;
    assert_eq!((&line["ending"], &line["bytes"]), (&"complete".into(), &0.into()), "{line}");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_broken_with_what_it_could_take() {
    let (log, lines) = log();
    let stored = Stored::new(4 << 20);
    let setup = Setup { log, send_buffer: Some(65_536), ..Setup::default() };
    let server = Server::start(setup, move |_| stored.body(1 << 20)).await;
    let mut client = Client::connect(server.address).await;
    client.start("GET", "/", &[]).await;
    client.head("GET").await;
    client.some_body(100_000).await;
    drop(client);
    let line = next(&lines).await;
    assert_eq!(line["ending"], "broken", "{line}");
    let bytes = line["bytes"].as_u64().expect("a number");
    assert!((100_000..4 << 20).contains(&bytes), "{line}");
}

/// The body is handed over whole long before the socket has taken it.
#[tokio::test]
async fn a_client_that_leaves_before_the_last_queued_byte_is_broken() {
    let (log, lines) = log();
    let stored = Stored::new(4 << 20);
    let setup = Setup { log, send_buffer: Some(65_536), ..Setup::default() };
    let server = Server::start(setup, move |_| stored.body(4 << 20)).await;
    let mut client = Client::connect(server.address).await;
    client.start("GET", "/", &[]).await;
    client.head("GET").await;
    drop(client);
    let line = next(&lines).await;
    assert_eq!(line["ending"], "broken", "{line}");
}
