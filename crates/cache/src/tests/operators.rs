//! Purges, lists, explanations and prewarming on the real store.

use http::HeaderValue;
use protocols::http::expression::Expression;

use super::*;
use crate::exchange::Exchange;
use crate::tests::origin::Reply;
use crate::{Answering, Explained, Manners, Mode, Order, Prewarm, Purge, Purged, Rule, Selection, Wanted};

const SOFT: Mode = Mode::Soft;
const HARD: Mode = Mode::Hard;

fn target(url: &str) -> Arc<Target> {
    Arc::clone(&get_url(url).target)
}

fn tagged(tags: &'static str) -> Reply {
    Reply::whole(b"body")
        .field("cache-control", "max-age=600")
        .field("etag", "\"v\"")
        .field("cache-tag", tags)
}

fn confirmed() -> Reply {
    Reply::status(304).field("etag", "\"v\"").field("cache-control", "max-age=600")
}

impl Bed {
    async fn site(&self, url: &str, fields: &[(&'static str, &'static str)]) -> Full {
        let (target, hasher, rule) = (target(url), KeyHasher::new([1; 32]), Arc::new(Rule::plain("test")));
        let headers =
            fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.collect();
        let (method, manners) = (http::Method::GET, Manners::default());
        let exchange = Exchange {
            target: &target,
            method: &method,
            headers: &headers,
            rule: &rule,
            manners,
            hasher: &hasher,
        };
        let answer = match self.cache.exchange_now(&exchange) {
            Some(answer) => answer,
            None => self.cache.exchange(exchange, None).await.expect("an answer"),
        };
        let full = Full::of(answer).await;
        self.quiet().await;
        self.cache.inner.store.settle().await;
        full
    }

    async fn purge(&self, what: Purge, mode: Mode) -> (u64, u64) {
        let purged = self.cache.purge(what, mode).await.expect("purged");
        assert!(purged.is_done);
        (purged.entries, purged.bytes)
    }

    async fn tag(&self, tag: &str, mode: Mode) -> u64 {
        self.purge(Purge::Tag(tag.into()), mode).await.0
    }
}

#[tokio::test]
async fn a_hard_purge_by_tag_takes_out_what_has_it_and_nothing_else() {
    let bed = Bed::new();
    for (url, tags) in
        [("http://a.example/1", "x,y"), ("http://a.example/2", "y"), ("http://b.example/3", "z")]
    {
        bed.origin.then(tagged(tags));
        bed.site(url, &[]).await;
    }
    assert_eq!((bed.tag("x", Mode::Dry).await, bed.tag("X", HARD).await), (1, 0));
    assert_eq!(bed.purge(Purge::Tag("y".into()), Mode::Dry).await, (2, 8));
    assert_eq!(bed.purge(Purge::Tag("y".into()), HARD).await, (2, 8));
    assert_eq!(bed.tag("y", HARD).await, 0);
    assert_eq!(bed.site("http://b.example/3", &[]).await.how(), ("hit", "fresh"));
    bed.origin.then(tagged("x"));
    assert_eq!(bed.site("http://a.example/1", &[]).await.how(), ("miss", "absent"));
    assert_eq!(
        (bed.tag("y", Mode::Dry).await, bed.tag("x", Mode::Dry).await),
        (0, 1),
        "tags of the new answer"
    );
    assert_eq!(bed.metric("standpipe_purged_total"), 2);
}

#[tokio::test]
async fn a_soft_purge_has_the_origin_confirm_once_through_restarts() {
    let mut bed = Bed::new();
    bed.origin.then(tagged("x"));
    bed.site(URL, &[]).await;
    assert_eq!(bed.tag("x", SOFT).await, 1);
    bed.restart().await;
    bed.origin.then(confirmed());
    assert_eq!(bed.site(URL, &[]).await.how(), ("revalidated", "purged"));
    assert_eq!(bed.site(URL, &[]).await.how(), ("hit", "fresh"));
    bed.restart().await;
    assert_eq!(bed.site(URL, &[]).await.how(), ("hit", "fresh"));
    assert_eq!(bed.origin.count(), 2);
    // The fetch door as well.
    assert_eq!(bed.tag("x", SOFT).await, 1);
    bed.origin.then(confirmed());
    assert_eq!(bed.get(super::get()).await.how(), ("revalidated", "purged"));
    assert_eq!(bed.get(super::get()).await.how(), ("hit", "fresh"));
}

