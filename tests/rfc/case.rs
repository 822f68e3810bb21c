//! [`Case`]: what the origin answers, what clients ask, what they must get. [`check`] plays cases through a site of a
//! server of their own, each on a path of its own, and fails with all that went wrong, by the names of the cases.
//!
//! ```text
//! check([
//!     case("max-age").origin(200, &["Cache-Control: max-age=60"]).get(&[], Origin(1)).get(&[], Cached(1)),
//!     case("nothing").origin(200, &[]).get(&[], Origin(1)).get(&[], Origin(2)),
//! ]).await
//! ```
//!
//! The origin's n-th answer has a body of its own of eight bytes that begins with n, and no two cases share one; those beyond what the case says are 200 without any field that lets
//! them be kept. No time passes in a case: what is to be old says so with `Age`, `Date` and `Expires` (see [`from_now`]).

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use scenarios::settled;
use testkit::client::{Client, Response};
use testkit::node::{Builder, Node};
use testkit::origin::{Origin as Server, Request, Script};

pub(crate) use self::From::{Cached, Origin, Ours};

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The origin: its n-th answer for this place.
    Origin(usize),
    /// The cache, with the origin's n-th answer. The origin is not asked unless [`Case::asking`] says so.
    Cached(usize),
    /// The server itself with this status, whatever the body. The origin is not asked, either.
    Ours(u16),
}

/// One row. Built from front to back: expectations are about the request before them.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    name: String,
    answers: Vec<(String, Answer)>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Answer {
    Made { status: u16, fields: Vec<String>, body: Option<String> },
    Raw(Script),
}

#[derive(Clone, Debug)]
struct Step {
    place: String,
    method: String,
    fields: Vec<(String, String)>,
    content: Option<String>,
    from: From,
    status: Option<u16>,
    body: Option<String>,
    questions: usize,
    expected: Vec<(String, Expected)>,
    seen: Vec<(String, Expected)>,
    seen_method: Option<String>,
}

#[derive(Clone, Debug)]
enum Expected {
    Is(String),
    Absent,
    Present,
    Within(RangeInclusive<u64>),
}

/// A case without answers and requests.
pub(crate) fn case(name: impl Into<String>) -> Case {
    Case { name: name.into(), answers: Vec::new(), steps: Vec::new() }
}

/// Two GETs of an answer 200 with these fields: the second one gets the stored answer, and the origin hears nothing of it.
pub(crate) fn reused(name: impl Into<String>, fields: &[&str]) -> Case {
    case(name).origin(200, fields).get(&[], Origin(1)).get(&[], Cached(1))
}

/// The same, but the second one gets the origin's next answer.
pub(crate) fn asked_again(name: impl Into<String>, fields: &[&str]) -> Case {
    case(name).origin(200, fields).get(&[], Origin(1)).get(&[], Origin(2))
}

impl Case {
    /// The origin's next answer: fields as lines. `{path}` in a line is the path of the case, `{origin}` the origin's URL
    /// without a path.
    #[must_use]
    pub(crate) fn origin(self, status: u16, fields: &[&str]) -> Self {
        self.origin_at("", status, fields)
    }

    /// The origin's next answer for a place below the path of the case.
    #[must_use]
    pub(crate) fn origin_at(mut self, place: &str, status: u16, fields: &[&str]) -> Self {
        let fields = fields.iter().map(|&line| line.to_owned()).collect();
        self.answers.push((place.to_owned(), Answer::Made { status, fields, body: None }));
        self
    }

    /// The origin's next answer with this body.
    #[must_use]
    pub(crate) fn origin_with(mut self, status: u16, fields: &[&str], body: &str) -> Self {
        let fields = fields.iter().map(|&line| line.to_owned()).collect();
        let answer = Answer::Made { status, fields, body: Some(body.to_owned()) };
        self.answers.push((String::new(), answer));
        self
    }

