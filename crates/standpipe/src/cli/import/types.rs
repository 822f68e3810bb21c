//! [`by_suffix`]: the media type of a file, by its name: what mirrors hold. A name that is not known has none, and
//! clients decide for themselves.

use std::path::Path;

/// Suffix and media type, in order of the suffixes.
const TYPES: &[(&str, &str)] = &[
    ("apk", "application/vnd.android.package-archive"),
    ("asc", "application/pgp-signature"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("deb", "application/vnd.debian.binary-package"),
    ("dtb", "application/octet-stream"),
    ("exe", "application/vnd.microsoft.portable-executable"),
    ("gif", "image/gif"),
    ("gpg", "application/pgp-encrypted"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("img", "application/octet-stream"),
    ("iso", "application/x-iso9660-image"),
    ("jar", "application/java-archive"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("md5", "text/plain"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rpm", "application/x-rpm"),
    ("sha1", "text/plain"),
    ("sha256", "text/plain"),
    ("sha512", "text/plain"),
    ("sig", "application/pgp-signature"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("txt", "text/plain"),
    ("udeb", "application/vnd.debian.binary-package"),
    ("wasm", "application/wasm"),
    ("whl", "application/zip"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The media type by the suffix, in any case.
pub(super) fn by_suffix(path: &Path) -> Option<&'static str> {
    let suffix = path.extension()?.to_str()?.to_ascii_lowercase();
    let place = TYPES.binary_search_by(|(known, _)| known.cmp(&suffix.as_str())).ok()?;
    Some(TYPES[place].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_found_in_any_case() {
        assert!(TYPES.is_sorted(), "or the search finds nothing");
        let kind = |name: &str| by_suffix(Path::new(name));
        assert_eq!(kind("a.tar.gz"), Some("application/gzip"));
        assert_eq!(kind("a/b.ISO"), Some("application/x-iso9660-image"));
        assert_eq!(kind("Packages"), None);
        assert_eq!(kind("a.unheard-of"), None);
    }
}
