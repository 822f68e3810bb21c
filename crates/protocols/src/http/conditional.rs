//! Preconditions (RFC 9110 section 13): what a client demands of the representation we have, and what we know of it.
//!
//! Pure values. Callers evaluate them only where a request without them would get a 2xx (RFC 9110 section 13.2.1);
//! nothing here knows about stored statuses, methods but GET and HEAD, or times of reception.

use http::HeaderMap;
use http::header::{
    DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};

use super::date;
pub use super::etag::EntityTag;
use super::etag::TagList;
use super::field::singleton;

/// Seconds by which `Date` must be later than `Last-Modified` before the latter counts as strong. RFC 9110 section
/// 8.8.2.2 wants one second on the same clock, or "enough difference" to rule out clock trouble; we cannot know the
/// clocks, so it is the 60 seconds that RFC 7232 named.
const STRONG_AFTER: u64 = 60;

/// Validators of a stored representation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<EntityTag>,
    /// `Last-Modified` in seconds since 1970.
    pub last_modified: Option<u64>,
    /// The origin's `Date` in seconds since 1970, to judge whether Last-Modified is strong (RFC 9110 8.8.2.2).
    pub date: Option<u64>,
}

impl Validators {
    /// Reads `ETag`, `Last-Modified` and `Date` of a response; a malformed or repeated one counts as absent.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let time = |name| date::parse(singleton(headers, name)?.as_bytes());
        Self {
            etag: singleton(headers, &ETAG).and_then(|value| EntityTag::parse(value.as_bytes())),
            last_modified: time(&LAST_MODIFIED),
            date: time(&DATE),
        }
    }

    /// A validator for `If-Range`: a strong tag, or, when there is no tag at all, a Last-Modified that is strong
    /// (RFC 9110 section 13.1.5). Tags beyond ASCII are not offered.
    pub fn strong(&self) -> Option<String> {
        let Some(tag) = &self.etag else {
            return self.strong_last_modified().map(date::format);
        };
        let opaque = std::str::from_utf8(&tag.opaque).ok().filter(|opaque| opaque.is_ascii())?;
        (!tag.weak).then(|| format!("\"{opaque}\""))
    }

    /// Whether there is neither a tag nor a Last-Modified.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    fn strong_last_modified(&self) -> Option<u64> {
        let last_modified = self.last_modified?;
        (self.date? >= last_modified.saturating_add(STRONG_AFTER)).then_some(last_modified)
    }
}

/// A client's preconditions; cheap (`is_empty`) when there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<TagList>,
    if_none_match: Option<TagList>,
    if_modified_since: Option<u64>,
    if_unmodified_since: Option<u64>,
    if_range: Option<IfRange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum IfRange {
    Tag(EntityTag),
    Date(u64),
    /// Malformed: the range does not apply.
    Never,
}

/// What the preconditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Conditions {
    /// Reads If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range: five look-ups, and nothing
    /// allocated when none is there.
    ///
    /// Malformed or repeated dates are ignored (RFC 9110 sections 13.1.3 and 13.1.4); malformed tags match nothing,
    /// so that a broken If-None-Match or If-Range gets the whole and a broken If-Match gets 412.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let time = |name| date::parse(singleton(headers, name)?.as_bytes());
        Self {
            if_match: TagList::from_lines(headers.get_all(IF_MATCH)),
            if_none_match: TagList::from_lines(headers.get_all(IF_NONE_MATCH)),
            if_modified_since: time(&IF_MODIFIED_SINCE),
            if_unmodified_since: time(&IF_UNMODIFIED_SINCE),
            if_range: if_range(headers),
        }
    }

    /// Whether there is none, not even a malformed one that counts.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_modified_since.is_none()
            && self.if_unmodified_since.is_none()
            && self.if_range.is_none()
    }

    /// RFC 9110 section 13.2.2, for GET and HEAD.
    pub fn evaluate(&self, validators: &Validators) -> Verdict {
        if !self.may_go_on(validators) {
            return Verdict::Failed;
        }
        if self.is_unmodified(validators) { Verdict::NotModified } else { Verdict::Proceed }
    }

    /// Whether a `Range` applies: no If-Range, or one that matches strongly (RFC 9110 section 13.1.5).
    pub fn range_applies(&self, validators: &Validators) -> bool {
        match &self.if_range {
            None => true,
            Some(IfRange::Tag(wanted)) => validators.etag.as_ref().is_some_and(|tag| tag.strong_eq(wanted)),
            Some(IfRange::Date(wanted)) => validators.strong_last_modified() == Some(*wanted),
            Some(IfRange::Never) => false,
        }
    }

    /// Steps 1 and 2: If-Match, or without it If-Unmodified-Since, which is void when no date is known.
    fn may_go_on(&self, validators: &Validators) -> bool {
        match (&self.if_match, self.if_unmodified_since, validators.last_modified) {
            (Some(list), ..) => matches(list, validators, EntityTag::strong_eq),
            (None, Some(limit), Some(modified)) => modified <= limit,
            _ => true,
        }
    }

    /// Steps 3 and 4: If-None-Match, or without it If-Modified-Since, for which a cache takes the stored `Date` when
    /// there is no Last-Modified (RFC 9111 section 4.3.2).
    fn is_unmodified(&self, validators: &Validators) -> bool {
        match (&self.if_none_match, self.if_modified_since, validators.last_modified.or(validators.date)) {
            (Some(list), ..) => matches(list, validators, EntityTag::weak_eq),
            (None, Some(since), Some(modified)) => modified <= since,
            _ => false,
        }
    }
}

fn matches(list: &TagList, validators: &Validators, equal: fn(&EntityTag, &EntityTag) -> bool) -> bool {
    match (list, &validators.etag) {
        (TagList::Any, _) => true,
        (TagList::Tags(wanted), Some(tag)) => wanted.iter().any(|wanted| equal(wanted, tag)),
        (TagList::Tags(_), None) => false,
    }
}

fn if_range(headers: &HeaderMap) -> Option<IfRange> {
    let mut lines = headers.get_all(IF_RANGE).iter();
    let value = lines.next()?.as_bytes();
    if lines.next().is_some() {
        return Some(IfRange::Never);
    }
    let tag = EntityTag::parse(value).map(IfRange::Tag);
    Some(tag.or_else(|| date::parse(value).map(IfRange::Date)).unwrap_or(IfRange::Never))
}

#[cfg(test)]
mod tests;
