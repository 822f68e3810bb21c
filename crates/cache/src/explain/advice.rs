//! The sentences of an explanation. Pure.

use super::{Arithmetic, Verdict};
use crate::policy::{Demand, Unstorable};
use crate::{Head, Timestamp};

pub(super) const NEVER_ASKED: &str = "Nothing is stored, and the origin was not asked since this server started (or too long ago to be remembered).";
pub(super) const GONE: &str = "Nothing is stored for this request, although the origin was asked: it was evicted, purged, made invalid by an unsafe \
     method, or the transfer did not end well.";

pub(super) fn answer(verdict: &Verdict) -> String {
    let what = match verdict.answer {
        "hit" => "The stored object answers at once",
        "stale" => "The stored object answers although it is stale",
        "revalidate" => "The origin is asked whether the stored object is still right",
        "bypass" => "The request goes past the store",
        "negative" => "The request is refused without asking the origin",
        "unavailable" => "The request is answered 504",
        _ => "The origin is asked for the object",
    };
    format!("{what} ({}).", verdict.reason)
}

pub(super) fn freshness(of: &Arithmetic) -> String {
    let from = match of.basis {
        "s_maxage" => "from s-maxage",
        "max_age" => "from max-age",
        "expires" => "from Expires and Date",
        "heuristic" => "guessed from Last-Modified",
        "rule_ttl" => "from the rule, in place of the origin's",
        "rule_default_ttl" => "from the rule, since the origin names none",
        "rule_error_ttl" => "from the rule for errors",
        "request_ttl" => "from the request's ttl",
        _ => "since nothing names one",
    };
    let (age, lifetime) = (of.age, of.lifetime);
    let left = match of.ttl {
        left if left > 0 => format!("so it is fresh for {left} s more"),
        left => format!("so it has been stale for {} s", left.unsigned_abs()),
    };
    format!(
        "Its age is {age} s ({} s when it came + {} s since then), its lifetime {lifetime} s ({from}), {left}.",
        of.initial_age, of.since_confirmed
    )
}

/// What would change the answer for a stored object.
pub(super) fn stored(head: &Head, verdict: &Verdict, now: Timestamp) -> Vec<String> {
    let mut advice = Vec::new();
    let mut say = |sentence: &str| advice.push(sentence.to_owned());
    match verdict.reason {
        "purged" => say("The next request has the origin confirm it; then it answers again."),
        "no_cache" => {
            say("The origin sends no-cache; max-age with must-revalidate would let it answer while fresh.")
        }
        "stale" | "must_revalidate" | "s_maxage" | "proxy_revalidate" | "expired" => {
            say("A longer max-age of the origin, or `ttl` in a rule, would keep it fresh for longer.");
        }
        "request_no_cache" | "request_max_age" | "request_min_fresh" => {
            say("The request asks for that; `reload-floor` bounds how often clients can.");
        }
        _ => {}
    }
    if verdict.answer == "revalidate" && head.validators.is_empty() {
        say("It has neither ETag nor Last-Modified, so all of it is fetched again; let the origin send one.");
    }
    let swr = head.freshness.as_ref().filter(|freshness| {
        freshness.stale_while_revalidate == 0
            && !freshness.is_fresh(head.age(now))
            && !freshness.demands.has(Demand::NoCache)
    });
    if swr.is_some() {
        say(
            "With stale-while-revalidate, of the origin or in a rule, clients would not wait for the confirmation.",
        );
    }
    advice
}

pub(super) const fn not_stored(why: Unstorable) -> &'static str {
    match why {
        Unstorable::RuleBypass => "The last answer was not stored: a rule keeps the cache out.",
        Unstorable::Method => "The last answer was not stored: it answers a method that is not cached.",
        Unstorable::NotFinal => "The last answer was not stored: its status is none of HTTP.",
        Unstorable::PartialContent => {
            "The last answer was a part that could not be put together with others."
        }
        Unstorable::NotModified => "The last answer said that the stored object is still right.",
        Unstorable::AnswersFields => {
            "The last answer was not stored: it answers fields of its own request only."
        }
        Unstorable::RequestNoStore => "The last answer was not stored: the request says no-store.",
        Unstorable::NoStore => "The last answer was not stored: it says no-store.",
        Unstorable::Private => "The last answer was not stored: it says private.",
        Unstorable::NotUnderstood => {
            "The last answer was not stored: it says must-understand, and its status is not known."
        }
        Unstorable::VaryAny => "The last answer was not stored: its Vary says `*` or names too many fields.",
        Unstorable::SetCookie => {
            "The last answer was not stored: it sets a cookie, and the rule refuses that."
        }
        Unstorable::Authorization => "The last answer was not stored: the request has Authorization.",
        Unstorable::StatusNeedsFreshness => {
            "The last answer was not stored: its status needs a lifetime, and it names none."
        }
        Unstorable::NoFreshness => {
            "The last answer was not stored: it has neither a lifetime nor a validator."
        }
        Unstorable::NoValidator => {
            "The last answer was not stored: it must always be confirmed and has no validator."
        }
    }
}

pub(super) const fn to_store(why: Unstorable) -> &'static str {
    match why {
        Unstorable::RuleBypass => "Take `bypass` out of the rule.",
        Unstorable::NoStore | Unstorable::Private => {
            "Let the origin send another Cache-Control, or a CDN-Cache-Control for caches; or ignore its directives in a rule."
        }
        Unstorable::VaryAny => "Let the origin name the few fields that its answer depends on.",
        Unstorable::SetCookie => "Strip Set-Cookie in the rule, if nobody needs it.",
        Unstorable::Authorization => {
            "Let the origin say public, s-maxage or must-revalidate if the answer is for everybody."
        }
        Unstorable::StatusNeedsFreshness | Unstorable::NoFreshness => {
            "Let the origin send max-age, or name a lifetime for such answers in a rule."
        }
        Unstorable::NoValidator => "Let the origin send ETag or Last-Modified.",
        Unstorable::RequestNoStore => "Ask without no-store.",
        _ => "Nothing in the configuration changes that.",
    }
}
