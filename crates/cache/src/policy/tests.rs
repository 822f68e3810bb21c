//! A table of cases for every clause, named after its section, and freshness against an oracle of its own making.

mod oracle;
mod reusing;
mod storing;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use protocols::http::date;
use url::Url;

use super::*;
use crate::Timestamp;

/// When the responses of these tests arrive: 1994-11-06 08:49:37.
const NOW: u64 = 784_111_777;

const URL: &str = "http://a.example/dir/f?q=1";

/// One exchange; what is not set is a GET that got 200 without fields.
#[derive(Clone)]
struct Exchange {
    method: Method,
    asked: HeaderMap,
    status: u16,
    answered: HeaderMap,
    settings: Settings,
    overrides: Overrides,
}

impl Exchange {
    fn new() -> Self {
        Self {
            method: Method::GET,
            asked: HeaderMap::new(),
            status: 200,
            answered: HeaderMap::new(),
            settings: Settings::default(),
            overrides: Overrides::default(),
        }
    }

    /// A GET that got 200 with these fields.
    fn with(fields: &[(&str, &str)]) -> Self {
        Self { answered: map(fields), ..Self::new() }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    fn asking(self, fields: &[(&str, &str)]) -> Self {
        Self { asked: map(fields), ..self }
    }

    fn ruled(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    fn judged(&self) -> Result<Storable, Unstorable> {
        let url = Url::parse(URL).expect(URL);
        let asked = Asked { method: &self.method, url: &url, headers: &self.asked };
        let status = StatusCode::from_u16(self.status).expect("a status");
        let answered = Answered { status, headers: &self.answered, at: Timestamp(NOW * 1000) };
        may_store(asked, answered, &self.settings, &self.overrides)
    }

    fn lifetime(&self) -> Result<(Basis, u32), Unstorable> {
        self.judged().map(|storable| (storable.freshness.basis, storable.freshness.lifetime))
    }

    fn freshness(&self) -> Freshness {
        self.judged().expect("it is stored").freshness
    }

    fn refusal(&self) -> Option<Unstorable> {
        self.judged().err()
    }
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

/// The date so many seconds after the response arrived.
fn at(offset: i64) -> String {
    date::format(NOW.saturating_add_signed(offset))
}
