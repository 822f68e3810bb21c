//! What would become of a request now, and why: for operators.
//!
//! Asks store, memories and policy what the doors would ask, and changes nothing. Every number is given as a number and in
//! words. Owns nothing but [`Answers`]. Deliberately not here: which rule a request has; the door knows.

mod advice;
mod answers;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use protocols::http::cache_control::{Directive, RequestControl};
use protocols::http::date;
use serde::Serialize;
use store::{Body, BodyState, Entry, Key};

pub(crate) use self::answers::{Answers, Watched};
use crate::exchange::Askers;
use crate::fill::Asking;
use crate::policy::{self, Demand, Freshness, Reuse, Stored, Traffic, Unstorable, ValidateBecause, decide};
use crate::{Cache, Head, Http, Rule, Target, Timestamp};

/// A GET that is to be explained.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// What it is for.
    pub target: &'a Arc<Target>,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// How its door answers.
    pub manner: Manner<'a>,
}

/// How a door answers.
#[derive(Clone, Copy)]
pub enum Manner<'a> {
    /// With any copy that the origin has confirmed within this time.
    Fetch(Duration),
    /// By RFC 9111 and a rule.
    Exchange(&'a Rule),
}

/// What would become of a request now.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The URL that the origin is asked for, secrets masked.
    pub url: String,
    /// Its key.
    pub key: String,
    /// The rule that matches; `fetch` for the fetch door.
    pub rule: String,
    /// `absent`, `growing`, `partial` or `complete`.
    pub state: &'static str,
    /// How the request would be answered: `hit`, `revalidate`, `stale`, `miss`, `bypass`, `negative`, `unavailable`.
    pub answer: &'static str,
    /// Why, as in `Cache-Status`.
    pub reason: &'static str,
    /// The objects of the URL, when there are several.
    pub variants: Vec<Variant>,
    /// The object that is stored for the request.
    pub object: Option<Object>,
    /// Its freshness.
    pub freshness: Option<Arithmetic>,
    /// Why it is as it is, a sentence each.
    pub because: Vec<String>,
    /// What would change it, a sentence each.
    pub advice: Vec<String>,
    /// What the origin has answered lately, the last first.
    pub origin: Vec<Answered>,
}

/// One of several objects of a URL.
#[derive(Debug, Serialize)]
pub struct Variant {
    /// Its key.
    pub key: String,
    /// Whether it answers the request.
    pub selected: bool,
    /// Whether it is still stored.
    pub stored: bool,
}

/// A stored object.
#[derive(Debug, Serialize)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Status of the response.
    pub status: u16,
    /// Bytes that are there.
    pub bytes: u64,
    /// Of how many, when known.
    pub length: Option<u64>,
    /// SHA-256 of a complete body.
    pub sha256: Option<String>,
    /// When the origin last confirmed it, as a date.
    pub confirmed: String,
    /// Until when somebody wants it kept, as a date.
    pub keep_until: String,
    /// Whether an operator wants it confirmed before its next use.
    pub purged: bool,
}

/// The freshness of a stored object, in seconds.
#[derive(Debug, Serialize)]
pub struct Arithmetic {
    /// How old it may become.
    pub lifetime: u64,
    /// Where that comes from.
    pub basis: &'static str,
    /// How old the origin said that it was, when it came.
    pub initial_age: u64,
    /// How long ago that was.
    pub since_confirmed: u64,
    /// The sum.
    pub age: u64,
    /// What is left; negative when it is stale.
    pub ttl: i64,
    /// How long it may be sent stale while it is validated.
    pub stale_while_revalidate: u64,
    /// How long it may stand in for an origin in trouble; `None`: the operator's bound counts.
    pub stale_if_error: Option<u64>,
    /// What else it demands.
    pub demands: Vec<&'static str>,
    /// All of it in words.
    pub sentence: String,
}

/// An answer of an origin.
#[derive(Clone, Debug, Serialize)]
pub struct Answered {
    /// When, as a date.
    pub at: String,
    /// Seconds since then.
    pub ago: u64,
    /// Milliseconds from the request to the head of the answer.
    pub milliseconds: u64,
    /// Method of the request.
    pub method: String,
    /// Status; `None`: there was no answer.
    pub status: Option<u16>,
    /// `answered`, or why there was no answer.
    pub reason: &'static str,
    /// Whether it may be stored: `yes`, or why not.
    pub storable: &'static str,
}

/// What is decided about a request.
struct Verdict {
    answer: &'static str,
    reason: &'static str,
}

