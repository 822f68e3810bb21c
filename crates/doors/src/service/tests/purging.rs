//! Method PURGE through a bound listener.

use super::*;
use crate::exchange::{HostSent, SiteSettings};

fn start() -> Running {
    let site = SiteSettings {
        name: "shop".to_owned(),
        origins: vec!["http://shop.example/base".to_owned()],
        hosts: Vec::new(),
        prefix: None,
        host: HostSent::Origin,
    };
    let plan = Plan::new(vec![site], vec![], Default::default(), 64);
    Running::with_plan(Settings::default(), plan.expect("right"))
}

#[tokio::test]
async fn what_the_target_names_is_taken_out_at_every_door() {
    let server = start();
    for target in ["/http://origin.example/a", "/r/shop/fresh", FETCH_A] {
        for _ in 0..2 {
            let before = server.node.origin.asked().len();
            request(server.address, "GET", target, &[]).await.expect(200);
            assert_eq!(server.node.origin.asked().len(), before + 1, "{target}: it was taken out");
            request(server.address, "GET", target, &[]).await.expect(200);
            assert_eq!(server.node.origin.asked().len(), before + 1, "{target}: it was stored");
            let purged = request(server.address, "PURGE", target, &[]).await.expect(200);
            assert!(purged.text().contains("\"entries\": 1"), "{purged:?}");
        }
        let purged = request(server.address, "PURGE", target, &[]).await.expect(200);
        assert!(purged.text().contains("\"entries\": 0"), "{purged:?}");
    }
}

#[tokio::test]
async fn purging_is_for_those_who_are_let_to_the_operators_door() {
    let server = start();
    let target = "/http://origin.example/a";
    request(server.address, "GET", target, &[]).await.expect(200);
    let rules = ["deny any door=admin", "allow loopback"];
    server.access.replace(Rules::new::<&str>(&rules, &[]).expect("right rules"));
    request(server.address, "PURGE", target, &[]).await.expect_refusal(&[403]);
    let hit = request(server.address, "GET", target, &[]).await.expect(200);
    assert_eq!(hit.header("x-cache"), Some("HIT from node"));
    // A page of another site cannot make a browser purge.
    server.access.replace(Rules::new::<&str>(&["allow loopback"], &[]).expect("right rules"));
    let foreign = [("Sec-Fetch-Site", "cross-site")];
    request(server.address, "PURGE", target, &foreign).await.expect_refusal(&[403]);
}
