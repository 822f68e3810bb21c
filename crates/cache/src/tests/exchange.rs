//! Exchanges (sites and proxies, RFC 9111) on the real store, with a scripted origin.

mod invalidating;
mod ranges;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::exchange::Exchange;
use crate::tests::origin::Reply;
use crate::{Manners, Outcome, Rule};

/// One request.
#[derive(Clone)]
struct Asked {
    method: http::Method,
    headers: HeaderMap,
    rule: Arc<Rule>,
    url: &'static str,
}

fn get() -> Asked {
    Asked {
        method: http::Method::GET,
        headers: HeaderMap::new(),
        rule: Arc::new(Rule::plain("test")),
        url: URL,
    }
}

impl Asked {
    fn method(method: &str) -> Self {
        Self { method: method.parse().expect("a method"), ..get() }
    }

    fn field(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }
}

fn target(url: &str) -> Arc<Target> {
    let url = CanonicalUrl::parse(url).expect("a URL");
    Arc::new(Target::new(url, Vec::new(), &hasher()))
}

fn hasher() -> KeyHasher {
    KeyHasher::new([1; 32])
}

impl Bed {
    async fn exchange(&self, asked: Asked) -> Full {
        Full::of(self.try_exchange(asked).await.expect("an answer")).await
    }

    async fn try_exchange(&self, asked: Asked) -> Result<Answer, crate::Error> {
        let (target, hasher) = (target(asked.url), hasher());
        let exchange = Exchange {
            target: &target,
            method: &asked.method,
            headers: &asked.headers,
            rule: &asked.rule,
            manners: Manners::default(),
            hasher: &hasher,
        };
        if let Some(answer) = self.cache.exchange_now(&exchange) {
            return Ok(answer);
        }
        self.cache.exchange(exchange, None).await
    }

    /// Answers every request of one kind so from now on.
    fn replies(&self, reply: impl Fn() -> Reply + Send + Sync + 'static) {
        self.origin.always(move |_| reply());
    }
}

fn fresh(body: &[u8]) -> Reply {
    Reply::whole(body).field("cache-control", "max-age=60").field("etag", "\"v1\"")
}

#[tokio::test]
async fn rfc9111_4_2_a_fresh_response_is_used_again_and_a_stale_one_validated() {
    let bed = Bed::new();
    bed.origin
        .then(fresh(b"one").field("x-other", "kept").field("set-cookie", "a=1").field("set-cookie", "b=2"));
    let first = bed.exchange(get()).await;
    assert_eq!(
        (first.outcome, first.status, &first.body.clone().expect("a body")[..]),
        (Outcome::Miss, 200, &b"one"[..])
    );
    bed.quiet().await;
    bed.advance(59 * SECOND);
    let hit = bed.exchange(get()).await;
    assert_eq!((hit.outcome, hit.reason), (Outcome::Hit, "fresh"));
    assert_eq!(hit.headers["age"], "59");
    assert_eq!(hit.headers["x-other"], "kept");
    let cookies: Vec<_> = hit.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    bed.advance(2 * SECOND);
    bed.origin.then(
        Reply::status(304).field("etag", "\"v1\"").field("x-new", "too").field("cache-control", "max-age=5"),
    );
    let revalidated = bed.exchange(get()).await;
    assert_eq!(
        (revalidated.outcome, &revalidated.body.expect("a body")[..]),
        (Outcome::Revalidated, &b"one"[..])
    );
    assert_eq!(bed.origin.asked(1, "if-none-match").as_deref(), Some("\"v1\""));
    assert_eq!(revalidated.headers["x-new"], "too");
    assert_eq!(bed.exchange(get()).await.outcome, Outcome::Hit);
    assert_eq!(bed.origin.count(), 2);
}

#[tokio::test]
async fn rfc9111_3_what_may_not_be_stored_is_passed_and_asked_for_again() {
    for control in ["no-store", "private", "No-Store, max-age=60"] {
        let bed = Bed::new();
        bed.replies(move || Reply::whole(b"mine").field("cache-control", control));
        for _ in 0..2 {
            let answer = bed.exchange(get()).await;
            assert_eq!(answer.outcome, Outcome::Bypass, "{control}");
            assert_eq!(answer.body.expect("a body"), b"mine");
        }
        assert_eq!(bed.origin.count(), 2, "{control}");
    }
}