impl Cache {
    /// Explains a GET.
    pub async fn explain(&self, subject: Subject<'_>) -> Explanation {
        let Subject { target, manner, .. } = subject;
        let now = self.inner.clock.now();
        let of_url = self.inner.reader.find_partial(&target.key).await;
        let (variants, entry) = self.select(subject, of_url).await;
        let freshness = entry.as_ref().map(|entry| arithmetic(&entry.head, manner, now));
        let verdict = self.verdict(subject, entry.as_deref(), now);
        let remembered = self.inner.answers.of(target.url.as_str());
        let origin: Vec<_> = remembered.iter().map(|answer| answer.shown(subject, now)).collect();
        let unstorable = remembered.first().and_then(|answer| answer.unstorable(subject));
        let (mut because, mut advice) = (Vec::new(), Vec::new());
        because.push(advice::answer(&verdict));
        because.extend(freshness.as_ref().map(|freshness| freshness.sentence.clone()));
        if let Some(refusal) = self.inner.negatives.recall(target.key, None, now) {
            because.push(format!("A refusal is remembered: {refusal}"));
        }
        match (&entry, unstorable) {
            (Some(entry), _) => advice.extend(advice::stored(&entry.head, &verdict, now)),
            (None, Some(why)) => {
                because.push(advice::not_stored(why).to_owned());
                advice.push(advice::to_store(why).to_owned());
            }
            (None, None) if origin.is_empty() => because.push(advice::NEVER_ASKED.to_owned()),
            (None, None) => because.push(advice::GONE.to_owned()),
        }
        Explanation {
            url: target.name.to_string(),
            key: target.key.to_string(),
            rule: match manner {
                Manner::Fetch(_) => "fetch".to_owned(),
                Manner::Exchange(rule) => rule.name.to_string(),
            },
            state: entry.as_ref().map_or("absent", |entry| state(&entry.body)),
            answer: verdict.answer,
            reason: verdict.reason,
            variants,
            object: entry.as_ref().map(|entry| object(entry)),
            freshness,
            because,
            advice,
            origin,
        }
    }

    /// The variants of a URL, and the object that answers the request.
    async fn select(
        &self,
        subject: Subject<'_>,
        of_url: Option<Arc<Entry<Http>>>,
    ) -> (Vec<Variant>, Option<Arc<Entry<Http>>>) {
        let target = subject.target;
        let Some(variants) = of_url.as_ref().and_then(|entry| entry.head.variants.as_ref()) else {
            return (Vec::new(), of_url.filter(|entry| is_selected(entry, subject)));
        };
        let asked = match subject.manner {
            Manner::Fetch(_) => Asking::object(target).request.headers,
            Manner::Exchange(_) => subject.headers.clone(),
        };
        let candidates: Vec<Key> = variants.candidates(target.key, &asked).collect();
        let (mut shown, mut chosen) = (Vec::new(), None::<Arc<Entry<Http>>>);
        for key in variants.keys() {
            let entry = self.inner.reader.find_partial(key).await;
            let selected = candidates.contains(key);
            shown.push(Variant { key: key.to_string(), selected, stored: entry.is_some() });
            let validated = |entry: &Arc<Entry<Http>>| entry.head.validated_at;
            if let Some(entry) = entry.filter(|_| selected)
                && chosen.as_ref().is_none_or(|chosen| validated(chosen) < validated(&entry))
            {
                chosen = Some(entry);
            }
        }
        (shown, chosen)
    }

    fn verdict(&self, subject: Subject<'_>, entry: Option<&Entry<Http>>, now: Timestamp) -> Verdict {
        let verdict = |answer, reason| Verdict { answer, reason };
        let rule = match subject.manner {
            Manner::Fetch(max_age) => return self.fetch_verdict(subject, entry, max_age, now),
            Manner::Exchange(rule) => rule,
        };
        if rule.overrides.traffic == Traffic::Bypassed {
            return verdict("bypass", "rule_bypass");
        }
        let control = RequestControl::from_headers(subject.headers);
        let found = entry.and_then(|entry| Some((entry, entry.head.freshness.as_ref()?)));
        let Some((entry, freshness)) = found else {
            if control.has(Directive::OnlyIfCached) {
                return verdict("unavailable", "only_if_cached");
            }
            let is_known = |askers| self.inner.unstorables.has(subject.target.key, askers, now);
            if Askers::with(subject.headers).iter().copied().any(is_known) {
                return verdict("bypass", "not_storable");
            }
            return verdict("miss", "absent");
        };
        let head = &entry.head;
        let stored = Stored { freshness, age: head.age(now), since_validated: head.since_validated(now) };
        let reuse = match head.is_marked() {
            true => Reuse::Validate(ValidateBecause::Purged),
            false => decide(stored, control, &rule.policy),
        };
        let answer = match reuse {
            Reuse::Fresh(_) => "hit",
            Reuse::Stale(_) | Reuse::StaleWhileRevalidate => "stale",
            Reuse::Validate(_) => "revalidate",
            Reuse::Unavailable(_) => "unavailable",
        };
        verdict(answer, reuse.as_str())
    }

