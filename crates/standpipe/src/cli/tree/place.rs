//! [`place`]: the file that stands for a URL in a tree.
//!
//! The mapping is the one every static web server does backwards: path segments are percent-decoded once and become
//! names. What has no such file is refused, never renamed: a name made up here is one that nobody would ask for. Pure.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

use percent_encoding::percent_decode_str;
use url::{Position, Url};

/// Longest name in a directory on Linux, in bytes.
pub(super) const LONGEST_NAME: usize = 255;

/// Longest path that can be opened at once, with room for the directory above the tree, in bytes.
pub(super) const LONGEST_PATH: usize = 4096 - 1024;

/// Why a URL has no place in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Unfit {
    /// A file's name has no query.
    Query,
    /// `/` at the end, or twice in a row: a directory is no file, and a name is not empty.
    EmptySegment,
    /// `.` and `..` are directories.
    Dots,
    /// An encoded `/` or NUL, which no name can hold.
    ImpossibleCharacter,
    /// A name of more than 255 bytes, or a path of more than 3072.
    TooLong,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Query => "it has a query, which no file name can have",
            Self::EmptySegment => "a part of its path is empty, but a file needs a name",
            Self::Dots => "a part of its path is `.` or `..`, which are directories",
            Self::ImpossibleCharacter => {
                "a part of its path holds an encoded `/` or NUL, which no file name can hold"
            }
            Self::TooLong => {
                "a name of more than 255 bytes, or a path of more than 3072, fits no file system"
            }
        })
    }
}

/// The names from the tree's root to the file: scheme, authority, then the path, decoded.
pub(in crate::cli) fn place(url: &Url) -> Result<Vec<OsString>, Unfit> {
    if url.query().is_some() {
        return Err(Unfit::Query);
    }
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    let path = url.path().strip_prefix('/').unwrap_or(url.path());
    let mut names = vec![name(url.scheme())?, name(authority)?];
    for segment in path.split('/') {
        names.push(name(segment)?);
    }
    let length: usize = names.iter().map(|name| name.len() + 1).sum();
    if length > LONGEST_PATH { Err(Unfit::TooLong) } else { Ok(names) }
}

fn name(segment: &str) -> Result<OsString, Unfit> {
    let bytes: Vec<u8> = percent_decode_str(segment).collect();
    match bytes.as_slice() {
        [] => Err(Unfit::EmptySegment),
        b"." | b".." => Err(Unfit::Dots),
        bytes if bytes.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(Unfit::ImpossibleCharacter),
        bytes if bytes.len() > LONGEST_NAME => Err(Unfit::TooLong),
        _ => Ok(OsString::from_vec(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn placed(url: &str) -> Result<PathBuf, Unfit> {
        place(&Url::parse(url).expect("a URL")).map(|names| names.iter().collect())
    }

    #[test]
    fn a_url_becomes_scheme_host_and_decoded_path() {
        let cases = [
            ("https://a.example/x/y.iso", "https/a.example/x/y.iso"),
            ("http://a.example:8080/x", "http/a.example:8080/x"),
            ("https://a.example:443/x", "https/a.example/x"),
            ("http://[::1]:81/x", "http/[::1]:81/x"),
            ("https://a.example/a%20b+c%2520", "https/a.example/a b+c%20"),
            ("https://a.example/%c3%a9", "https/a.example/é"),
            ("https://a.example/x/...", "https/a.example/x/..."),
            ("https://a.example/-rf", "https/a.example/-rf"),
        ];
        for (url, path) in cases {
            assert_eq!(placed(url), Ok(PathBuf::from(path)), "{url}");
        }
    }

    #[test]
    fn what_has_no_place_is_refused_and_never_renamed() {
        let long = format!("https://a.example/{}", "x".repeat(256));
        let deep = format!("https://a.example/{}x", "x/".repeat(2000));
        let cases = [
            ("https://a.example/x?y", Unfit::Query),
            ("https://a.example/x?", Unfit::Query),
            ("https://a.example/", Unfit::EmptySegment),
            ("https://a.example/x/", Unfit::EmptySegment),
            ("https://a.example/x//y", Unfit::EmptySegment),
            ("https://a.example/x%2fy", Unfit::ImpossibleCharacter),
            ("https://a.example/..%2f..%2fetc", Unfit::ImpossibleCharacter),
            ("https://a.example/x%00", Unfit::ImpossibleCharacter),
            (&long, Unfit::TooLong),
            (&deep, Unfit::TooLong),
        ];
        for (url, unfit) in cases {
            assert_eq!(placed(url), Err(unfit), "{url}");
        }
        assert_eq!(name(".."), Err(Unfit::Dots));
        assert_eq!(name("%2e%2E"), Err(Unfit::Dots));
    }

    proptest! {
        #[test]
        fn no_url_leaves_the_tree(path in "(/|%2[fFeE]|\\.|%00|[a-z%?\\\\;:@é]){0,40}") {
            let Ok(url) = Url::parse(&format!("https://a.example/{path}")) else { return Ok(()) };
            let Ok(names) = place(&url) else { return Ok(()) };
            prop_assert!(names.len() >= 3);
            for name in names {
                let bytes = name.as_bytes();
                prop_assert!(!bytes.is_empty() && bytes.len() <= LONGEST_NAME && bytes != b"." && bytes != b"..");
                prop_assert!(!bytes.contains(&b'/') && !bytes.contains(&0));
            }
        }
    }
}
