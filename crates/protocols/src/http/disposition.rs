//! `Content-Disposition: attachment` (RFC 6266, RFC 8187) and the file names in it.
//!
//! A name may come from anybody. It is made safe first: no control characters, no path separators, nothing that
//! turns the direction of text. So it can break neither the field nor out of the directory it is saved in.

use std::borrow::Cow;

use ::url::Url;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::query::{Plus, decode};

/// Most bytes of a file name; of longer ones the end is kept, for the sake of the extension.
pub const MAX_NAME: usize = 255;

/// All but attr-char of RFC 8187 section 3.2.1.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `attachment; filename="…"`, with `filename*=UTF-8''…` when the name needs it; plain `attachment` when nothing of
/// the name is safe.
pub fn attachment(name: &str) -> HeaderValue {
    let Some(name) = safe_name(name) else { return HeaderValue::from_static("attachment") };
    let fallback: String = name.chars().map(|char| if char.is_ascii() { char } else { '_' }).collect();
    let mut value = format!("attachment; filename=\"{}\"", fallback.replace('"', "\\\""));
    // Clients disagree on escaped quotes and decode percent signs that nobody encoded (RFC 6266 appendix D).
    if !name.is_ascii() || name.contains(['"', '%']) {
        value.push_str("; filename*=UTF-8''");
        value.extend(utf8_percent_encode(&name, NOT_ATTR_CHAR));
    }
    HeaderValue::try_from(value).expect("a safe name made ASCII is a field value")
}

/// The name a download of this URL gets: its last path segment, decoded and made safe. `None` when the path ends with
/// a slash.
pub fn file_name(url: &Url) -> Option<String> {
    let segment = url.path_segments()?.next_back()?;
    safe_name(&decode(segment, Plus::Literal).unwrap_or(Cow::Borrowed(segment)))
}

/// The name with everything dangerous replaced by `_`, without spaces at its ends; `None` when nothing but dots is left.
pub fn safe_name(name: &str) -> Option<String> {
    let name: String = name.chars().map(|char| if is_unsafe(char) { '_' } else { char }).collect();
    let name = last_bytes(name.trim(), MAX_NAME).trim();
    (!name.bytes().all(|byte| byte == b'.')).then(|| name.to_owned())
}

/// Separators of paths, control characters, and marks that change the direction of text.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '/' | '\\')
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

fn last_bytes(text: &str, count: usize) -> &str {
    let mut start = text.len().saturating_sub(count);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 4c 50, 82: line breaks, terminal escapes, direction marks.
    #[test]
    fn names_are_quoted_escaped_and_made_safe() {
        for (name, value) in [
            ("a.iso", "attachment; filename=\"a.iso\""),
            ("a b;c=d.iso", "attachment; filename=\"a b;c=d.iso\""),
            ("a\"b", "attachment; filename=\"a\\\"b\"; filename*=UTF-8''a%22b"),
            ("100%41", "attachment; filename=\"100%41\"; filename*=UTF-8''100%2541"),
            ("\u{fc}\u{20ac}.txt", "attachment; filename=\"__.txt\"; filename*=UTF-8''%C3%BC%E2%82%AC.txt"),
            ("a'(b)*\u{fc}", "attachment; filename=\"a'(b)*_\"; filename*=UTF-8''a%27%28b%29%2A%C3%BC"),
            ("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\""),
            ("..\\a", "attachment; filename=\".._a\""),
            ("a\r\nSet-Cookie: b", "attachment; filename=\"a__Set-Cookie: b\""),
            ("a\0\u{7f}\u{1b}[31m", "attachment; filename=\"a___[31m\""),
            ("a\u{85}b\u{202e}gpj.exe", "attachment; filename=\"a_b_gpj.exe\""),
            (" .profile ", "attachment; filename=\".profile\""),
            ("", "attachment"),
            (" ", "attachment"),
            (".", "attachment"),
            ("..", "attachment"),
        ] {
            assert_eq!(attachment(name), value, "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_their_end() {
        let name = "\u{fc}".repeat(300) + ".iso";
        let safe = safe_name(&name).expect("safe");
        assert_eq!(safe, "\u{fc}".repeat(125) + ".iso");
    }

    #[test]
    fn a_url_gives_its_last_segment() {
        for (url, name) in [
            ("http://h/a/b.iso?c=d/e", Some("b.iso")),
            ("http://h/a%20b+c", Some("a b+c")),
            ("http://h/%C3%BC", Some("\u{fc}")),
            ("http://h/%FF.bin", Some("%FF.bin")),
            ("http://h/a%2F..%2Fb", Some("a_.._b")),
            ("http://h/a%0d%0ab", Some("a__b")),
            ("http://h/a/", None),
            ("http://h", None),
            ("http://h/%20", None),
        ] {
            let url = Url::parse(url).expect(url);
            assert_eq!(file_name(&url).as_deref(), name, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_name_gives_one_clean_field(name: String) {
            let value = attachment(&name);
            let text = value.to_str().expect("visible ASCII");
            prop_assert!(text.starts_with("attachment"));
            if let Some((_, encoded)) = text.split_once("; filename*=UTF-8''") {
                let decoded = decode(encoded, Plus::Literal).expect("UTF-8");
                prop_assert_eq!(safe_name(&name), Some(decoded.into_owned()));
            }
        }

        #[test]
        fn safe_names_are_safe_and_stable(name: String) {
            if let Some(safe) = safe_name(&name) {
                prop_assert!(safe.len() <= MAX_NAME && !safe.chars().any(is_unsafe));
                prop_assert!(!matches!(&*safe, "" | "." | ".."));
                prop_assert_eq!(safe_name(&safe), Some(safe.clone()));
            }
        }
    }
}
