//! Requests with `Authorization` (RFC 9111 section 3.5), `Set-Cookie` and cookies (section 7.3).

use super::case::{Cached, Case, Origin, case, check, check_with};

const ANN: (&str, &str) = ("Authorization", "Basic YW5uOnNlY3JldA==");
const BOB: (&str, &str) = ("Authorization", "Basic Ym9iOnNlY3JldA==");
const FRESH: &str = "Cache-Control: max-age=600";

#[tokio::test]
async fn rfc9111_3_5_an_answer_to_authorization_is_shared_only_when_it_says_so() {
    let row = |control: &str| {
        let line = format!("Cache-Control: {control}");
        case(control).origin(200, &[&line, "ETag: \"a\""]).get(&[ANN], Origin(1)).saw(ANN.0, ANN.1)
    };
    let shared =
        ["public, max-age=600", "s-maxage=600", "must-revalidate, max-age=600", "PUBLIC, MAX-AGE=600"]
            .map(|control| row(control).get(&[ANN], Cached(1)).get(&[BOB], Cached(1)).get(&[], Cached(1)));
    check(shared).await;
    let own = [
        "max-age=600",
        "proxy-revalidate, max-age=600",
        "private, public, max-age=600",
        "immutable, max-age=600",
    ]
    .map(|control| {
        row(control)
            .get(&[ANN], Origin(2))
            .saw_no("If-None-Match")
            .get(&[BOB], Origin(3))
            .saw(BOB.0, BOB.1)
            .get(&[], Origin(4))
            .saw_no("Authorization")
    });
    check(own).await;
}

#[tokio::test]
async fn rfc9111_3_5_other_ways_to_be_fresh_do_not_make_it_shared() {
    let expires = format!("Expires: {}", super::case::from_now(600));
    check([
        case("Expires").origin(200, &[&expires]).get(&[ANN], Origin(1)).get(&[BOB], Origin(2)),
        case("Last-Modified")
            .origin(200, &["Last-Modified: Tue, 06 Jan 2026 10:00:00 GMT"])
            .get(&[ANN], Origin(1))
            .get(&[BOB], Origin(2)),
        // RFC 9213 section 2.2: the targeted field stands in place of the other.
        case("CDN-Cache-Control")
            .origin(200, &["CDN-Cache-Control: max-age=600", "Cache-Control: public, max-age=600"])
            .get(&[ANN], Origin(1))
            .get(&[BOB], Origin(2)),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_3_5_what_nobody_was_asked_for_answers_everybody() {
    check([
        case("stored without").origin(200, &[FRESH]).get(&[], Origin(1)).get(&[ANN], Cached(1)),
        case("a challenge")
            .origin(401, &[FRESH, "WWW-Authenticate: Basic", "WWW-Authenticate: Bearer"])
            .get(&[], Origin(1))
            .has("WWW-Authenticate", "Basic, Bearer")
            .get(&[], Cached(1))
            .has("WWW-Authenticate", "Basic, Bearer"),
        case("a challenge without a word on caching")
            .origin(401, &["WWW-Authenticate: Basic"])
            .origin(200, &["Cache-Control: private"])
            .get(&[], Origin(1))
            .get(&[ANN], Origin(2))
            .get(&[], Origin(3)),
    ])
    .await;
}

/// Two answers that set cookies.
fn cookies(name: &str, control: &str) -> Case {
    let fields = ["Set-Cookie: a=1; Path=/", "X-A: 1", "Set-Cookie: b=2"];
    case(name)
        .origin(200, &[&[control][..], &fields].concat())
        .get(&[], Origin(1))
        .has("Set-Cookie", "a=1; Path=/, b=2")
}

#[tokio::test]
async fn rfc9111_7_3_set_cookie_is_kept_where_the_origin_lets_it_be_stored() {
    check([
        cookies("max-age", FRESH).get(&[], Cached(1)).has("Set-Cookie", "a=1; Path=/, b=2"),
        cookies("private", "Cache-Control: private, max-age=600").get(&[], Origin(2)),
        // RFC 9111 sections 5.2.2.4 and 5.2.2.7: the field alone.
        cookies("private field", "Cache-Control: max-age=600, private=\"Set-Cookie\"")
            .get(&[], Cached(1))
            .lacks("Set-Cookie")
            .has("X-A", "1"),
        cookies("no-cache field", "Cache-Control: max-age=600, no-cache=\"set-cookie, x-b\"")
            .get(&[], Cached(1))
            .lacks("Set-Cookie")
            .has("X-A", "1"),
    ])
    .await;
}

#[tokio::test]
async fn rfc9111_7_3_a_rule_strips_or_refuses_set_cookie() {
    check_with(
        "[[rule]]\nset-cookie = \"strip\"\n",
        [case("strip")
            .origin(200, &[FRESH, "Set-Cookie: a=1", "X-A: 1"])
            .get(&[], Origin(1))
            .lacks("Set-Cookie")
            .get(&[], Cached(1))
            .lacks("Set-Cookie")
            .has("X-A", "1")],
    )
    .await;
    check_with(
        "[[rule]]\nset-cookie = \"refuse\"\n",
        [
            cookies("refuse", FRESH).get(&[], Origin(2)).lacks("Set-Cookie"),
            case("without").origin(200, &[FRESH]).get(&[], Origin(1)).get(&[], Cached(1)),
        ],
    )
    .await;
}

#[tokio::test]
async fn rfc9111_7_3_cookies_of_a_request_do_not_prevent_caching() {
    check([
        case("one for all")
            .origin(200, &[FRESH])
            .get(&[("Cookie", "a=1")], Origin(1))
            .saw("Cookie", "a=1")
            .get(&[("Cookie", "a=2")], Cached(1))
            .get(&[], Cached(1)),
        case("one each")
            .origin(200, &[FRESH, "Vary: Cookie"])
            .origin(200, &[FRESH, "Vary: Cookie"])
            .get(&[("Cookie", "a=1")], Origin(1))
            .get(&[("Cookie", "a=2")], Origin(2))
            .get(&[("Cookie", "a=1")], Cached(1))
            .get(&[], Origin(3)),
    ])
    .await;
}
