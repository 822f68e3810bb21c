//! The paths of the operators' door, in one table: what answers is found by it, and the OpenAPI description is made of it.
//!
//! Pure. A template has at most one `{…}`, which stands for one segment. A slash at the end of a path below `/api/v1/`
//! changes nothing.

use Place::{
    Delete, Elsewhere, Entries, Entry, Explain, Health, Index, Metrics, OpenApi, Pin, Pins, Prewarm,
    PrewarmEvents, Prewarms, Purge, Scrub, Status,
};

/// What answers a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Index,
    Status,
    Health,
    Delete,
    Scrub,
    Metrics,
    Pins,
    Pin,
    Purge,
    Explain,
    Entries,
    Entry,
    Prewarms,
    Prewarm,
    PrewarmEvents,
    OpenApi,
    /// Another door.
    Elsewhere,
}

/// A path and what can be done there.
pub(super) struct Route {
    pub(super) template: &'static str,
    pub(super) place: Place,
    pub(super) operations: &'static [Operation],
}

/// What a method does.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) summary: &'static str,
    /// Name, whether it must be there, what it says.
    pub(super) parameters: &'static [(&'static str, bool, &'static str)],
    /// Members of the JSON that is sent, and what they say.
    pub(super) content: &'static [(&'static str, &'static str)],
    /// `Content-Type` of the answer.
    pub(super) answer: &'static str,
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const ANYTHING: &str = "*/*";
const EVENTS: &str = "text/event-stream";

const fn get(summary: &'static str, answer: &'static str) -> Operation {
    Operation { method: "get", summary, parameters: &[], content: &[], answer }
}

const fn by(method: &'static str, summary: &'static str) -> Operation {
    Operation { method, summary, parameters: &[], content: &[], answer: JSON }
}

const fn route(template: &'static str, place: Place, operations: &'static [Operation]) -> Route {
    Route { template, place, operations }
}

const FETCH_PARAMETERS: &[(&str, bool, &str)] = &[
    ("url", true, "The object, an http or https URL"),
    ("ttl", false, "Oldest copy that is good enough, and how long it is kept, such as 10d"),
    ("sha256", false, "Digest that the object must have, 64 hexadecimal digits"),
    ("revalidate", false, "`always`: the origin is asked every time"),
    ("passheaders", false, "Names of request fields that are passed to the origin, separated by commas"),
];

const EXPLAIN_PARAMETERS: &[(&str, bool, &str)] = &[
    ("url", true, "What is asked for: a URL, or a path on this server such as /r/NAME/path"),
    ("header", false, "A field of the request, `Name: value`; may be given again"),
    ("door", false, "`fetch`, `site` or `proxy`; otherwise the site of that host, else the fetch door"),
    ("ttl", false, "That of a request to the fetch door, such as 10d"),
];

const ENTRIES_PARAMETERS: &[(&str, bool, &str)] = &[
    ("host", false, "Of this host, or host:port"),
    ("prefix", false, "Whose URL begins so"),
    ("tag", false, "With this tag in Cache-Tag, Surrogate-Key or xkey"),
    ("status", false, "With this status"),
    ("state", false, "`fresh`, `stale`, `partial`, `purged` or `pinned`"),
    ("expression", false, "That this expression means"),
    ("sort", false, "`size`, `age`, `hits` or `last_use`; otherwise size"),
    ("limit", false, "Most entries of the page, 1 to 1000; otherwise 100"),
    ("cursor", false, "`next` of the page before"),
];

const PURGE_CONTENT: &[(&str, &str)] = &[
    ("url", "This URL, or path on this server, with all its variants"),
    ("prefix", "Every URL that begins so"),
    ("host", "Every URL of this host, or host:port"),
    ("tag", "Every object with this tag"),
    ("expression", "Every object that this expression means, such as `host == \"h\" && age > 1d`"),
    ("mode", "`hard`: they go (so it is without); `soft`: the origin confirms them before their next use"),
    ("dry_run", "true: they are only counted"),
];

const PIN_CONTENT: &[(&str, &str)] = &[
    ("url", "This URL"),
    ("prefix", "Every URL that begins so"),
    ("tag", "Every object with this tag"),
    ("ttl", "For how long, such as 7d"),
    ("name", "What people call it"),
];

