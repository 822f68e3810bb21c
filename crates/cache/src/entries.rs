//! Lists of stored objects, for operators: filtered, sorted, a page at a time.
//!
//! A page is made by a look at every entry that keeps no more than the page itself, so that a list of any length takes
//! little memory; it takes the time of that look, and one of the bounded number of them. A [cursor](Page::next) says how
//! far a page went in the order, so pages are right while entries come and go. Owns nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocols::http::expression::Expression;
use protocols::http::tags::Tags;
use serde::Serialize;
use store::{Key, Met, Reader};

use crate::purge::Shown;
use crate::purge::labels;
use crate::{Cache, Http, PurgeRefused, Timestamp};

/// Most objects of a page.
const MOST: usize = 1000;

/// Which objects a list is of; all that are named must fit.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of this host, or host and port.
    pub host: Option<String>,
    /// Whose URL begins so.
    pub prefix: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// With this status.
    pub status: Option<u16>,
    /// In this state.
    pub state: Option<Selection>,
    /// That an expression means.
    pub expression: Option<Expression>,
}

/// The state of stored objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Within their lifetime, or that of their keep.
    Fresh,
    /// Past it.
    Stale,
    /// With bytes missing.
    Partial,
    /// To be confirmed before their next use.
    Purged,
    /// Kept from eviction.
    Pinned,
}

/// By what a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Most bytes first.
    #[default]
    Size,
    /// Oldest first.
    Age,
    /// Most uses that are remembered first.
    Hits,
    /// Used last first.
    LastUse,
}

/// A stored object in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// 32 hexadecimal digits.
    pub key: String,
    /// The URL, secrets masked.
    pub url: String,
    /// Status of the response.
    pub status: u16,
    /// `fresh` or `stale`, and then `partial`, `purged`, `pinned` as they apply.
    pub state: Vec<&'static str>,
    /// Bytes that are stored.
    pub bytes: u64,
    /// Seconds since the origin made the response.
    pub age: u64,
    /// Seconds for which it is fresh, negative when it is stale; `None`: nothing says so.
    pub ttl: Option<i64>,
    /// Uses that are remembered, at most 3.
    pub hits: u8,
    /// Seconds since the last use, in steps of 16.
    pub idle: u32,
    /// Tags.
    pub tags: Vec<Box<str>>,
    /// `Content-Type`.
    pub content_type: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// In order.
    pub entries: Vec<Listed>,
    /// Objects that fit and come after those of the pages before.
    pub remaining: u64,
    /// What the next page begins behind; `None`: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Where an object stands in a list.
type Rank = (u64, Key);

impl Cache {
    /// A page of at most `count` objects, behind a cursor if there is one.
    ///
    /// # Errors
    /// Too many looks at all entries, or the store ends.
    pub async fn entries(
        &self,
        wanted: Wanted,
        order: Order,
        count: usize,
        after: Option<&str>,
    ) -> Result<Page, PurgeRefused> {
        let _walk = self.begin_walk()?;
        let now = self.inner.clock.now();
        let (count, after) = (count.clamp(1, MOST), after.and_then(parse_cursor));
        let wanted = Arc::new(wanted);
        let mut best = Best { count, after, ranked: BTreeSet::new(), remaining: 0 };
        for part in 0..Reader::<Http>::PARTS {
            let (name, of) = (Arc::clone(&wanted), Arc::clone(&wanted));
            let may = move |text: &str| name.may_fit(text);
            let visit = move |best: &mut Best, key: Key, met: &Met<'_, Http>| {
                if of.fits(met, now) {
                    best.offer((order.value(met, now), key), || listed(key, met, now));
                }
            };
            best = self.inner.reader.walk(part, best, may, visit).await.map_err(PurgeRefused::NotKept)?;
        }
        let is_last = best.remaining <= best.ranked.len() as u64;
        let next = best.ranked.last().filter(|_| !is_last).map(|last| cursor(last.rank));
        let entries = best.ranked.into_iter().map(|ranked| ranked.listed).collect();
        Ok(Page { entries, remaining: best.remaining, next })
    }

    /// One object; reads it from the disk when it is cold.
    pub async fn entry(&self, key: &str) -> Option<Listed> {
        let key = &parse_key(key)?;
        let now = self.inner.clock.now();
        self.inner.reader.meet(key, |met| listed(*key, met, now)).await
    }
}