#[tokio::test]
async fn only_if_cached_gets_nothing_that_was_purged() {
    let bed = Bed::new();
    bed.origin.then(tagged("x"));
    bed.site(URL, &[]).await;
    bed.tag("x", SOFT).await;
    let target = target(URL);
    let headers: HeaderMap =
        [(http::header::CACHE_CONTROL, HeaderValue::from_static("only-if-cached"))].into_iter().collect();
    let rule = Rule::plain("test");
    let subject = Explained { target: &target, headers: &headers, manner: Answering::Exchange(&rule) };
    let explained = bed.cache.explain(subject).await;
    assert_eq!((explained.answer, explained.reason), ("revalidate", "purged"));
    assert!(explained.object.is_some_and(|object| object.purged));
}

#[tokio::test]
async fn a_purge_by_url_takes_all_variants_and_the_refusal() {
    let bed = Bed::new();
    for language in ["de", "en"] {
        bed.origin.then(tagged(language).field("vary", "accept-language"));
        bed.site(URL, &[("accept-language", language)]).await;
    }
    assert_eq!(bed.purge(Purge::Url(target(URL)), Mode::Dry).await, (2, 8));
    assert_eq!(bed.purge(Purge::Url(target(URL)), SOFT).await, (2, 8));
    bed.origin.then(confirmed().field("vary", "accept-language"));
    assert_eq!(bed.site(URL, &[("accept-language", "en")]).await.how(), ("revalidated", "purged"));
    assert_eq!(bed.purge(Purge::Url(target(URL)), HARD).await, (2, 8));
    assert_eq!(bed.cache.entries(Wanted::default(), Order::Size, 9, None).await.unwrap().entries.len(), 0);
    assert_eq!(bed.cache.reader().usage().entries, 0, "the list is gone too");
}

#[tokio::test]
async fn hosts_are_told_apart_by_their_ports_or_not() {
    let bed = Bed::new();
    for url in ["http://a.example/1", "http://a.example:81/2", "http://b.a.example/3"] {
        bed.origin.then(tagged("t"));
        bed.site(url, &[]).await;
    }
    assert_eq!(bed.purge(Purge::host("a.example:81"), Mode::Dry).await.0, 1);
    assert_eq!(bed.purge(Purge::host("A.Example."), HARD).await.0, 2);
    assert_eq!(bed.purge(Purge::host("b.a.example"), Mode::Dry).await.0, 1);
}