#[tokio::test]
async fn rfc9111_3_any_final_status_with_explicit_freshness_is_stored() {
    for status in [201, 299, 301, 404, 410, 499, 503] {
        let bed = Bed::new();
        bed.replies(move || {
            Reply::pieces(status, vec![Ok(bytes::Bytes::from_static(b"x"))])
                .field("cache-control", "max-age=60")
        });
        assert_eq!(bed.exchange(get()).await.status, status);
        bed.quiet().await;
        let again = bed.exchange(get()).await;
        assert_eq!((again.outcome, again.status), (Outcome::Hit, status));
        assert_eq!(again.body.expect("a body"), b"x");
    }
}

#[tokio::test]
async fn the_fetch_door_does_not_take_what_is_no_object() {
    let bed = Bed::new();
    bed.origin.then(Reply::status(404).field("cache-control", "max-age=60"));
    assert_eq!(bed.exchange(get()).await.status, 404);
    bed.quiet().await;
    bed.origin.then(fresh(b"here"));
    assert_eq!(bed.get(super::get()).await.body.expect("a body"), b"here");
}

#[tokio::test]
async fn an_object_of_the_fetch_door_answers_exchanges() {
    let bed = Bed::new();
    bed.origin.then(fresh(b"shared").field("strict-transport-security", "max-age=1"));
    let fetched = bed.get(super::get()).await;
    assert!(!fetched.headers.contains_key("strict-transport-security"));
    bed.quiet().await;
    let hit = bed.exchange(get()).await;
    assert_eq!((hit.outcome, hit.body.expect("a body")), (Outcome::Hit, b"shared".to_vec()));
    assert_eq!(hit.headers["strict-transport-security"], "max-age=1");
    assert_eq!(bed.origin.count(), 1);
}

#[tokio::test]
async fn rfc9111_4_1_variants_are_kept_apart_and_found_again() {
    let bed = Bed::new();
    bed.origin.always(|request| {
        let language =
            request.headers.get("accept-language").map_or("none", |value| value.to_str().expect("text"));
        fresh(language.as_bytes()).field("vary", "Accept-Language")
    });
    let ask = |language| get().field("accept-language", language);
    for round in 0..2 {
        for language in ["de", "en", "fr"] {
            let answer = bed.exchange(ask(language)).await;
            assert_eq!(answer.body.expect("a body"), language.as_bytes());
            assert_eq!(answer.outcome == Outcome::Hit, round == 1, "{language}");
            let reason = if round == 1 {
                "fresh"
            } else if language == "de" {
                "absent"
            } else {
                "other_variant"
            };
            assert_eq!(answer.reason, reason, "{language}");
            bed.quiet().await;
        }
    }
    assert_eq!(bed.exchange(get()).await.body.expect("a body"), b"none");
    assert_eq!(bed.origin.count(), 4);
    // The fetch door gets one of its own.
    assert_eq!(bed.get(super::get()).await.body.expect("a body"), b"none");
    // All go when the URL is deleted.
    bed.quiet().await;
    assert!(bed.cache.delete(&target(URL)).await);
    assert_ne!(bed.exchange(ask("de")).await.outcome, Outcome::Hit);
}

#[tokio::test]
async fn variants_are_bounded_in_number() {
    let bed = Bed::with(Settings { max_variants: 2, ..Settings::default() });
    bed.origin.always(|request| fresh(request.headers["x-v"].as_bytes()).field("vary", "x-v"));
    for value in ["1", "2", "3"] {
        bed.exchange(get().field("x-v", value)).await;
        bed.quiet().await;
    }
    assert_eq!(bed.exchange(get().field("x-v", "3")).await.outcome, Outcome::Hit);
    assert_eq!(bed.exchange(get().field("x-v", "2")).await.outcome, Outcome::Hit);
    assert_eq!(bed.exchange(get().field("x-v", "1")).await.outcome, Outcome::Miss);
    assert_eq!(bed.metric("standpipe_variants_dropped_total"), 2);
}

