//! Labels by which the store finds objects of a host or with a tag: keyed hashes of 64 bits. Pure.
//!
//! Each tag of [`Tags`], the host, and the host with its port where the URL names one. A list of variants has none: it is no
//! object.

use protocols::http::tags::Tags;

use crate::Head;

/// What a label is made of.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Host,
    Tag,
}

/// The labels of an object.
pub(crate) fn of(secret: &[u8; 32], name: &str, head: &Head) -> Vec<u64> {
    if head.variants.is_some() {
        return Vec::new();
    }
    let tags = Tags::from_headers(&head.headers);
    let mut labels = Vec::with_capacity(tags.names.len() + 2);
    if let Some((host, authority)) = host(name) {
        labels.push(one(secret, Kind::Host, host));
        if authority != host {
            labels.push(one(secret, Kind::Host, authority));
        }
    }
    labels.extend(tags.names.iter().map(|tag| one(secret, Kind::Tag, tag)));
    labels
}

/// The label of a host or tag.
pub(crate) fn one(secret: &[u8; 32], kind: Kind, text: &str) -> u64 {
    let mut hash = blake3::Hasher::new_keyed(secret);
    hash.update(match kind {
        Kind::Host => b"host ",
        Kind::Tag => b"tag ",
    });
    hash.update(text.as_bytes());
    let mut label = [0; 8];
    label.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    u64::from_le_bytes(label)
}

/// Host, and host with port, of a canonical URL.
pub(crate) fn host(name: &str) -> Option<(&str, &str)> {
    let (_, rest) = name.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    Some((host, authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_with_and_without_its_port() {
        assert_eq!(host("http://a.example/x:1"), Some(("a.example", "a.example")));
        assert_eq!(host("http://a.example:81?x"), Some(("a.example", "a.example:81")));
        assert_eq!(host("https://[::1]:8/"), Some(("[::1]", "[::1]:8")));
        assert_eq!(host("https://[::1]/"), Some(("[::1]", "[::1]")));
        assert_eq!(host("a.example"), None);
    }

    #[test]
    fn a_tag_is_no_host_and_secrets_make_other_labels() {
        let label = |secret, kind| one(&[secret; 32], kind, "a");
        assert_ne!(label(1, Kind::Tag), label(1, Kind::Host));
        assert_ne!(label(1, Kind::Tag), label(2, Kind::Tag));
        assert_eq!(label(1, Kind::Tag), label(1, Kind::Tag));
    }
}
