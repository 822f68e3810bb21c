//! `allow any path=/http://host/public` was passed by asking for `/http://host/public/../private`, and
//! `deny any path=/http://host/private` by `/http://host/./private`: the rule looked at the path as it came, the fetch
//! door at the URL without dot segments.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

async fn asked(rule: impl Fn(&str) -> String, path: &str, status: u16) {
    let origin = Origin::start().await;
    for route in ["/private", "/public/f"] {
        origin.route(route, Script::object("abc"));
    }
    let rules = rule(&format!("http://{}", origin.address()));
    let node = Node::builder().config(&format!("[access]\nrules = [{rules}]\n")).start().await;
    let answer = node.get(&format!("/http://{}{path}", origin.address())).await;
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    assert_eq!(origin.connections(), usize::from(status == 200), "{path}");
}

#[tokio::test]
async fn dot_segments_do_not_lead_out_of_a_permission() {
    let rule = |server: &str| format!("\"allow any path=/{server}/public\"");
    asked(rule, "/public/f", 200).await;
    for path in
        ["/public/../private", "/public/%2e%2E/private", "/public/.%2e/private", "/public/./../private"]
    {
        asked(rule, path, 403).await;
    }
}

#[tokio::test]
async fn dot_segments_do_not_lead_past_a_refusal() {
    let rule = |server: &str| format!("\"deny any path=/{server}/private\", \"allow any\"");
    asked(rule, "/public/f", 200).await;
    for path in ["/./private", "/public/../private", "/%2e/private", "/../private"] {
        asked(rule, path, 403).await;
    }
}