#[tokio::test]
async fn requests_for_one_object_are_collapsed_and_those_for_what_cannot_be_shared_are_not() {
    let bed = Arc::new(Bed::new());
    let (gated, gate) = fresh(b"one").gated();
    bed.origin.then(gated);
    let ask = || {
        let bed = Arc::clone(&bed);
        tokio::spawn(async move { bed.exchange(get()).await })
    };
    let (one, two) = (ask(), ask());
    while bed.origin.count() == 0 {
        tokio::task::yield_now().await;
    }
    gate.send(()).expect("the origin waits");
    for task in [one, two] {
        assert_eq!(task.await.expect("no panic").body.expect("a body"), b"one");
    }
    assert_eq!(bed.origin.count(), 1);
}

#[tokio::test]
async fn rfc9110_9_3_3_a_post_may_answer_a_later_get() {
    let bed = Bed::new();
    bed.origin.then(fresh(b"posted").field("content-location", URL));
    assert_eq!(bed.exchange(Asked::method("POST")).await.body.expect("a body"), b"posted");
    bed.quiet().await;
    let hit = bed.exchange(get()).await;
    assert_eq!((hit.outcome, hit.body.expect("a body")), (Outcome::Hit, b"posted".to_vec()));
}

#[tokio::test]
async fn rfc9111_4_3_5_the_answer_to_a_head_freshens_or_removes_the_stored_response() {
    let bed = Bed::new();
    bed.origin.then(fresh(b"body").field("x-n", "1"));
    bed.exchange(get()).await;
    bed.quiet().await;
    let head = || Asked::method("HEAD");
    let hit = bed.exchange(head()).await;
    assert_eq!((hit.outcome, hit.length), (Outcome::Hit, Some(4)));
    bed.advance(61 * SECOND);
    let same = |number: &str| {
        Reply::status(200)
            .field("etag", "\"v1\"")
            .field("content-length", "4")
            .field("cache-control", "max-age=60")
            .field("x-n", number)
    };
    bed.origin.then(same("2"));
    assert_eq!(bed.exchange(head()).await.outcome, Outcome::Bypass);
    let freshened = bed.exchange(get()).await;
    assert_eq!(
        (freshened.outcome, &freshened.headers["x-n"]),
        (Outcome::Hit, &HeaderValue::from_static("2"))
    );
    bed.advance(61 * SECOND);
    bed.origin.then(Reply::status(200).field("etag", "\"v2\"").field("content-length", "5"));
    bed.exchange(head()).await;
    bed.origin.then(fresh(b"other"));
    let fetched = bed.exchange(get()).await;
    assert_eq!((fetched.outcome, fetched.body.expect("a body")), (Outcome::Miss, b"other".to_vec()));
}

#[tokio::test]
async fn rfc5861_stale_responses_stand_in_for_an_origin_in_trouble_where_they_may() {
    for (control, may) in [
        ("max-age=60, stale-if-error=600", true),
        ("max-age=60, must-revalidate", false),
        ("s-maxage=60", false),
    ] {
        let bed = Bed::new();
        bed.origin.then(Reply::whole(b"old").field("cache-control", control).field("etag", "\"v1\""));
        bed.exchange(get()).await;
        bed.quiet().await;
        bed.advance(61 * SECOND);
        bed.replies(|| Reply::status(503));
        let answer = bed.exchange(get()).await;
        assert_eq!(
            (answer.status, answer.outcome == Outcome::Stale),
            if may { (200, true) } else { (503, false) },
            "{control}"
        );
        bed.replies(|| Reply::error(crate::Kind::OriginUnreachable));
        assert_eq!(bed.try_exchange(get()).await.is_ok(), may, "{control}");
    }
}

#[tokio::test]
async fn rfc5861_3_a_stale_response_is_used_while_it_is_revalidated() {
    let bed = Bed::new();
    bed.origin.then(
        Reply::whole(b"old")
            .field("cache-control", "max-age=60, stale-while-revalidate=60")
            .field("etag", "\"v1\""),
    );
    bed.exchange(get()).await;
    bed.quiet().await;
    bed.advance(70 * SECOND);
    bed.origin.then(fresh(b"new").field("etag", "\"v2\""));
    let stale = bed.exchange(get()).await;
    assert_eq!(
        (stale.outcome, stale.reason, stale.body.expect("a body")),
        (Outcome::Stale, "stale_while_revalidate", b"old".to_vec())
    );
    bed.quiet().await;
    let hit = bed.exchange(get()).await;
    assert_eq!((hit.outcome, hit.body.expect("a body")), (Outcome::Hit, b"new".to_vec()));
}

