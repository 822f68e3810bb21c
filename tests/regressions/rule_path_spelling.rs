//! `deny any path=/https:` was passed by asking for `/HTTPS://host/`: the fetch door reads the scheme in any case, the
//! rule did not.

use testkit::node::Node;
use testkit::origin::{Origin, Script};

#[tokio::test]
async fn a_scheme_in_capitals_does_not_slip_past_a_rule() {
    let origin = Origin::start().await;
    origin.route("/f", Script::object("abc"));
    let node =
        Node::builder().config("[access]\nrules = [\"deny any path=/http:\", \"allow any\"]\n").start().await;
    for scheme in ["http", "HTTP", "hTTp"] {
        node.get(&format!("/{scheme}://{}/f", origin.address())).await.expect_refusal(&[403]);
    }
    assert_eq!(origin.connections(), 0);
}