    fn fetch_verdict(
        &self,
        subject: Subject<'_>,
        entry: Option<&Entry<Http>>,
        max_age: Duration,
        now: Timestamp,
    ) -> Verdict {
        let verdict = |answer, reason| Verdict { answer, reason };
        match entry.filter(|entry| entry.head.is_object()) {
            Some(entry) if entry.head.is_marked() => verdict("revalidate", "purged"),
            Some(entry) if entry.head.since_validated(now) < max_age => verdict("hit", "fresh"),
            Some(_) => verdict("revalidate", "expired"),
            None if self.inner.negatives.recall(subject.target.key, None, now).is_some() => {
                verdict("negative", "remembered")
            }
            None => verdict("miss", "absent"),
        }
    }
}

fn is_selected(entry: &Entry<Http>, subject: Subject<'_>) -> bool {
    let selecting = entry.head.selecting.as_ref();
    match subject.manner {
        Manner::Fetch(_) => true,
        Manner::Exchange(_) => {
            selecting.is_none_or(|selecting| selecting.matches(subject.target.key, subject.headers))
        }
    }
}

fn state(body: &Body) -> &'static str {
    match body.state() {
        _ if body.is_partial() => "partial",
        BodyState::Filling => "growing",
        _ => "complete",
    }
}

fn object(entry: &Entry<Http>) -> Object {
    let (head, body) = (&entry.head, &entry.body);
    Object {
        key: entry.key.to_string(),
        status: head.status.as_u16(),
        bytes: body.committed(),
        length: body.length(),
        sha256: body.digest().map(|digest| digest.to_string()),
        confirmed: date::format(head.validated_at.seconds()),
        keep_until: date::format(head.keep_until().seconds().min(date::MAX)),
        purged: head.is_marked(),
    }
}

/// The lifetime by RFC 9111, or that of the fetch door, with the sum of its age.
fn arithmetic(head: &Head, manner: Manner<'_>, now: Timestamp) -> Arithmetic {
    let of_door = |max_age: Duration| Freshness {
        lifetime: u32::try_from(max_age.as_secs()).unwrap_or(u32::MAX),
        ..Freshness::default()
    };
    let (freshness, basis, initial) = match (manner, &head.freshness) {
        // The time since the origin confirmed it is what counts there.
        (Manner::Fetch(max_age), _) => (of_door(max_age), "request_ttl", Duration::ZERO),
        (Manner::Exchange(_), Some(freshness)) => {
            (freshness.clone(), freshness.basis.as_str(), head.initial_age)
        }
        (Manner::Exchange(_), None) => (Freshness::default(), "none", head.initial_age),
    };
    let since = head.since_validated(now);
    let age = initial.saturating_add(since);
    let demands = [
        (Demand::NoCache, "no-cache"),
        (Demand::MustRevalidate, "must-revalidate"),
        (Demand::ProxyRevalidate, "proxy-revalidate"),
        (Demand::SMaxAge, "s-maxage"),
        (Demand::Immutable, "immutable"),
    ];
    let demands = demands.into_iter().filter(|(demand, _)| freshness.demands.has(*demand));
    let mut arithmetic = Arithmetic {
        lifetime: u64::from(freshness.lifetime),
        basis,
        initial_age: initial.as_secs(),
        since_confirmed: since.as_secs(),
        age: age.as_secs(),
        ttl: freshness.ttl(age),
        stale_while_revalidate: u64::from(freshness.stale_while_revalidate),
        stale_if_error: freshness.stale_if_error.map(u64::from),
        demands: demands.map(|(_, word)| word).collect(),
        sentence: String::new(),
    };
    arithmetic.sentence = advice::freshness(&arithmetic);
    arithmetic
}

/// Whether an answer with these fields may be stored, for the subject.
fn may_store(subject: Subject<'_>, answered: policy::Answered<'_>) -> Result<(), Unstorable> {
    let Manner::Exchange(rule) = subject.manner else { return Ok(()) };
    let asked = policy::Asked { method: &Method::GET, url: &subject.target.url, headers: subject.headers };
    rule.may_store(asked, answered).map(drop)
}
