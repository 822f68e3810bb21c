use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

/// Gives the same answer always; never, when there is none.
struct Fixed(Option<Result<Vec<IpAddr>, &'static str>>);

impl Resolve for Fixed {
    fn resolve(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        match self.0.clone() {
            Some(answer) => Box::pin(std::future::ready(answer.map_err(io::Error::other))),
            None => Box::pin(std::future::pending()),
        }
    }
}

async fn checked(
    host: &str,
    answer: Option<Result<Vec<IpAddr>, &'static str>>,
) -> Result<Vec<String>, Error> {
    let endpoint = Endpoint::new(host, 80);
    let guard = Guard::new(vec!["10.1.0.0/16".parse().expect("a rule")]);
    let addresses = checked_addresses(&Fixed(answer), &guard, &endpoint, &Settings::default()).await?;
    Ok(addresses.iter().map(ToString::to_string).collect())
}

fn all(texts: &[&str]) -> Option<Result<Vec<IpAddr>, &'static str>> {
    Some(Ok(texts.iter().map(|text| text.parse().expect("an address")).collect()))
}

#[tokio::test]
async fn families_take_turns_and_doubles_go() {
    let answer = all(&["2600::1", "2600::2", "2600::3", "8.8.8.8", "2600::1", "9.9.9.9"]);
    let addresses = checked("a.example", answer).await.expect("addresses");
    assert_eq!(addresses, ["[2600::1]:80", "8.8.8.8:80", "[2600::2]:80", "9.9.9.9:80", "[2600::3]:80"]);
}

// 48: a public name with a private address, or one of AAAA only.
#[tokio::test]
async fn only_what_the_guard_passes_is_left() {
    let mixed = all(&["10.0.0.1", "8.8.8.8", "::1", "10.1.0.1"]);
    assert_eq!(checked("a.example", mixed).await.expect("addresses"), ["8.8.8.8:80", "10.1.0.1:80"]);
    for answer in [all(&["10.0.0.1", "127.0.0.1"]), all(&["::1"]), all(&["fd00::1", "fe80::1"])] {
        let error = checked("a.example", answer).await.expect_err("refused");
        assert_eq!(error.kind, Kind::OriginForbidden);
    }
}

// 42
#[tokio::test(start_paused = true)]
async fn dns_that_fails_is_empty_or_slow_is_told_apart() {
    let failed = checked("a.example", Some(Err("SERVFAIL"))).await.expect_err("failed");
    assert_eq!(failed.kind, Kind::OriginUnresolved);
    assert_eq!(&*failed.detail, "the host name a.example can not be resolved: SERVFAIL");
    let empty = checked("a.example", all(&[])).await.expect_err("nothing");
    assert_eq!(
        (empty.kind, &*empty.detail),
        (Kind::OriginUnresolved, "the host name a.example has no address")
    );
    let slow = checked("a.example", None).await.expect_err("slow");
    assert_eq!(slow.kind, Kind::OriginTimeout);
    assert_eq!(&*slow.detail, "DNS did not give the address of a.example within 5s");
}

// 42
#[tokio::test]
async fn of_two_hundred_addresses_sixteen_of_both_families_are_kept() {
    let v6 = (0..100).map(|n| IpAddr::from(Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0, 0, n)));
    let v4 = (0..100).map(|n| IpAddr::from(Ipv4Addr::new(8, 8, 8, n)));
    let addresses = checked("a.example", Some(Ok(v6.chain(v4).collect()))).await.expect("addresses");
    assert_eq!(addresses.len(), 16);
    assert_eq!(addresses.iter().filter(|address| address.starts_with('[')).count(), 8);
}

#[tokio::test]
async fn a_literal_host_is_not_resolved_but_judged() {
    assert_eq!(checked("8.8.8.8", None).await.expect("itself"), ["8.8.8.8:80"]);
    assert_eq!(checked("[2600::1]", None).await.expect("itself"), ["[2600::1]:80"]);
    assert_eq!(checked("127.0.0.1", None).await.expect_err("refused").kind, Kind::OriginForbidden);
}

#[tokio::test]
async fn both_resolvers_know_the_hosts_file() {
    for resolver in [ResolverChoice::Hickory, ResolverChoice::System] {
        let chosen = choose(&Settings { resolver, ..Settings::default() });
        let addresses = testkit::guarded("an answer", chosen.resolve("localhost")).await.expect("an answer");
        assert!(addresses.iter().all(IpAddr::is_loopback) && !addresses.is_empty(), "{addresses:?}");
    }
}
