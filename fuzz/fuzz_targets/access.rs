#![no_main]
//! Access rules and who asks: a rule refuses or allows as it begins, and a stranger's word about himself is not believed.

use std::net::IpAddr;

use doors::access::{Asked, DOORS, Rules};
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;

const TRUSTED: &str = "10.0.0.0/8";

fuzz_target!(|input: (u32, u8, &str, &str, &[u8])| {
    let (peer, door, rule, path, forwarded) = input;
    let client = IpAddr::from(peer.to_be_bytes());
    if let Ok(rules) = Rules::new(&[rule], &[]) {
        for method in [&Method::GET, &Method::POST] {
            let asked = Asked { client, door: DOORS[usize::from(door) % DOORS.len()], method, path };
            match rules.check(&asked) {
                Ok(()) => assert!(rule.trim().starts_with("allow")),
                Err(denied) => match denied.rule {
                    Some(named) => assert!(named == rule.trim() && named.starts_with("deny")),
                    None => assert_eq!(denied.client, client),
                },
            }
        }
    }

    let rules = Rules::new(&[], &[TRUSTED]).expect("a network");
    let is_trusted = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
    let before = fields(&[forwarded]);
    let Some(before) = before else { return };
    let found = rules.client(client, &before);
    assert_eq!(found, found.to_canonical());
    assert!(is_trusted(client) || found == client);
    if !is_trusted(found) {
        let more = fields(&[b"127.0.0.1", forwarded]).expect("fields");
        assert_eq!(rules.client(client, &more), found);
    }
});

fn fields(lines: &[&[u8]]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-forwarded-for", HeaderValue::from_bytes(line).ok()?);
    }
    Some(headers)
}
