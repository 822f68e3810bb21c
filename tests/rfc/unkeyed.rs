//! What is no part of a key and could make an origin answer one client so that others get it too (RFC 9111 section 4.1).

use scenarios::settled;
use testkit::client::Client;
use testkit::origin::Script;

use super::framing::{DOORS, Stage};

/// Fields by which other servers can be made to answer a request as if it were another one.
const UNKEYED: [&str; 34] = [
    "CF-Connecting-IP",
    "Client-IP",
    "Fastly-Client-IP",
    "Forwarded",
    "Front-End-Https",
    "True-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Forwarded",
    "X-Forwarded-By",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-SSL",
    "X-Forwarded-Uri",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-Host",
    "X-Original-URL",
    "X-Original-Uri",
    "X-Override-URL",
    "X-Real-IP",
    "X-Rewrite-URL",
    "X-Scheme",
    "X-Url-Scheme",
];

// User-demand 4b: poisoning through unkeyed input.
#[tokio::test]
async fn rfc9111_4_1_what_is_no_part_of_the_key_reaches_no_origin_on_a_cacheable_request() {
    let stage = Stage::start().await;
    stage.origin.route("/f", Script::answer("200 OK\r\nCache-Control: max-age=0\r\nETag: \"a\"", "abc"));
    let mut leaks = Vec::new();
    for door in DOORS {
        // What is absent, and what is stale and validated.
        for _ in 0..2 {
            let lines: String = UNKEYED.iter().map(|name| format!("{name}: evil.example\r\n")).collect();
            let mut client = Client::connect(stage.node.address()).await;
            client.send(stage.request(door, "GET", "/f", &lines)).await;
            client.response("GET").await.expect(200);
            settled(&stage.node).await;
            let seen = stage.origin.requests().pop().expect("it came");
            leaks.extend(
                UNKEYED.iter().filter(|name| seen.header(name).is_some()).map(|name| (door as u8, *name)),
            );
        }
    }
    leaks.sort_unstable();
    leaks.dedup();
    assert!(leaks.is_empty(), "reached the origin (door 0: site, 1: proxy): {leaks:?}");
}