/// The first of all that are offered.
struct Best {
    count: usize,
    after: Option<Rank>,
    ranked: BTreeSet<Ranked>,
    remaining: u64,
}

struct Ranked {
    rank: Rank,
    listed: Listed,
}

impl Best {
    fn offer(&mut self, rank: Rank, listed: impl FnOnce() -> Listed) {
        if self.after.is_some_and(|after| rank <= after) {
            return;
        }
        self.remaining += 1;
        let is_full = self.ranked.len() == self.count;
        if is_full && self.ranked.last().is_some_and(|last| last.rank <= rank) {
            return;
        }
        if is_full {
            self.ranked.pop_last();
        }
        self.ranked.insert(Ranked { rank, listed: listed() });
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl Order {
    /// Small for what comes first.
    fn value(self, met: &Met<'_, Http>, now: Timestamp) -> u64 {
        match self {
            Self::Size => u64::MAX - met.bytes,
            // From when the response is, so that a page later the order is the same.
            Self::Age => {
                let age = u64::try_from(met.head.age(now).as_millis()).unwrap_or(u64::MAX);
                now.0.saturating_sub(age)
            }
            Self::Hits => u64::from(u8::MAX - met.uses),
            Self::LastUse => u64::from(met.idle),
        }
    }
}

impl Wanted {
    fn may_fit(&self, name: &str) -> bool {
        let has_host = |wanted: &String| {
            labels::host(name).is_some_and(|(host, authority)| wanted == host || wanted == authority)
        };
        self.host.as_ref().is_none_or(has_host)
            && self.prefix.as_ref().is_none_or(|prefix| name.starts_with(&**prefix))
    }

    fn fits(&self, met: &Met<'_, Http>, now: Timestamp) -> bool {
        let head = met.head;
        let has_tag =
            |wanted: &String| Tags::from_headers(&head.headers).names.iter().any(|tag| **tag == **wanted);
        head.variants.is_none()
            && self.status.is_none_or(|status| head.status == status)
            && self.state.is_none_or(|state| state.is(met, now))
            && self.tag.as_ref().is_none_or(has_tag)
            && self.expression.as_ref().is_none_or(|expression| expression.matches(&Shown::new(met, now)))
    }
}

impl Selection {
    fn is(self, met: &Met<'_, Http>, now: Timestamp) -> bool {
        match self {
            Self::Fresh => is_fresh(met, now),
            Self::Stale => !is_fresh(met, now),
            Self::Partial => met.is_partial,
            Self::Purged => is_purged(met),
            Self::Pinned => met.is_pinned,
        }
    }
}

/// By RFC 9111 where a lifetime was named; the fetch door has an object for as long as somebody wanted it.
fn is_fresh(met: &Met<'_, Http>, now: Timestamp) -> bool {
    let head = met.head;
    let named = head.freshness.as_ref().filter(|freshness| freshness.lifetime > 0);
    named.map_or(now < head.keep_until(), |freshness| freshness.is_fresh(head.age(now)))
}

fn is_purged(met: &Met<'_, Http>) -> bool {
    met.is_marked || met.head.is_marked()
}

fn listed(key: Key, met: &Met<'_, Http>, now: Timestamp) -> Listed {
    let head = met.head;
    let mut state = vec![if is_fresh(met, now) { "fresh" } else { "stale" }];
    let more = [(met.is_partial, "partial"), (is_purged(met), "purged"), (met.is_pinned, "pinned")];
    state.extend(more.into_iter().filter(|(is_so, _)| *is_so).map(|(_, word)| word));
    let content_type = head.headers.get(http::header::CONTENT_TYPE);
    Listed {
        key: key.to_string(),
        url: met.name.to_owned(),
        status: head.status.as_u16(),
        state,
        bytes: met.bytes,
        age: head.age(now).as_secs(),
        ttl: head.freshness.as_ref().map(|freshness| freshness.ttl(head.age(now))),
        hits: met.uses,
        idle: met.idle,
        tags: Tags::from_headers(&head.headers).names,
        content_type: content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
    }
}

fn cursor((value, key): Rank) -> String {
    format!("{value:x}.{key}")
}

fn parse_cursor(text: &str) -> Option<Rank> {
    let (value, key) = text.split_once('.')?;
    Some((u64::from_str_radix(value, 16).ok()?, parse_key(key)?))
}

/// A key from 32 hexadecimal digits.
fn parse_key(text: &str) -> Option<Key> {
    let is_key = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(|number| Key::new(number.to_be_bytes()))
}