#[tokio::test]
async fn prefixes_and_expressions_look_at_warm_and_cold_objects() {
    let mut bed = Bed::new();
    for url in ["http://a.example/a/1", "http://a.example/a/2", "http://a.example/b"] {
        bed.origin.then(tagged("t"));
        bed.site(url, &[]).await;
    }
    bed.restart().await;
    assert_eq!(bed.site("http://a.example/a/1", &[]).await.how(), ("hit", "fresh"));
    let prefix = || Purge::prefix("http://A.example/a/").expect("a prefix");
    assert_eq!(bed.purge(prefix(), Mode::Dry).await, (2, 8));
    let meant = |text| Purge::Expression(Box::new(Expression::parse(text).expect(text)));
    for (text, count) in [
        (r#"path == "/b" && tag == "t""#, 1),
        (r#"header.etag == "\"v\"" && status == 200 && size == 4"#, 3),
        (r#"age > 1s || host != "a.example""#, 0),
    ] {
        assert_eq!(bed.purge(meant(text), Mode::Dry).await.0, count, "{text}");
    }
    bed.advance(2 * SECOND);
    assert_eq!(bed.purge(meant("age > 1s"), Mode::Dry).await.0, 3);
    assert_eq!(bed.purge(prefix(), HARD).await, (2, 8));
    assert_eq!(bed.purge(meant("status == 200"), SOFT).await.0, 1);
    bed.origin.then(confirmed());
    assert_eq!(bed.site("http://a.example/b", &[]).await.how(), ("revalidated", "purged"));
    assert!(Purge::prefix("/a").is_err());
}

#[tokio::test]
async fn what_was_asked_for_before_a_purge_is_not_kept_after_it() {
    let bed = Bed::new();
    let (before, open) = Reply::whole(b"before").gated();
    bed.origin.then(before);
    let asked = bed.spawn(super::get());
    settle().await;
    assert_eq!(bed.origin.count(), 1);
    assert_eq!(bed.purge(Purge::prefix("http://origin.example/").unwrap(), HARD).await.0, 0);
    open.send(()).expect("the origin waits");
    let full = Full::of(asked.await.unwrap().expect("an answer")).await;
    assert_eq!(full.body(), b"before");
    bed.quiet().await;
    bed.origin.then(Reply::whole(b"after"));
    assert_eq!(bed.get(super::get()).await.body(), b"after");
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let bed = Bed::new();
    for (url, length, tags) in
        [("http://a.example/1", 10, "x"), ("http://a.example/2", 30, "x,y"), ("http://b.example/3", 20, "y")]
    {
        let body = content(length);
        bed.origin.then(Reply::whole(&body).field("cache-control", "max-age=60").field("cache-tag", tags));
        bed.site(url, &[]).await;
        bed.advance(SECOND);
    }
    let list = async |wanted: Wanted, order, count, after: Option<&str>| {
        bed.cache.entries(wanted, order, count, after).await.expect("a page")
    };
    let urls = |page: &crate::Page| -> String {
        page.entries.iter().map(|entry| entry.url.chars().last().unwrap()).collect()
    };
    let all = Wanted::default;
    let first = list(all(), Order::Size, 2, None).await;
    assert_eq!((&*urls(&first), first.remaining, first.entries[0].bytes), ("23", 3, 30));
    let second = list(all(), Order::Size, 2, first.next.as_deref()).await;
    assert_eq!((&*urls(&second), second.remaining, second.next.clone()), ("1", 1, None));
    assert_eq!(urls(&list(all(), Order::Age, 9, None).await), "123");
    let tag = Wanted { tag: Some("y".to_owned()), ..all() };
    assert_eq!(urls(&list(tag, Order::Age, 9, None).await), "23");
    let host = Wanted { host: Some("b.example".to_owned()), ..all() };
    assert_eq!(urls(&list(host, Order::Age, 9, None).await), "3");
    let prefix = Wanted { prefix: Some("http://a".to_owned()), state: Some(Selection::Fresh), ..all() };
    assert_eq!(urls(&list(prefix, Order::Age, 9, None).await), "12");
    bed.advance(60 * SECOND);
    let stale = Wanted { state: Some(Selection::Stale), status: Some(200), ..all() };
    let stale = list(stale, Order::Age, 9, None).await;
    assert_eq!(
        (stale.entries.len(), stale.entries[0].state.clone(), stale.entries[0].ttl),
        (3, vec!["stale"], Some(-3))
    );
    let one = bed.cache.entry(&stale.entries[0].key).await.expect("an entry");
    assert_eq!((&*one.url, &one.tags[..]), ("http://a.example/1", &["x".into()][..]));
    assert!(bed.cache.entry("00").await.is_none() && bed.cache.entry(&"0".repeat(32)).await.is_none());
}

#[tokio::test]
async fn an_explanation_does_the_sum_and_says_what_would_change_it() {
    let bed = Bed::new();
    let (target, headers, rule) = (target(URL), HeaderMap::new(), Rule::plain("all"));
    let subject = Explained { target: &target, headers: &headers, manner: Answering::Exchange(&rule) };
    let absent = bed.cache.explain(subject).await;
    assert_eq!(
        (absent.state, absent.answer, absent.rule.as_str(), absent.origin.len()),
        ("absent", "miss", "all", 0)
    );

    bed.origin.then(Reply::whole(b"x").field("cache-control", "max-age=60").field("age", "5"));
    bed.site(URL, &[]).await;
    bed.advance(10 * SECOND);
    let fresh = bed.cache.explain(subject).await;
    let sum = fresh.freshness.expect("a sum");
    assert_eq!(
        (sum.age, sum.initial_age, sum.since_confirmed, sum.ttl, sum.basis),
        (15, 5, 10, 45, "max_age")
    );
    assert!(sum.sentence.contains("15 s (5 s when it came + 10 s since then)"), "{}", sum.sentence);
    assert_eq!((fresh.answer, fresh.reason, fresh.state), ("hit", "fresh", "complete"));
    assert_eq!(
        (fresh.origin[0].status, fresh.origin[0].storable, fresh.origin[0].ago),
        (Some(200), "yes", 10)
    );

    bed.advance(60 * SECOND);
    let stale = bed.cache.explain(subject).await;
    assert_eq!((stale.answer, stale.reason), ("revalidate", "stale"));
    assert!(stale.advice.iter().any(|sentence| sentence.contains("ETag")), "{:?}", stale.advice);

    bed.purge(Purge::Url(Arc::clone(&target)), HARD).await;
    bed.origin.then(Reply::whole(b"x").field("cache-control", "private"));
    bed.site(URL, &[]).await;
    let private = bed.cache.explain(subject).await;
    assert_eq!((private.answer, private.origin.len()), ("bypass", 2));
    assert!(private.because.iter().any(|sentence| sentence.contains("private")), "{:?}", private.because);
    assert!(private.advice[0].contains("Cache-Control"), "{:?}", private.advice);
}

#[tokio::test]
async fn the_fetch_door_is_explained_by_its_ttl() {
    let bed = Bed::new();
    bed.origin.then(Reply::whole(b"x"));
    bed.get(super::get()).await;
    bed.quiet().await;
    bed.advance(100 * SECOND);
    let (target, headers) = (target(URL), HeaderMap::new());
    let explain = async |max_age| {
        let subject = Explained { target: &target, headers: &headers, manner: Answering::Fetch(max_age) };
        bed.cache.explain(subject).await
    };
    assert_eq!(explain(200 * SECOND).await.answer, "hit");
    let old = explain(50 * SECOND).await;
    assert_eq!(
        (old.answer, old.rule.as_str(), old.freshness.expect("a sum").ttl),
        ("revalidate", "fetch", -50)
    );
}

#[tokio::test]
async fn a_list_is_prewarmed_and_tells_what_it_could_not_get() {
    let bed = Bed::new();
    bed.origin.always(|request| match request.url.path() {
        "/bad" => Reply::status(404),
        _ => Reply::whole(b"four"),
    });
    let targets = ["/1", "/2", "/bad", "/1"].map(|path| target(&format!("http://w.example{path}"))).to_vec();
    let id = bed.cache.prewarm(Prewarm { targets, ttl: DAY }).expect("begun");
    let mut news = bed.cache.prewarm_progress(&id).expect("a list");
    let end = news.wait_for(crate::Progress::is_over).await.expect("an end").clone();
    assert_eq!((end.state, end.urls, end.stored, end.failed, end.bytes), ("done", 4, 3, 1, 12));
    assert!(end.failures[0].starts_with("http://w.example/bad: "), "{:?}", end.failures);
    assert_eq!(bed.get(get_url("http://w.example/2")).await.how(), ("hit", "fresh"));
    assert!(bed.cache.prewarm_progress("99").is_none() && !bed.cache.cancel_prewarm("99"));
}

#[tokio::test]
async fn a_cancelled_list_ends_and_lists_are_bounded() {
    let mut settings = Settings::default();
    (settings.operators.max_prewarms, settings.operators.prewarm_urls) = (1, 2);
    let bed = Bed::with(settings);
    let (gated, _open) = Reply::whole(b"x").gated();
    bed.origin.then(gated);
    let list = |count: usize| Prewarm { targets: vec![target(URL); count], ttl: DAY };
    assert!(bed.cache.prewarm(list(3)).is_err(), "too long");
    let id = bed.cache.prewarm(list(1)).expect("begun");
    assert!(bed.cache.prewarm(list(1)).is_err(), "one at a time");
    let mut news = bed.cache.prewarm_progress(&id).expect("a list");
    assert!(bed.cache.cancel_prewarm(&id));
    let end = news.wait_for(crate::Progress::is_over).await.expect("an end").clone();
    assert_eq!((end.state, end.stored), ("cancelled", 0));
    assert!(bed.cache.prewarm(list(1)).is_ok());
}

#[tokio::test]
async fn looks_at_all_entries_are_bounded_in_number() {
    let bed = Bed::new();
    let permit = Arc::clone(&bed.cache.inner.walks).try_acquire_many_owned(2).expect("free");
    let prefix = || Purge::prefix("http://a.example/").unwrap();
    assert!(bed.cache.purge(prefix(), HARD).await.is_err());
    assert!(bed.cache.entries(Wanted::default(), Order::Size, 1, None).await.is_err());
    drop(permit);
    let purged = bed.cache.purge(prefix(), HARD).await;
    assert_eq!(purged, Ok(Purged { entries: 0, bytes: 0, is_done: true }));
}
