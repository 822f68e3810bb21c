//! [`Shown`]: a stored object as an expression sees it.

use protocols::http::expression::{Number, Subject, Text};
use protocols::http::tags::Tags;
use store::Met;

use super::labels;
use crate::{Http, Timestamp};

/// A stored object at a moment.
pub(crate) struct Shown<'a> {
    met: &'a Met<'a, Http>,
    now: Timestamp,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(met: &'a Met<'a, Http>, now: Timestamp) -> Self {
        Self { met, now }
    }
}

impl Subject for Shown<'_> {
    fn any(&self, field: &Text, fits: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let Met { name, head, .. } = self.met;
        let host = || labels::host(name).unwrap_or_default();
        match field {
            Text::Url => fits(name.as_bytes()),
            Text::Host => fits(host().0.as_bytes()),
            Text::Path => fits(path(name).as_bytes()),
            Text::Tag => Tags::from_headers(&head.headers).names.iter().any(|tag| fits(tag.as_bytes())),
            Text::Header(name) => {
                let lines = head.headers.get_all(name).iter().chain(head.of_site.get_all(name));
                lines.map(http::HeaderValue::as_bytes).any(fits)
            }
        }
    }

    fn number(&self, field: Number) -> u64 {
        let Met { head, bytes, idle, uses, .. } = self.met;
        match field {
            Number::Status => u64::from(head.status.as_u16()),
            Number::Age => head.age(self.now).as_secs(),
            Number::Size => *bytes,
            Number::Idle => u64::from(*idle),
            Number::Uses => u64::from(*uses),
        }
    }
}

/// Path of a canonical URL.
fn path(name: &str) -> &str {
    let after = name.split_once("://").map_or(name, |(_, rest)| rest);
    let path = after.find('/').map_or("/", |at| &after[at..]);
    &path[..path.find(['?', '#']).unwrap_or(path.len())]
}
