//! Who waited at a site for a transfer that a client of the fetch door had begun was refused with it: strangers could keep a
//! site's objects away by asking for its private origin, which they may not reach.

use scenarios::counted;
use testkit::node::Node;
use testkit::origin::{Gate, Origin, Script, Step};

#[tokio::test]
async fn what_a_door_may_not_reach_a_site_still_gets() {
    let (origin, gate) = (Origin::start().await, Gate::new());
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\nabc";
    origin.route("/a", Script::raw(answer));
    origin.route("/turn", Script::Steps(vec![Step::Wait(gate.clone()), Step::Send(answer.into())]));
    let node = Node::builder()
        .guarded()
        .args(["--fill-max", "1", "--site", &format!("app={}", origin.url("/"))])
        .start()
        .await;
    let [mut turn, mut stranger, mut client] =
        [node.client().await, node.client().await, node.client().await];
    turn.start("GET", "/r/app/turn", &[]).await;
    gate.reached(1).await;
    stranger.start("GET", &format!("/{}", origin.url("/a")), &[]).await;
    counted(&node, "standpipe_fills_waiting", &[], 1.0).await;
    client.start("GET", "/r/app/a", &[]).await;
    gate.open();
    turn.response("GET").await.expect(200);
    stranger.response("GET").await.expect(403);
    client.response("GET").await.expect_body(200, "abc");
}
