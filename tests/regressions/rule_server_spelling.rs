//! `deny any path=/r/app/admin` was passed by `/r/app/%61dmin`, `/r/app//admin` and `/r/app/;/admin`, which many servers take
//! for the same path.

use testkit::node::Node;
use testkit::origin::Origin;

#[tokio::test]
async fn a_refused_path_is_refused_in_every_spelling_that_means_it() {
    let origin = Origin::start().await;
    let rules = "[access]\nrules = [\"deny any path=/r/app/admin\", \"allow any\"]\n";
    let node =
        Node::builder().config(rules).args(["--site", &format!("app={}", origin.url("/"))]).start().await;
    for path in ["admin", "%61dmin", "/admin", ";/admin", "admin;x", "admin%2fx", "%2561dmin/../admin"] {
        node.get(&format!("/r/app/{path}")).await.expect_refusal(&[400, 403]);
    }
    assert_eq!(origin.connections(), 0);
}
