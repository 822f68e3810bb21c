//! Heads of requests, for the fuzz targets: what is let through can be read in one way only.

use http::header::{HOST, TRANSFER_ENCODING, VIA};
use http::request::Parts as Head;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::strict::{Attached, Strictness, Takes};

/// Most bytes of a target.
const MOST: usize = 1024;

/// Checks a head: a line `METHOD TARGET`, then fields.
pub fn head(bytes: &[u8], version: Version) {
    let Some(mut head) = parsed(bytes) else { return };
    head.version = version;
    let strictness = Strictness::new("standpipe", MOST);
    for attached in [Attached::Nothing, Attached::Body] {
        let declared = strictness.check(&head, attached, Takes::Declared);
        let tunnels = strictness.check(&head, attached, Takes::Tunnels);
        assert!(declared.is_err() || tunnels.is_ok(), "who takes tunnels takes what others take");
        if tunnels.is_ok() {
            check(&head, attached);
        }
        assert!(declared.is_err() || head.method != Method::CONNECT);
    }
}

fn check(head: &Head, attached: Attached) {
    let hosts: Vec<_> = head.headers.get_all(HOST).iter().collect();
    assert!(hosts.len() <= 1 && (hosts.len() == 1 || head.version != Version::HTTP_11));
    assert!(head.method != Method::TRACE && !head.headers.contains_key(TRANSFER_ENCODING));
    assert!(attached == Attached::Nothing || !matches!(head.method, Method::GET | Method::HEAD));
    assert!(head.uri.path_and_query().is_none_or(|path| path.as_str().len() <= MOST));
    for via in head.headers.get_all(VIA) {
        assert_ne!(via.as_bytes(), b"1.1 standpipe");
    }
    let (Some(host), Some(authority)) = (hosts.first(), head.uri.authority()) else { return };
    // The same name, whatever is left out of one of them.
    let host = host.to_str().expect("bytes of hosts are visible").to_ascii_lowercase();
    let name = authority.host().to_ascii_lowercase();
    assert!(host.contains(&name) || authority.as_str().contains('@'), "{host} {name}");
}

fn parsed(bytes: &[u8]) -> Option<Head> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (method, target) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let request = Request::builder().method(method).uri(target.parse::<Uri>().ok()?);
    let mut head = request.body(()).ok()?.into_parts().0;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let Ok(name) = HeaderName::from_bytes(&line[..colon]) else { continue };
        let Ok(value) = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()) else { continue };
        head.headers.append(name, value);
    }
    Some(head)
}
