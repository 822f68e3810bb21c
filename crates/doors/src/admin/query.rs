//! Parameters of the operators' pages: decoded, in order, each as often as it was given.

use std::borrow::Cow;

use http::request::Parts as RequestHead;
use protocols::http::query::{Plus, decode};

use crate::respond::Refusal;

/// Names and values.
pub(super) type Query<'q> = Vec<(Cow<'q, str>, Cow<'q, str>)>;

/// The parameters of a request.
pub(super) fn read(head: &RequestHead) -> Result<Query<'_>, Refusal> {
    let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name, Plus::Space).ok()?, decode(value, Plus::Space).ok()?))
    });
    let detail = "a parameter is not UTF-8 after percent-decoding; encode it once, as UTF-8";
    decoded.collect::<Option<_>>().ok_or_else(|| Refusal::bad_request("query_invalid", detail))
}

/// The last value of a parameter.
pub(super) fn one<'q>(query: &'q Query<'_>, name: &str) -> Option<&'q str> {
    query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| &**value)
}

/// Every value of a parameter.
pub(super) fn all<'q>(query: &'q Query<'_>, name: &str) -> impl Iterator<Item = &'q str> {
    query.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
}
