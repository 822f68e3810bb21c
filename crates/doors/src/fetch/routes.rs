//! Which form of the fetch door a path is, and what of it names the object.

/// What a path asks of the fetch door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/api/v1/fetch`, `/api/v1/fetch/` and `/api/v1/fetch/<filename>`: the URL is a parameter.
    Query {
        /// The path's last segment, not decoded.
        filename: Option<&'a str>,
        /// Everything after the first `?`.
        query: &'a str,
    },
    /// `/https://host/path?query`: the URL is the rest, as it stands.
    Verbatim(&'a str),
    /// `/https:/host`: something on the way has merged the slashes.
    Merged,
}

const FETCH: &str = "/api/v1/fetch";

/// Whether `path` belongs to this door: then the door also answers what is wrong with it.
pub(super) fn owns(path: &str) -> bool {
    let below_fetch = path.strip_prefix(FETCH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below_fetch || after_scheme(path).is_some()
}

/// `None` for a path below the door that is none of its forms.
pub(super) fn route(path_and_query: &str) -> Option<Route<'_>> {
    if let Some(rest) = after_scheme(path_and_query) {
        return Some(if rest.starts_with("//") {
            Route::Verbatim(&path_and_query[1..])
        } else {
            Route::Merged
        });
    }
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let filename = match path.strip_prefix(FETCH)? {
        "" | "/" => None,
        rest => Some(rest.strip_prefix('/').filter(|name| !name.contains('/'))?),
    };
    Some(Route::Query { filename, query })
}

/// What follows `/http:` or `/https:`, in any case.
fn after_scheme(path: &str) -> Option<&str> {
    ["/http:", "/https:"].into_iter().find_map(|prefix| {
        let start = path.get(..prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| &path[prefix.len()..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_known() {
        let query = |filename, query| Some(Route::Query { filename, query });
        let cases = [
            ("/api/v1/fetch?url=x", query(None, "url=x")),
            ("/api/v1/fetch/?url=x", query(None, "url=x")),
            ("/api/v1/fetch", query(None, "")),
            ("/api/v1/fetch/a%20b.bin?url=x", query(Some("a%20b.bin"), "url=x")),
            ("/api/v1/fetch/a?url=https://h/p?x=1&y=2", query(Some("a"), "url=https://h/p?x=1&y=2")),
            ("/api/v1/fetch/a/b?url=x", None),
            ("/api/v1/fetch//?url=x", None),
            ("/api/v1/fetched?url=x", None),
            ("/api/v1/status/", None),
            ("/https://h/p?q=%2F", Some(Route::Verbatim("https://h/p?q=%2F"))),
            ("/HTTP://h//p?a?b", Some(Route::Verbatim("HTTP://h//p?a?b"))),
            ("/https:/h/p", Some(Route::Merged)),
            ("/https:", Some(Route::Merged)),
            ("/ftp://h/p", None),
            ("/é", None),
            ("*", None),
        ];
        for (target, expected) in cases {
            assert_eq!(route(target), expected, "{target}");
        }
    }

    #[test]
    fn the_door_owns_its_forms_and_their_mistakes_only() {
        for path in ["/api/v1/fetch", "/api/v1/fetch/", "/api/v1/fetch/a/b", "/https://h/", "/Http:/h"] {
            assert!(owns(path), "{path}");
        }
        for path in ["/", "/api/v1/fetched", "/api/v1/status/", "/httpx://h/", "/ftp://h/", "/éééé", "*"]
        {
            assert!(!owns(path), "{path}");
        }
    }
}