    /// The origin's next answer is this, byte for byte; a request that gets it says what it expects with [`Self::body`].
    #[must_use]
    pub(crate) fn origin_raw(mut self, script: Script) -> Self {
        self.answers.push((String::new(), Answer::Raw(script)));
        self
    }

    /// A GET with fields.
    #[must_use]
    pub(crate) fn get(self, fields: &[(&str, &str)], from: From) -> Self {
        self.ask("GET", fields, from)
    }

    /// A request by any method, without content.
    #[must_use]
    pub(crate) fn ask(mut self, method: &str, fields: &[(&str, &str)], from: From) -> Self {
        self.steps.push(Step {
            place: String::new(),
            method: method.to_owned(),
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            content: None,
            from,
            status: None,
            body: None,
            questions: usize::from(matches!(from, Origin(_))),
            expected: Vec::new(),
            seen: Vec::new(),
            seen_method: None,
        });
        self
    }

    /// The request is for this place below the path of the case, or has this query (`"?q=1"`).
    #[must_use]
    pub(crate) fn at(mut self, place: &str) -> Self {
        place.clone_into(&mut self.step().place);
        self
    }

    /// The request has this content.
    #[must_use]
    pub(crate) fn content(mut self, content: &str) -> Self {
        self.step().content = Some(content.to_owned());
        self
    }

    /// The client gets this status instead of the origin's.
    #[must_use]
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.step().status = Some(status);
        self
    }

    /// The client gets this body instead of the whole of the origin's.
    #[must_use]
    pub(crate) fn body(mut self, body: &str) -> Self {
        self.step().body = Some(body.to_owned());
        self
    }

    /// So many requests reach the origin, be it to validate or behind the answer.
    #[must_use]
    pub(crate) fn asking(mut self, questions: usize) -> Self {
        self.step().questions = questions;
        self
    }

    /// The client gets this field; several lines are joined by `", "`.
    #[must_use]
    pub(crate) fn has(mut self, name: &str, value: &str) -> Self {
        self.step().expected.push((name.to_owned(), Expected::Is(value.to_owned())));
        self
    }

    /// The client gets this field, whatever it says.
    #[must_use]
    pub(crate) fn has_some(mut self, name: &str) -> Self {
        self.step().expected.push((name.to_owned(), Expected::Present));
        self
    }

    /// The client gets this field with a number within these bounds, as is right for what grows with time.
    #[must_use]
    pub(crate) fn has_within(mut self, name: &str, bounds: RangeInclusive<u64>) -> Self {
        self.step().expected.push((name.to_owned(), Expected::Within(bounds)));
        self
    }

    /// The client does not get this field.
    #[must_use]
    pub(crate) fn lacks(mut self, name: &str) -> Self {
        self.step().expected.push((name.to_owned(), Expected::Absent));
        self
    }

    /// The origin gets this field with the last request of this step.
    #[must_use]
    pub(crate) fn saw(mut self, name: &str, value: &str) -> Self {
        self.step().seen.push((name.to_owned(), Expected::Is(value.to_owned())));
        self
    }

    /// The origin gets this field with the last request of this step, whatever it says.
    #[must_use]
    pub(crate) fn saw_some(mut self, name: &str) -> Self {
        self.step().seen.push((name.to_owned(), Expected::Present));
        self
    }

    /// The origin does not get this field with the last request of this step.
    #[must_use]
    pub(crate) fn saw_no(mut self, name: &str) -> Self {
        self.step().seen.push((name.to_owned(), Expected::Absent));
        self
    }

    /// The origin is asked by this method.
    #[must_use]
    pub(crate) fn saw_method(mut self, method: &str) -> Self {
        self.step().seen_method = Some(method.to_owned());
        self
    }

    fn step(&mut self) -> &mut Step {
        self.steps.last_mut().expect("a request comes before what is expected of it")
    }
}

/// Plays the cases on one server; panics with everything that was not as they say.
pub(crate) async fn check(cases: impl IntoIterator<Item = Case>) {
    check_with("", cases).await;
}

