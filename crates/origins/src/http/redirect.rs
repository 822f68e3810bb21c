//! [`Route`]: where a request goes next, and what it may take along (RFC 9110 15.4; user demand 4c 38, 48, 49).
//!
//! Pure. Owns the URLs visited so far. Invariants: only http and https; no URL twice; credentials never come to
//! another scheme, host or port, and once dropped they stay dropped. The guard is not its matter: every hop is a
//! new request to the client, which asks it.

use cache::{Error, Kind};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::{Downgrade, Settings};

/// The way of one request through redirects.
pub(crate) struct Route {
    url: Url,
    credentials: HeaderMap,
    visited: Vec<Url>,
}

impl Route {
    pub(crate) fn new(url: Url, credentials: HeaderMap) -> Self {
        Self { url, credentials, visited: Vec::new() }
    }

    /// Where to ask now.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Credentials that may go there.
    pub(crate) const fn credentials(&self) -> &HeaderMap {
        &self.credentials
    }

    /// Moves on when the answer is a redirect that names a place.
    ///
    /// # Errors
    /// [`Kind::RedirectLoop`] and [`Kind::RedirectInvalid`], with a sentence.
    pub(crate) fn follow(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        settings: &Settings,
    ) -> Result<Step, Error> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(Step::Arrived);
        }
        let Some(next) = self.location(headers)? else { return Ok(Step::Arrived) };
        self.check(&next, settings)?;
        if !same_origin(&self.url, &next) {
            self.credentials.clear();
        }
        self.visited.push(std::mem::replace(&mut self.url, next));
        Ok(Step::Moved)
    }

    fn location(&self, headers: &HeaderMap) -> Result<Option<Url>, Error> {
        let mut lines = headers.get_all(LOCATION).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.any(|other| other != line) {
            return Err(self.invalid("names two places"));
        }
        let text =
            std::str::from_utf8(line.as_bytes()).map_err(|_| self.invalid("has no readable Location"))?;
        let mut next = self.url.join(text).map_err(|_| self.invalid("has a Location that is no URL"))?;
        next.set_fragment(None);
        if matches!(next.scheme(), "http" | "https") {
            // Credentials come from our client or not at all. Setting them to nothing can not fail with a host.
            let _cannot_fail = next.set_username("").and_then(|()| next.set_password(None));
        }
        Ok(Some(next))
    }

    fn check(&self, next: &Url, settings: &Settings) -> Result<(), Error> {
        match (self.url.scheme(), next.scheme(), settings.downgrade) {
            ("https", "http", Downgrade::Refuse) => {
                return Err(self.invalid("leads from https to http; origin.allow-downgrade permits it"));
            }
            (_, "http" | "https", _) => {}
            _ => {
                return Err(self.invalid(&format!("leads to {}:, which is not http or https", next.scheme())));
            }
        }
        if *next == self.url || self.visited.contains(next) {
            let detail = format!("the redirects of {} lead in a circle", place(self.start()));
            return Err(Error::new(Kind::RedirectLoop, detail));
        }
        if self.visited.len() >= settings.max_redirects {
            let detail = format!(
                "{} redirects more than {} times (origin.max-redirects)",
                place(self.start()),
                settings.max_redirects
            );
            return Err(Error::new(Kind::RedirectLoop, detail));
        }
        Ok(())
    }

    fn start(&self) -> &Url {
        self.visited.first().unwrap_or(&self.url)
    }

    fn invalid(&self, why: &str) -> Error {
        Error::new(Kind::RedirectInvalid, format!("a redirect from {} {why}", place(&self.url)))
    }
}

/// What an answer means for the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is the final one.
    Arrived,
    /// Ask again at [`Route::url`].
    Moved,
}

fn same_origin(one: &Url, other: &Url) -> bool {
    let origin =
        |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    origin(one) == origin(other)
}

/// Without the query, which may hold secrets.
fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests;