#[tokio::test]
async fn rfc9111_5_2_1_request_directives() {
    let bed = Bed::new();
    let error = bed
        .try_exchange(get().field("cache-control", "only-if-cached"))
        .await
        .err()
        .expect("nothing is stored");
    assert_eq!(error.kind, crate::Kind::NotCached);
    bed.origin.then(fresh(b"one"));
    bed.exchange(get()).await;
    bed.quiet().await;
    assert_eq!(bed.exchange(get().field("cache-control", "only-if-cached")).await.outcome, Outcome::Hit);
    bed.advance(10 * SECOND);
    for control in ["no-cache", "max-age=5", "min-fresh=55"] {
        bed.origin.then(Reply::status(304).field("etag", "\"v1\"").field("age", "10"));
        assert_eq!(
            bed.exchange(get().field("cache-control", control)).await.outcome,
            Outcome::Revalidated,
            "{control}"
        );
        bed.advance(5 * SECOND);
    }
    assert_eq!(bed.origin.count(), 4);
    bed.advance(100 * SECOND);
    let stale = bed.exchange(get().field("cache-control", "max-stale=1000")).await;
    assert_eq!((stale.outcome, stale.reason), (Outcome::Stale, "request_max_stale"));
}

#[tokio::test]
async fn what_a_client_could_poison_others_with_does_not_reach_the_origin() {
    let bed = Bed::new();
    bed.origin.then(fresh(b"one"));
    bed.exchange(
        get().field("x-forwarded-host", "evil.example").field("range", "bytes=0-0").field("accept", "a/b"),
    )
    .await;
    assert_eq!(bed.origin.asked(0, "x-forwarded-host"), None);
    let pieces = bed.origin.asked(0, "range");
    assert_eq!(pieces.as_deref(), Some("bytes=0-1048575"), "not one client's range");
    assert_eq!(bed.origin.asked(0, "accept").as_deref(), Some("a/b"));
}

#[tokio::test]
async fn an_exchange_survives_a_restart() {
    let mut bed = Bed::new();
    bed.origin.always(|request| {
        fresh(request.headers["x-v"].as_bytes()).field("vary", "x-v").field("set-cookie", "c=1")
    });
    for value in ["1", "2"] {
        bed.exchange(get().field("x-v", value)).await;
        bed.quiet().await;
    }
    bed.restart().await;
    for value in ["1", "2"] {
        let hit = bed.exchange(get().field("x-v", value)).await;
        assert_eq!((hit.outcome, hit.body.expect("a body")), (Outcome::Hit, value.as_bytes().to_vec()));
        assert_eq!(hit.headers["set-cookie"], "c=1");
    }
    assert_eq!(bed.origin.count(), 2);
}

#[tokio::test]
async fn tags_beyond_the_limit_are_counted() {
    let bed = Bed::new();
    let tags: Vec<_> = (0..70).map(|number| format!("t{number}")).collect();
    bed.origin.then(fresh(b"tagged").field("cache-tag", &tags.join(",")));
    bed.exchange(get()).await;
    assert_eq!(bed.metric("standpipe_tags_dropped_total"), 6);
}

#[tokio::test]
async fn what_passes_by_the_store_is_counted_while_it_does() {
    let bed = Bed::new();
    let (reply, sender) = Reply::live();
    bed.origin.then(reply.field("cache-control", "no-store"));
    sender.send(Ok("a".into())).expect("taken");
    let asked = get();
    let manners = Manners::default();
    let exchange = Exchange {
        target: &target(asked.url),
        method: &asked.method,
        headers: &asked.headers,
        rule: &asked.rule,
        manners,
        hasher: &hasher(),
    };
    let answer = bed.cache.exchange(exchange, None).await.expect("an answer");
    assert_eq!(bed.metric("standpipe_bypasses"), 1);
    drop(answer);
    assert_eq!(bed.metric("standpipe_bypasses"), 0);
}