/// The same with more configuration after that of the site `rfc` (so that a plain key is one of the site's).
pub(crate) async fn check_with(more: &str, cases: impl IntoIterator<Item = Case>) {
    let origin = Server::start().await;
    let toml = format!("[[site]]\nname = \"rfc\"\norigin = \"{}\"\n{more}", origin.url("/"));
    let node = server().config(&toml).start().await;
    let (mut failures, mut rows) = (Vec::new(), 0);
    for (number, case) in cases.into_iter().enumerate() {
        let stage = Stage { node: &node, origin: &origin, path: format!("/{number}/") };
        failures.extend(stage.play(&case).await);
        rows += 1;
    }
    assert!(rows > 0, "no case was checked");
    assert!(failures.is_empty(), "of {rows} cases:\n{}", failures.join("\n"));
    node.assert_alive().await;
}

/// A server that remembers no refusal and soon gives up what has broken off, but never what is only slow: no test is about
/// that.
fn server() -> Builder {
    let settings = ["--fill-resume-for", "300ms", "--fill-retry-pause", "5ms", "--negative-gone", "0s"];
    Node::builder().args(settings).args(["--negative-other", "0s"])
}

/// An HTTP date so many seconds from now.
pub(crate) fn from_now(seconds: i64) -> String {
    let span = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    httpdate::fmt_http_date(if seconds < 0 { now - span } else { now + span })
}

/// Where one case is played.
struct Stage<'a> {
    node: &'a Node,
    origin: &'a Server,
    path: String,
}

impl Stage<'_> {
    async fn play(&self, case: &Case) -> Vec<String> {
        self.route(case);
        let mut failures = Vec::new();
        for (number, step) in case.steps.iter().enumerate() {
            let before = self.origin.requests().len();
            let answer = self.send(step).await;
            settled(self.node).await;
            let seen = self.origin.requests().split_off(before);
            let what = format!("{}, request {} ({}): ", case.name, number + 1, step.method);
            failures.extend(
                case.judge(&self.path, step, &answer, &seen)
                    .into_iter()
                    .map(|failure| format!("{what}{failure}")),
            );
        }
        failures
    }

    fn route(&self, case: &Case) {
        let places = case.answers.iter().map(|(place, _)| place.clone());
        let asked = case.steps.iter().map(|step| path_of(&step.place).to_owned());
        for place in places.chain(asked) {
            let answers = case.answers.iter().filter(|(at, _)| *at == place);
            let answers: Vec<_> = answers.map(|(_, answer)| answer.clone()).collect();
            let own = self.path.clone();
            let url = self.origin.url("");
            let answers = Arc::new(answers);
            self.origin.route_with(&format!("{own}{place}"), move |request, before| {
                let answer = answers.get(before).cloned().unwrap_or_else(Answer::plain);
                answer.script(request, before + 1, (&own, &place), &url)
            });
        }
    }

    async fn send(&self, step: &Step) -> Response {
        let mut client = Client::connect(self.node.address()).await;
        let mut fields: Vec<_> =
            step.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let length = step.content.as_ref().map(|content| content.len().to_string());
        fields.extend(length.as_deref().map(|length| ("Content-Length", length)));
        client.start(&step.method, &format!("/r/rfc{}{}", self.path, step.place), &fields).await;
        client.send(step.content.as_deref().unwrap_or_default()).await;
        client.response(&step.method).await
    }
}

