//! Lists with weights, `Accept-Language` and `Accept-Encoding` (RFC 9110 sections 12.4.2, 12.5.3, 12.5.4).

use super::super::field::{is_tchar, trim};

/// Most members that are sorted; a longer list is compared as it stands.
const MAX_MEMBERS: usize = 64;

/// Thousandths.
const WHOLE: u16 = 1000;

/// The list in lower case, sorted by weight and then by name, without repetitions; `None` when it is no such list. `alias`
/// gives the name by which another one goes.
pub(super) fn normalised(value: &[u8], alias: fn(&str) -> &str) -> Option<Vec<u8>> {
    let value = std::str::from_utf8(value).ok()?.to_ascii_lowercase();
    let members = value.split(',').map(|member| member.trim_matches([' ', '\t']));
    let mut sorted = Vec::new();
    for member in members.filter(|member| !member.is_empty()) {
        if sorted.len() == MAX_MEMBERS {
            return None;
        }
        let (name, weight) = match member.split_once(';') {
            None => (member, WHOLE),
            Some((name, parameter)) => (name.trim_end_matches([' ', '\t']), weight(parameter)?),
        };
        if name.is_empty() || !name.bytes().all(is_tchar) {
            return None;
        }
        sorted.push((WHOLE - weight, alias(name)));
    }
    sorted.sort_unstable();
    sorted.dedup();
    let mut normal = String::with_capacity(value.len());
    for (missing, name) in sorted {
        if !normal.is_empty() {
            normal.push_str(", ");
        }
        normal.push_str(name);
        if missing > 0 {
            // As a weight that is read again, so that no list that could not be read looks the same.
            normal.push_str(&format!(";q=0.{:03}", WHOLE - missing));
        }
    }
    Some(normal.into_bytes())
}

/// No other name.
pub(super) fn as_is(name: &str) -> &str {
    name
}

/// The name under which a content coding is registered (RFC 9110 sections 8.4.1.1 and 8.4.1.3).
pub(super) fn coding(name: &str) -> &str {
    match name {
        "x-gzip" => "gzip",
        "x-compress" => "compress",
        other => other,
    }
}

/// `q=0.5` in thousandths (RFC 9110 section 12.4.2).
fn weight(parameter: &str) -> Option<u16> {
    let number = trim(parameter.as_bytes()).strip_prefix(b"q=")?;
    let (whole, digits) = match number {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let padded = digits.iter().copied().chain([b'0'; 3]).take(3);
    let thousandths = padded.map(digit).try_fold(0, |sum, digit| Some(sum * 10 + digit?))?;
    match (whole, thousandths) {
        (b'0', _) => Some(thousandths),
        (b'1', 0) => Some(WHOLE),
        _ => None,
    }
}
