use std::time::Duration;

use cache::{Answer, Error, Kind, Payload};
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_DISPOSITION};

use super::*;

fn responder() -> Responder {
    Responder::new("node")
}

fn answer(outcome: Outcome, reason: &'static str, origin_status: Option<StatusCode>) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        payload: Payload::empty(),
        outcome,
        reason,
        ttl_seconds: 60,
        origin_status,
        key: store::Key::new([0; 16]),
    }
}

fn dressed(answer: Answer, disposition: &Disposition) -> Reply {
    responder().answer(answer, &Dress { door: "fetch", name: &Arc::from("http://h/a"), disposition })
}

fn text(reply: Reply) -> String {
    match reply.response.into_body() {
        Body::Text(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Body::Empty => String::new(),
        _ => panic!("a refusal is in memory"),
    }
}

fn refused(error: &Error) -> Reply {
    responder().refuse(&Refusal::from(error), &HeaderMap::new(), "fetch")
}

fn field<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The compiler asks for a new line here when a kind is added.
fn expected_status(kind: Kind) -> u16 {
    match kind {
        Kind::UrlInvalid | Kind::ContentBroken => 400,
        Kind::OriginForbidden => 403,
        Kind::OriginStatus(status) => match status.as_u16() {
            204 | 400..=406 | 408..=599 => status.as_u16(),
            _ => 502,
        },
        Kind::OriginUnresolved
        | Kind::OriginUnreachable
        | Kind::OriginBroken
        | Kind::RedirectLoop
        | Kind::RedirectInvalid
        | Kind::NotStorable(_)
        | Kind::DigestMismatch
        | Kind::ObjectChanged => 502,
        Kind::OriginTimeout | Kind::NotCached => 504,
        Kind::Loop => 508,
        Kind::OriginQueueFull | Kind::Draining | Kind::FillAbandoned => 503,
        Kind::NoSpace | Kind::ObjectTooLarge => 507,
        Kind::DiskError => 500,
    }
}

fn every_kind() -> Vec<Kind> {
    let mut kinds = vec![
        Kind::UrlInvalid,
        Kind::ContentBroken,
        Kind::NotCached,
        Kind::OriginForbidden,
        Kind::OriginUnresolved,
        Kind::OriginUnreachable,
        Kind::OriginBroken,
        Kind::RedirectLoop,
        Kind::RedirectInvalid,
        Kind::DigestMismatch,
        Kind::ObjectChanged,
        Kind::OriginTimeout,
        Kind::Loop,
        Kind::OriginQueueFull,
        Kind::Draining,
        Kind::FillAbandoned,
        Kind::NoSpace,
        Kind::ObjectTooLarge,
        Kind::DiskError,
    ];
    kinds.extend((100..1000).map(|code| Kind::OriginStatus(StatusCode::from_u16(code).unwrap())));
    kinds
}

#[test]
fn every_error_has_its_status_and_the_fields_of_a_refusal() {
    for kind in every_kind() {
        let reply = refused(&Error::new(kind, "it went wrong"));
        assert_eq!(reply.response.status().as_u16(), expected_status(kind), "{kind:?}");
        assert_eq!((reply.outcome, reply.reason), (Some(Outcome::Error), kind.reason()));
        let status = field(&reply, "cache-status").expect("there");
        assert!(
            status.starts_with("node; ") && status.ends_with(&format!("detail={}", kind.reason())),
            "{status}"
        );
        assert_eq!(field(&reply, "x-cache"), Some("ERROR from node"));
        assert_eq!(field(&reply, "cache-control"), Some("no-store"));
        assert_eq!(field(&reply, "x-content-type-options"), Some("nosniff"));
        let waits = expected_status(kind) == 503 && !matches!(kind, Kind::OriginStatus(_));
        assert_eq!(field(&reply, "retry-after").is_some(), waits, "{kind:?}");
    }
}

// RFC 9211 section 2: what is said of exchanges is true.
#[test]
fn an_exchange_says_why_it_was_forwarded_and_whether_it_was_kept() {
    let cases = [
        (Outcome::Hit, "fresh", "node; hit; ttl=60; detail=fresh"),
        (Outcome::Miss, "absent", "node; fwd=uri-miss; stored; ttl=60; detail=absent"),
        (Outcome::Miss, "request_no_cache", "node; fwd=request; stored; ttl=60; detail=request_no_cache"),
        (Outcome::Revalidated, "stale", "node; fwd=stale; ttl=60; detail=stale"),
        (Outcome::Stale, "stale_while_revalidate", "node; hit; ttl=60; detail=stale_while_revalidate"),
        (Outcome::Stale, "origin_down", "node; fwd=stale; ttl=60; detail=origin_down"),
        (Outcome::Bypass, "method", "node; fwd=method; detail=method"),
        (Outcome::Bypass, "rule_bypass", "node; fwd=bypass; detail=rule_bypass"),
        (Outcome::Bypass, "no_store", "node; fwd=miss; detail=no_store"),
        (Outcome::Follow, "collapsed", "node; fwd=uri-miss; collapsed; ttl=60; detail=collapsed"),
    ];
    for (outcome, reason, expected) in cases {
        let reply = responder().exchange(answer(outcome, reason, None), "site", &Arc::from("http://h/"));
        assert_eq!(field(&reply, "cache-status"), Some(expected), "{outcome:?} {reason}");
        assert_eq!(field(&reply, "content-security-policy"), None);
        assert_eq!((reply.door, reply.outcome, reply.reason), ("site", Some(outcome), reason));
    }
}

// Regression: `fwd` was missing where the origin had been asked.
#[test]
fn a_refusal_says_whether_the_origin_was_asked_for_it() {
    let origin = |code| Kind::OriginStatus(StatusCode::from_u16(code).unwrap());
    let cases = [
        (Kind::OriginTimeout, "node; fwd=miss; detail=origin_timeout"),
        (Kind::OriginUnreachable, "node; fwd=miss; detail=origin_unreachable"),
        (Kind::DigestMismatch, "node; fwd=miss; detail=digest_mismatch"),
        (Kind::NoSpace, "node; fwd=miss; detail=no_space"),
        (origin(404), "node; fwd=miss; detail=origin_status"),
        (origin(302), "node; fwd=miss; fwd-status=302; detail=origin_status"),
        (Kind::OriginForbidden, "node; detail=origin_forbidden"),
        (Kind::Loop, "node; detail=loop"),
        (Kind::OriginQueueFull, "node; detail=origin_queue_full"),
        (Kind::Draining, "node; detail=draining"),
    ];
    for (kind, expected) in cases {
        assert_eq!(field(&refused(&Error::new(kind, "why")), "cache-status"), Some(expected));
    }
    let mut remembered = Error::new(origin(404), "why");
    remembered.outcome = Outcome::Negative;
    assert_eq!(field(&refused(&remembered), "cache-status"), Some("node; hit; detail=origin_status"));
}

#[test]
fn the_body_is_the_sentence_and_204_has_none() {
    assert_eq!(text(refused(&Error::new(Kind::NoSpace, "the quota is full"))), "the quota is full\n");
    let status = |code| Kind::OriginStatus(StatusCode::from_u16(code).unwrap());
    let reply = refused(&Error::new(status(204), "nothing"));
    assert_eq!(field(&reply, "content-type"), None);
    assert_eq!(text(reply), "");
    let odd = text(refused(&Error::new(status(302), "it names no place")));
    assert_eq!(odd, "the origin answered 302 Found, which is no object: it names no place\n");
}

#[test]
fn what_the_origin_said_about_waiting_and_logging_in_is_relayed() {
    let mut error = Error::new(Kind::OriginStatus(StatusCode::UNAUTHORIZED), "log in");
    error.challenge = Some(HeaderValue::from_static("Basic realm=\"x\""));
    error.retry_after = Some(Duration::from_millis(1500));
    let reply = refused(&error);
    assert_eq!(field(&reply, "www-authenticate"), Some("Basic realm=\"x\""));
    assert_eq!(field(&reply, "retry-after"), Some("2"));
    error.kind = Kind::OriginStatus(StatusCode::FORBIDDEN);
    assert_eq!(field(&refused(&error), "www-authenticate"), None);
}

#[test]
fn accept_chooses_between_text_and_json() {
    let json = [
        "application/json",
        "Application/JSON",
        "application/json, text/plain, */*",
        "text/html;q=0.1, application/json;q=0.9",
        "application/json;q=0.5, */*",
    ];
    let text = [
        "",
        "*/*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "text/plain, application/json",
        "application/json;q=0",
        "application/json;q=x",
        "application/json;q=0.5, text/plain",
        "application/jsonp",
        "é",
    ];
    let content_type = |accept: &str| {
        let mut request = HeaderMap::new();
        request.insert(ACCEPT, HeaderValue::from_bytes(accept.as_bytes()).unwrap());
        let refusal = Refusal::bad_request("url_invalid", "no");
        let reply = responder().refuse(&refusal, &request, "fetch");
        field(&reply, "content-type").unwrap().to_owned()
    };
    for accept in json {
        assert_eq!(content_type(accept), "application/json", "{accept}");
    }
    for accept in text {
        assert_eq!(content_type(accept), "text/plain; charset=utf-8", "{accept}");
    }
}

/// user-demand 4c: 82.
#[test]
fn json_is_escaped_and_terminal_escapes_never_leave() {
    let mut request = HeaderMap::new();
    let refusal = Refusal::bad_request("url_invalid", "a \"b\" \u{1b}[31m \u{202e}x");
    let as_text = self::text(responder().refuse(&refusal, &request, "fetch"));
    assert_eq!(as_text, "a \"b\" \u{fffd}[31m \u{fffd}x\n");
    request.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let as_json: serde_json::Value =
        serde_json::from_str(&self::text(responder().refuse(&refusal, &request, "fetch"))).unwrap();
    let expected = serde_json::json!({"error": {
        "status": 400, "reason": "url_invalid", "detail": "a \"b\" \u{fffd}[31m \u{fffd}x"
    }});
    assert_eq!(as_json, expected);
}

#[test]
fn cache_status_says_how_the_answer_came_about() {
    let cases = [
        (answer(Outcome::Hit, "fresh", None), "node; hit; ttl=60; detail=fresh"),
        (
            answer(Outcome::Miss, "absent", Some(StatusCode::OK)),
            "node; fwd=uri-miss; stored; ttl=60; detail=absent",
        ),
        (
            answer(Outcome::Miss, "expired", Some(StatusCode::OK)),
            "node; fwd=stale; stored; ttl=60; detail=expired",
        ),
        (answer(Outcome::Follow, "growing", None), "node; fwd=uri-miss; collapsed; ttl=60; detail=growing"),
        (
            answer(Outcome::Revalidated, "expired", Some(StatusCode::NOT_MODIFIED)),
            "node; fwd=stale; fwd-status=304; ttl=60; detail=expired",
        ),
        (
            answer(Outcome::Stale, "origin_down", Some(StatusCode::BAD_GATEWAY)),
            "node; fwd=stale; fwd-status=502; ttl=60; detail=origin_down",
        ),
    ];
    for (answer, expected) in cases {
        let outcome = answer.outcome;
        let reply = dressed(answer, &Disposition::Origin);
        assert_eq!(field(&reply, "cache-status"), Some(expected));
        let x_cache = format!("{} from node", outcome.as_str().to_uppercase());
        assert_eq!(field(&reply, "x-cache"), Some(&*x_cache));
        assert_eq!(reply.outcome, Some(outcome));
    }
}

#[test]
fn an_answer_is_sandboxed_and_names_this_node() {
    let mut answer = answer(Outcome::Hit, "fresh", None);
    answer.headers.insert(header::VIA, HeaderValue::from_static("1.1 far"));
    answer.headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src *"));
    let reply = dressed(answer, &Disposition::Origin);
    let via: Vec<_> = reply.response.headers().get_all(header::VIA).iter().collect();
    assert_eq!(via, ["1.1 far", "1.1 node"]);
    assert_eq!(field(&reply, "x-content-type-options"), Some("nosniff"));
    assert!(field(&reply, "content-security-policy").unwrap().starts_with("sandbox; default-src 'none'"));
    assert_eq!(reply.name.as_deref(), Some("http://h/a"));
}

#[test]
fn a_304_declares_no_length_and_no_file_name() {
    let asked = Disposition::Asked(HeaderValue::from_static("attachment; filename=\"b\""));
    let mut answer = answer(Outcome::Hit, "fresh", None);
    answer.status = StatusCode::NOT_MODIFIED;
    let reply = dressed(answer, &asked);
    assert_eq!(field(&reply, "content-length"), None);
    assert_eq!(field(&reply, "content-disposition"), None);
    assert_eq!(reply.response.status(), StatusCode::NOT_MODIFIED);
}

#[test]
fn a_file_name_comes_from_the_request_then_the_origin_then_the_url() {
    let value = |text: &'static str| HeaderValue::from_static(text);
    let shown = |disposition: Disposition, of_origin: Option<&'static str>| {
        let mut answer = answer(Outcome::Hit, "fresh", None);
        if let Some(text) = of_origin {
            answer.headers.insert(CONTENT_DISPOSITION, value(text));
        }
        field(&dressed(answer, &disposition), "content-disposition").map(str::to_owned)
    };
    assert_eq!(shown(Disposition::Origin, None), None);
    assert_eq!(shown(Disposition::Origin, Some("inline")).as_deref(), Some("inline"));
    assert_eq!(shown(Disposition::Default(value("d")), None).as_deref(), Some("d"));
    assert_eq!(shown(Disposition::Default(value("d")), Some("inline")).as_deref(), Some("inline"));
    assert_eq!(shown(Disposition::Asked(value("a")), Some("inline")).as_deref(), Some("a"));
}

#[test]
fn any_name_becomes_a_token() {
    let shown = |name: &str| {
        let reply = Responder::new(name).refuse(&Refusal::no_route(), &HeaderMap::new(), "admin");
        let field = |name: &str| field(&reply, name).unwrap().to_owned();
        (field("via"), field("x-cache"), field("cache-status"))
    };
    let expected = |via: &str, x_cache: &str, status: &str| (via.into(), x_cache.into(), status.into());
    assert_eq!(shown("a.b-1"), expected("1.1 a.b-1", "ERROR from a.b-1", "a.b-1; detail=no_route"));
    assert_eq!(shown("1a"), expected("1.1 1a", "ERROR from 1a", "\"1a\"; detail=no_route"));
    assert_eq!(shown("a b\r\n"), expected("1.1 a_b__", "ERROR from a_b__", "a_b__; detail=no_route"));
}