impl Case {
    fn judge(&self, path: &str, step: &Step, answer: &Response, seen: &[Request]) -> Vec<String> {
        let mut failures = Vec::new();
        let mut compare = |what: &str, got: String, expected: String| {
            if got != expected {
                failures.push(format!("{what} {got:?} instead of {expected:?}"));
            }
        };
        let (status, body) = self.expectation(step, path);
        compare("status", answer.status.to_string(), status.to_string());
        compare("completeness", answer.is_complete().to_string(), "true".into());
        if let Some(body) = body {
            compare("body", answer.text(), body);
        }
        compare("requests at the origin", seen.len().to_string(), step.questions.to_string());
        for (name, expected) in &step.expected {
            let (got, expected) = expected.beside(joined(&answer.headers, name));
            compare(&format!("field {name}"), got, expected);
        }
        let Some(last) = seen.last() else {
            let asks = !step.seen.is_empty() || step.seen_method.is_some();
            compare("a request at the origin", (!asks).to_string(), "true".into());
            return failures;
        };
        for (name, expected) in &step.seen {
            let (got, expected) = expected.beside(joined(&last.headers, name));
            compare(&format!("field {name} at the origin"), got, expected);
        }
        if let Some(method) = &step.seen_method {
            compare("method at the origin", last.method.clone(), method.clone());
        }
        failures
    }

    /// Status and, unless any will do, body that the client is to get.
    fn expectation(&self, step: &Step, path: &str) -> (u16, Option<String>) {
        let number = match step.from {
            Origin(number) | Cached(number) => number,
            Ours(status) => return (step.status.unwrap_or(status), step.body.clone()),
        };
        let place = path_of(&step.place);
        let answer = self.answers.iter().filter(|(at, _)| at == place).nth(number - 1);
        let answer = answer.map_or_else(Answer::plain, |(_, answer)| answer.clone());
        let (status, body) = match answer {
            Answer::Made { status, body, .. } => {
                (status, body.unwrap_or_else(|| body_of(number, path, place)))
            }
            Answer::Raw(_) => (200, String::new()),
        };
        let status = step.status.unwrap_or(status);
        let is_empty = step.method == "HEAD" || is_bodyless(status);
        let body = if is_empty { String::new() } else { step.body.clone().unwrap_or(body) };
        (status, Some(body))
    }
}

impl Expected {
    /// What came and what should have come, in words that are equal when all is well.
    fn beside(&self, got: Option<String>) -> (String, String) {
        let is_good = match (self, &got) {
            (Self::Is(value), Some(got)) => value == got,
            (Self::Absent, None) | (Self::Present, Some(_)) => true,
            (Self::Within(bounds), Some(got)) => got.parse().is_ok_and(|number| bounds.contains(&number)),
            _ => false,
        };
        let got = got.unwrap_or_else(|| "(none)".into());
        let expected = match self {
            _ if is_good => got.clone(),
            Self::Is(value) => value.clone(),
            Self::Absent => "(none)".into(),
            Self::Present => "(something)".into(),
            Self::Within(bounds) => format!("({bounds:?})"),
        };
        (got, expected)
    }
}

impl Answer {
    /// What the origin says when the case says nothing.
    fn plain() -> Self {
        Self::Made { status: 200, fields: Vec::new(), body: None }
    }

    fn script(self, request: &Request, number: usize, (path, place): (&str, &str), origin: &str) -> Script {
        let (status, fields, body) = match self {
            Self::Made { status, fields, body } => {
                (status, fields, body.unwrap_or_else(|| body_of(number, path, place)))
            }
            Self::Raw(script) => return script,
        };
        let lines: String = fields.iter().map(|line| format!("\r\n{line}")).collect();
        let lines = lines.replace("{path}", path).replace("{origin}", origin);
        let head = format!("{status} Said{lines}");
        if is_bodyless(status) {
            return Script::raw(format!("HTTP/1.1 {head}\r\n\r\n"));
        }
        if request.method == "HEAD" {
            return Script::raw(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()));
        }
        Script::answer(&head, body)
    }
}

/// The body of the origin's n-th answer: `2-000012`, with the place's first letter as `2o000012`.
fn body_of(number: usize, path: &str, place: &str) -> String {
    format!("{number}{}{:0>6}", place.chars().next().unwrap_or('-'), path.trim_matches('/'))
}

const fn is_bodyless(status: u16) -> bool {
    matches!(status, 100..200 | 204 | 304)
}

fn path_of(place: &str) -> &str {
    place.split('?').next().unwrap_or_default()
}

fn joined(headers: &[(String, String)], name: &str) -> Option<String> {
    let values = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}
