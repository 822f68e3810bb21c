//! [`url_of`]: the URL of a file in a tree, spelled as clients spell it. The other direction of
//! [`place`](super::place::place). Pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use url::Url;

/// What a client must encode in a path segment, and what would be taken for something else: nothing more, because an
/// encoded letter makes another key than the letter.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The URL that `--base` names: http or https, without query and fragment; its path is a directory, with or without
/// a slash at the end.
pub(in crate::cli) fn base(text: &str) -> Result<Url, String> {
    let mut base = Url::parse(text).map_err(|error| format!("`{text}` is no URL: {error}"))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(format!("`{text}`: only http and https URLs can be served"));
    }
    if base.query().is_some() || base.fragment().is_some() || !base.username().is_empty() {
        return Err(format!(
            "`{text}`: a base has neither a query nor a fragment nor a user; give scheme, host and path"
        ));
    }
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}

/// The URL of the file at `path` below the tree's root. `None` when the path is none of plain names.
pub(in crate::cli) fn url_of(base: &Url, path: &Path) -> Option<Url> {
    let mut text = String::new();
    for component in path.components() {
        let Component::Normal(name) = component else { return None };
        if !text.is_empty() {
            text.push('/');
        }
        text.push_str(&spelled(name));
    }
    // Not `join`: a name may look like a scheme.
    Url::parse(&format!("{base}{text}")).ok().filter(|_| !text.is_empty())
}

fn spelled(name: &OsStr) -> String {
    percent_encode(name.as_bytes(), SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::place::{LONGEST_NAME, place};
    use super::*;

    #[test]
    fn names_are_spelled_as_clients_spell_them() {
        let base = base("https://deb.example/debian").expect("a base");
        let cases = [
            ("pool/m/a_1.0+b1~2.deb", "https://deb.example/debian/pool/m/a_1.0+b1~2.deb"),
            ("a b.iso", "https://deb.example/debian/a%20b.iso"),
            ("a%20b", "https://deb.example/debian/a%2520b"),
            ("what?#x", "https://deb.example/debian/what%3F%23x"),
            ("a\\b", "https://deb.example/debian/a%5Cb"),
            ("é", "https://deb.example/debian/%C3%A9"),
            ("http:x", "https://deb.example/debian/http:x"),
            ("%2e%2e", "https://deb.example/debian/%252e%252e"),
        ];
        for (path, url) in cases {
            assert_eq!(url_of(&base, Path::new(path)).map(String::from).as_deref(), Some(url), "{path}");
        }
        assert_eq!(url_of(&base, Path::new("../x")), None);
        assert_eq!(url_of(&base, Path::new("/x")), None);
        assert_eq!(url_of(&base, Path::new("")), None);
    }

    #[test]
    fn a_base_is_a_place_and_nothing_else() {
        assert_eq!(base("https://a.example").expect("a base").as_str(), "https://a.example/");
        assert_eq!(base("http://a.example:81/x/").expect("a base").as_str(), "http://a.example:81/x/");
        for text in [
            "ftp://a.example/",
            "a.example",
            "https://a.example/?x",
            "https://a.example/#x",
            "https://u@a.example/",
        ] {
            assert!(base(text).is_err(), "{text}");
        }
    }

    fn file_name() -> impl Strategy<Value = OsString> {
        let byte = prop_oneof![3 => Just(b'.'), 3 => Just(b'%'), 20 => 1_u8..=255];
        prop::collection::vec(byte, 1..40)
            .prop_map(|bytes| bytes.into_iter().filter(|byte| *byte != b'/').collect::<Vec<u8>>())
            .prop_filter("a name", |bytes| {
                !bytes.is_empty() && bytes != b"." && bytes != b".." && bytes.len() <= LONGEST_NAME
            })
            .prop_map(OsString::from_vec)
    }

    proptest! {
        #[test]
        fn every_file_of_a_tree_comes_back_to_its_place(names in prop::collection::vec(file_name(), 1..6)) {
            let path: PathBuf = names.iter().collect();
            let url = url_of(&base("https://a.example/").expect("a base"), &path).expect("a URL");
            let expected: Vec<OsString> = ["https", "a.example"].map(OsString::from).into_iter().chain(names).collect();
            prop_assert_eq!(place(&url), Ok(expected), "{}", url);
        }

        #[test]
        fn every_url_with_a_usual_spelling_comes_back(path in "[a-zA-Z0-9._~!$&'()*+,;=:@-]{1,20}(/[a-zA-Z0-9_~!$&'()*+,;=:@-]{1,20}){0,4}") {
            let url = Url::parse(&format!("https://a.example/{path}")).expect("a URL");
            let Ok(names) = place(&url) else { return Ok(()) };
            let file: PathBuf = names.iter().skip(2).collect();
            prop_assert_eq!(url_of(&base("https://a.example/").expect("a base"), &file), Some(url));
        }
    }
}
