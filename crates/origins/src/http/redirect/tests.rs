use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::*;

fn route(url: &str) -> Route {
    let mut credentials = HeaderMap::new();
    credentials.insert(AUTHORIZATION, HeaderValue::from_static("Basic x"));
    Route::new(Url::parse(url).expect("a URL"), credentials)
}

fn location(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(value))])
}

fn follow(route: &mut Route, to: &'static str) -> Result<Step, Kind> {
    let settings = Settings::default();
    route.follow(StatusCode::FOUND, &location(to), &settings).map_err(|error| error.kind)
}

#[test]
fn the_place_is_relative_to_the_answers_url() {
    for (to, url) in [
        ("next", "https://a.example/dir/next"),
        ("/next?x=1#part", "https://a.example/next?x=1"),
        ("?y", "https://a.example/dir/file?y"),
        ("//b.example/z", "https://b.example/z"),
        ("https://user:secret@b.example/", "https://b.example/"),
        ("", "https://a.example/dir/file?q"),
    ] {
        let mut route = route("https://a.example/dir/file?q");
        if to.is_empty() {
            assert_eq!(follow(&mut route, to), Err(Kind::RedirectLoop), "the same document");
            continue;
        }
        assert_eq!(follow(&mut route, to), Ok(Step::Moved));
        assert_eq!(route.url().as_str(), url);
    }
}

#[test]
fn only_five_statuses_move_and_only_with_a_place() {
    let settings = Settings::default();
    for status in [301, 302, 303, 307, 308] {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut route = route("http://a.example/");
        assert_eq!(route.follow(status, &HeaderMap::new(), &settings).expect("no error"), Step::Arrived);
        assert_eq!(route.follow(status, &location("/b"), &settings).expect("no error"), Step::Moved);
    }
    for status in [200, 201, 300, 304, 305, 306, 309, 404] {
        let status = StatusCode::from_u16(status).expect("a status");
        let step = route("http://a.example/").follow(status, &location("/b"), &settings);
        assert_eq!(step.expect("no error"), Step::Arrived);
    }
}

// 38
#[test]
fn circles_of_any_length_are_found() {
    let mut route = route("http://a.example/1");
    assert_eq!(follow(&mut route, "/2"), Ok(Step::Moved));
    assert_eq!(follow(&mut route, "/3"), Ok(Step::Moved));
    assert_eq!(follow(&mut route, "/1#again"), Err(Kind::RedirectLoop));
}

// 38
#[test]
fn the_eleventh_redirect_is_one_too_many() {
    let steps = ["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/10"];
    let mut route = route("http://a.example/0");
    for step in steps {
        assert_eq!(follow(&mut route, step), Ok(Step::Moved));
    }
    assert_eq!(follow(&mut route, "/11"), Err(Kind::RedirectLoop));
}

// 38, 49
#[test]
fn other_schemes_and_downgrades_are_refused() {
    for to in ["ftp://a.example/", "file:///etc/passwd", "gopher://a", "data:,x", "javascript:1", "http://"] {
        assert_eq!(follow(&mut route("http://a.example/"), to), Err(Kind::RedirectInvalid), "{to}");
    }
    assert_eq!(follow(&mut route("https://a.example/"), "http://a.example/"), Err(Kind::RedirectInvalid));
    assert_eq!(follow(&mut route("http://a.example/"), "https://a.example/"), Ok(Step::Moved));
    let lenient = Settings { downgrade: Downgrade::Follow, ..Settings::default() };
    let mut route = route("https://a.example/");
    assert!(route.follow(StatusCode::FOUND, &location("http://a.example/"), &lenient).is_ok());
}

#[test]
fn two_places_are_none() {
    let mut two = location("/a");
    two.append(LOCATION, HeaderValue::from_static("/b"));
    let error = route("http://a.example/").follow(StatusCode::FOUND, &two, &Settings::default());
    assert_eq!(error.expect_err("ambiguous").kind, Kind::RedirectInvalid);
}

#[test]
fn credentials_stay_with_their_scheme_host_and_port() {
    for (to, kept) in [
        ("/b", true),
        ("http://a.example:80/b", true),
        ("http://a.example:81/b", false),
        ("https://a.example/b", false),
        ("http://sub.a.example/b", false),
    ] {
        let mut route = route("http://a.example/");
        assert_eq!(follow(&mut route, to), Ok(Step::Moved));
        assert_eq!(!route.credentials().is_empty(), kept, "{to}");
    }
}

#[test]
fn credentials_once_dropped_do_not_come_back() {
    let mut route = route("http://a.example/");
    assert_eq!(follow(&mut route, "http://b.example/"), Ok(Step::Moved));
    assert_eq!(follow(&mut route, "http://a.example/2"), Ok(Step::Moved));
    assert!(route.credentials().is_empty());
}

#[test]
fn the_error_does_not_show_the_query() {
    let mut route = route("https://a.example/x?token=secret");
    let error = route.follow(StatusCode::FOUND, &location("http://b.example/"), &Settings::default());
    let detail = error.expect_err("a downgrade").detail;
    assert!(detail.contains("https://a.example/x ") && !detail.contains("secret"), "{detail}");
}
