use http::HeaderMap;
use proptest::prelude::*;

use super::*;

struct Thing {
    host: &'static str,
    path: &'static str,
    tags: &'static [&'static str],
    headers: HeaderMap,
    numbers: [u64; 5],
}

impl Subject for Thing {
    fn any(&self, field: &Text, fits: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        match field {
            Text::Url => fits(format!("http://{}{}", self.host, self.path).as_bytes()),
            Text::Host => fits(self.host.as_bytes()),
            Text::Path => fits(self.path.as_bytes()),
            Text::Tag => self.tags.iter().any(|tag| fits(tag.as_bytes())),
            Text::Header(name) => self.headers.get_all(name).iter().any(|value| fits(value.as_bytes())),
        }
    }

    fn number(&self, field: Number) -> u64 {
        self.numbers[field as usize]
    }
}

fn thing() -> Thing {
    let mut headers = HeaderMap::new();
    headers.append("content-type", "text/html".parse().unwrap());
    headers.append("x-a", "1".parse().unwrap());
    headers.append("x-a", "2".parse().unwrap());
    let numbers = [404, 3600, 1 << 20, 90, 2];
    Thing { host: "x.example", path: "/a/b/c.html", tags: &["t", "u v"], headers, numbers }
}

#[test]
fn fields_are_compared_as_the_table_says() {
    for (text, expected) in [
        (r#"host == "x.example""#, true),
        (r#"host == "X.example""#, false),
        (r#"host != "y""#, true),
        (r#"path ~ "/a/*""#, true),
        (r#"path ~ "/a/?""#, false),
        (r#"path ~ "*.html" && url ~ "http://x*c.h??l""#, true),
        (r#"tag == "t""#, true),
        (r#"tag != "t""#, false),
        (r#"tag == "u v" && tag != "w""#, true),
        (r#"header.content-type == "text/html""#, true),
        (r#"header.X-A == "2" && header.x-a == "1""#, true),
        (r#"header.x-b == """#, false),
        (r#"header.x-b != """#, true),
        ("status >= 400 && status<500", true),
        ("status == 200 || status == 404", true),
        ("age > 1h", false),
        ("age >= 1h && age < 61m && age==3600s", true),
        ("size == 1MiB && size > 1MB && size <= 1048576", true),
        ("idle != 90 || uses == 2", true),
        ("!(status == 404)", false),
        ("!!(uses > 1)", true),
        // `&&` before `||`.
        ("uses == 2 || uses == 2 && uses == 3", true),
        ("(uses == 2 || uses == 2) && uses == 3", false),
        ("! uses == 3 && uses == 2", true),
    ] {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expression.matches(&thing()), expected, "{text}");
    }
}

#[test]
fn errors_name_the_place_and_what_would_be_right() {
    for (text, at, part) in [
        ("", 0, "expected a field"),
        ("  hots == \"x\"", 2, "`hots` is no field"),
        ("host = \"x\"", 5, "expected `==`"),
        ("host == x", 8, "double quotes"),
        ("host == \"x", 8, "no `\"` at its end"),
        (r#"host == "a\b""#, 11, "expected `\"`"),
        ("status ~ \"4*\"", 7, "expected `==`"),
        ("status == 4x", 10, "expected a number"),
        ("age > 1y", 6, "a time such as"),
        ("size > 99999999999999TB", 7, "a number of bytes"),
        ("(status == 1", 12, "expected `)`"),
        ("status == 1)", 11, "or the end"),
        ("status == 1 status", 12, "or the end"),
        ("status == 1 && ", 15, "expected a field"),
        ("header.\u{fc} == \"\"", 0, "name of a field"),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.detail.contains(part), "{text}: {error}");
    }
}

#[test]
fn length_depth_and_number_of_comparisons_are_bounded() {
    let nested = |depth: usize| format!("{}uses == 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::parse(&nested(MAX_DEPTH)).is_ok());
    assert!(Expression::parse(&nested(MAX_DEPTH + 1)).is_err());
    assert!(Expression::parse(&("!".repeat(4000) + "uses == 1")).is_err());
    let many = |count: usize| vec!["uses==1"; count].join("||");
    assert!(Expression::parse(&many(MAX_COMPARISONS)).is_ok());
    assert!(Expression::parse(&many(MAX_COMPARISONS + 1)).is_err());
    assert!(Expression::parse(&format!("host == \"{}\"", "a".repeat(MAX_LENGTH))).is_err());
}

/// The pattern by trying everything.
fn slowly(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if slowly(rest, text) => true,
        (Some((b'*', _)), Some((_, text))) => slowly(pattern, text),
        (Some((byte, rest)), Some((seen, text))) => (*byte == b'?' || byte == seen) && slowly(rest, text),
        _ => false,
    }
}

proptest! {
    #[test]
    fn patterns_fit_as_by_trying_everything(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
        prop_assert_eq!(like(pattern.as_bytes(), text.as_bytes()), slowly(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "([a-z.=!~<>&|() \"\\\\0-9]|\\PC|host|status|tag|==){0,60}") {
        if let Err(error) = Expression::parse(&text) {
            prop_assert!(error.at <= text.len());
        }
    }
}
