//! Every form, and what is none.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Address, BadAddress> {
    text.parse()
}

fn at(host: &str, port: u16) -> HostPort {
    HostPort { host: (!host.is_empty()).then(|| host.to_owned()), port }
}

#[test]
fn every_form_is_understood() {
    let table = [
        ("UNIX:/run/sessions", Address::Unix("/run/sessions".into()), true),
        ("UNIX:relative:with:colons", Address::Unix("relative:with:colons".into()), true),
        ("IP:localhost:9001", Address::Ip4(at("localhost", 9001)), true),
        ("IPv4:127.0.0.1:0", Address::Ip4(at("127.0.0.1", 0)), true),
        ("IP:9001", Address::Ip4(at("", 9001)), false),
        ("IP::9001", Address::Ip4(at("", 9001)), false),
        ("IPv4:65535", Address::Ip4(at("", 65535)), false),
        ("IPv4::0", Address::Ip4(at("", 0)), false),
        ("IP6:[::1]:9001", Address::Ip6(at("::1", 9001)), true),
        ("IP6:localhost:9001", Address::Ip6(at("localhost", 9001)), true),
        ("IP6:9001", Address::Ip6(at("", 9001)), false),
        ("IP6::9001", Address::Ip6(at("", 9001)), false),
        ("TLS:sessions.example:9001", Address::Tls(at("sessions.example", 9001)), true),
        ("TLS:[2001:db8::1]:9001", Address::Tls(at("2001:db8::1", 9001)), true),
        ("TLS:9001", Address::Tls(at("", 9001)), false),
        ("FD:3", Address::Fd { receive: Some(3), send: Some(3) }, true),
        ("FD:0:1", Address::Fd { receive: Some(0), send: Some(1) }, true),
        ("FD:-1:1", Address::Fd { receive: None, send: Some(1) }, true),
        ("FD:0:-1", Address::Fd { receive: Some(0), send: None }, true),
    ];
    for (text, address, can_connect) in table {
        assert_eq!(parse(text).as_ref(), Ok(&address), "{text}");
        assert_eq!((address.can_connect(), address.can_listen()), (can_connect, true), "{text}");
        assert_eq!(parse(&address.to_string()), Ok(address), "{text}");
    }
}

#[test]
fn what_is_no_address_says_why() {
    let path = |length: usize| format!("UNIX:{}", "x".repeat(length));
    let table = [
        ("I".to_owned(), BadAddress::Length),
        (format!("IP:{}:1", "x".repeat(255)), BadAddress::Length),
        ("localhost:9001".to_owned(), BadAddress::Prefix),
        ("unix:/run/s".to_owned(), BadAddress::Prefix),
        ("IPV4:1".to_owned(), BadAddress::Prefix),
        ("9001".to_owned(), BadAddress::Prefix),
        ("UNIX:".to_owned(), BadAddress::Path),
        ("UNIX:a\0b".to_owned(), BadAddress::Path),
        (path(108), BadAddress::Path),
        ("IP:".to_owned(), BadAddress::Port),
        ("IP:host:".to_owned(), BadAddress::Port),
        ("IP:host:65536".to_owned(), BadAddress::Port),
        ("IP:host:9001:".to_owned(), BadAddress::Port),
        ("IP:host:9001 ".to_owned(), BadAddress::Port),
        ("IP:host:+1".to_owned(), BadAddress::Port),
        ("IP:host:http".to_owned(), BadAddress::Port),
        ("IP6:::1:9001".to_owned(), BadAddress::Port),
        ("IP6:[::1]9001".to_owned(), BadAddress::Host),
        ("IP6:[]:9001".to_owned(), BadAddress::Host),
        ("TLS:a]:9001".to_owned(), BadAddress::Host),
        ("FD:".to_owned(), BadAddress::Descriptor),
        ("FD:x".to_owned(), BadAddress::Descriptor),
        ("FD:-2".to_owned(), BadAddress::Descriptor),
        ("FD:-1".to_owned(), BadAddress::Descriptor),
        ("FD:-1:-1".to_owned(), BadAddress::Descriptor),
        ("FD:1:2:3".to_owned(), BadAddress::Descriptor),
    ];
    for (text, expected) in table {
        assert_eq!(parse(&text), Err(expected), "{text}");
    }
    assert!(parse(&path(107)).is_ok());
}

#[test]
fn numbers_are_resolved_to_themselves_and_nothing_to_all_interfaces() {
    let table = [
        ("IP:127.0.0.1:9001", "127.0.0.1:9001"),
        ("IP:9001", "0.0.0.0:9001"),
        ("IP6:[::1]:9001", "[::1]:9001"),
        ("IP6:9001", "[::]:9001"),
        ("TLS:[::1]:9001", "[::1]:9001"),
        ("TLS:9001", "0.0.0.0:9001"),
    ];
    for (text, expected) in table {
        let expected: SocketAddr = expected.parse().expect("numbers");
        assert_eq!(parse(text).expect("an address").resolve().expect("no lookup"), Some(expected), "{text}");
    }
    assert!(parse("IP6:127.0.0.1:1").expect("an address").resolve().is_err());
    assert_eq!(parse("FD:3").expect("an address").resolve().expect("no lookup"), None);
}

proptest! {
    #[test]
    fn whatever_is_understood_says_the_same_again(text in "(UNIX|IP|IPv4|IP6|TLS|FD):[-a-z0-9:.\\[\\]]{0,20}") {
        if let Ok(address) = parse(&text) {
            prop_assert_eq!(parse(&address.to_string()), Ok(address));
        }
    }
}