/// Every path.
pub(super) const ROUTES: &[Route] = &[
    route("/", Index, &[get("What this server is", TEXT)]),
    route("/metrics", Metrics, &[get("Metrics, for Prometheus", "application/openmetrics-text")]),
    route("/api/v1/status", Status, &[get("Counts", JSON)]),
    route("/api/v1/health", Health, &[get("200 while this server wants requests, else 503", TEXT)]),
    route(
        "/api/v1/fetch",
        Elsewhere,
        &[Operation { parameters: FETCH_PARAMETERS, ..get("An object", ANYTHING) }],
    ),
    route(
        "/api/v1/fetch/{filename}",
        Elsewhere,
        &[Operation {
            parameters: FETCH_PARAMETERS,
            ..get("An object, to be saved under this name", ANYTHING)
        }],
    ),
    route("/api/v1/delete", Delete, DELETE),
    route(
        "/api/v1/purge",
        Purge,
        &[Operation { content: PURGE_CONTENT, ..by("post", "Takes objects out, or has them confirmed") }],
    ),
    route(
        "/api/v1/explain",
        Explain,
        &[Operation {
            parameters: EXPLAIN_PARAMETERS,
            ..get("What would become of a request, and why", JSON)
        }],
    ),
    route(
        "/api/v1/entries",
        Entries,
        &[Operation { parameters: ENTRIES_PARAMETERS, ..get("What is stored, a page at a time", JSON) }],
    ),
    route("/api/v1/entries/{key}", Entry, &[get("One stored object", JSON)]),
    route("/api/v1/prewarm", Prewarms, PREWARM),
    route(
        "/api/v1/prewarm/{id}",
        Prewarm,
        &[get("How far a list is", JSON), by("delete", "Ends it; what has begun goes on")],
    ),
    route(
        "/api/v1/prewarm/{id}/events",
        PrewarmEvents,
        &[get("The same whenever it changes, to its end", EVENTS)],
    ),
    route(
        "/api/v1/pins",
        Pins,
        &[
            get("What is not to be evicted", JSON),
            Operation { content: PIN_CONTENT, ..by("post", "Keeps objects from eviction until a time") },
        ],
    ),
    route("/api/v1/pins/{id}", Pin, &[get("One pin", JSON), by("delete", "Takes it away")]),
    route("/api/v1/scrub", Scrub, SCRUB),
    route(
        "/api/v1/reload",
        Elsewhere,
        &[Operation { answer: TEXT, ..by("post", "Reads the configuration again; says what has changed") }],
    ),
    route("/api/v1/openapi.json", OpenApi, &[get("This description", JSON)]),
];

const DELETE: &[Operation] = &[
    Operation { parameters: FETCH_PARAMETERS, answer: TEXT, ..by("post", "Forgets an object") },
    Operation { parameters: FETCH_PARAMETERS, answer: TEXT, ..by("delete", "The same") },
];

const PREWARM: &[Operation] = &[Operation {
    parameters: &[("ttl", false, "Oldest copy that is good enough, and how long it is kept, such as 10d")],
    ..by("post", "Fetches a list of URLs: a JSON array, or one a line; answers with its id")
}];

const SCRUB: &[Operation] = &[
    get("How far the comparison of stored bodies with their digests is", JSON),
    Operation {
        parameters: &[("rate", false, "Most bytes read in a second, such as 50MB")],
        ..by("post", "Begins it")
    },
    by("delete", "Ends it"),
];

/// What answers a path, and the segment that the template leaves open.
pub(super) fn find(path: &str) -> Option<(Place, &str)> {
    let path = match path.strip_prefix("/api/v1/") {
        Some(rest) => &path[..path.len() - (rest.len() - rest.trim_end_matches('/').len()).min(1)],
        None => path,
    };
    let found = ROUTES.iter().filter(|route| route.place != Elsewhere);
    found.into_iter().find_map(|route| Some((route.place, fill(route.template, path)?)))
}

/// The segment that stands for the open one; empty when there is none.
fn fill<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = template.split_once('{') else {
        return (template == path).then_some("");
    };
    let after = after.split_once('}').map_or("", |(_, after)| after);
    let segment = path.strip_prefix(before)?.strip_suffix(after)?;
    (!segment.is_empty() && !segment.contains('/')).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_with_and_without_a_slash_at_the_end() {
        for (path, found) in [
            ("/", Some((Index, ""))),
            ("/metrics", Some((Metrics, ""))),
            ("/metrics/", None),
            ("/api/v1/status", Some((Status, ""))),
            ("/api/v1/status/", Some((Status, ""))),
            ("/api/v1/status//", None),
            ("/api/v1/status/x", None),
            ("/api/v1/pins/", Some((Pins, ""))),
            ("/api/v1/pins/7", Some((Pin, "7"))),
            ("/api/v1/prewarm/7", Some((Prewarm, "7"))),
            ("/api/v1/prewarm/7/events", Some((PrewarmEvents, "7"))),
            ("/api/v1/prewarm//events", None),
            ("/api/v1/prewarm/7/8/events", None),
            ("/api/v1/fetch", None),
            ("/api/v1/", None),
            ("/api/v1", None),
        ] {
            assert_eq!(find(path), found, "{path}");
        }
    }
}
