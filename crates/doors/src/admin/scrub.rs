//! `/api/v1/scrub`: POST begins to compare every stored body with its digest, GET tells how far it is, DELETE ends it.
//!
//! The work is the store's; a damaged body is dropped there and fetched again when somebody asks for it.

use http::Method;
use http::request::Parts as RequestHead;
use serde::Serialize;

use super::{Parts, delete};
use crate::respond::{Page, Refusal};

const METHODS: &str = "GET, HEAD, POST, DELETE";

/// Fewest bytes a second, so that a scrub ends some day.
const LOWEST_RATE: u64 = 64 << 10;

#[derive(Serialize)]
struct Progress {
    running: bool,
    /// Compared so far.
    bodies: u64,
    bytes: u64,
    of_bytes: u64,
    damaged: u64,
    /// Seconds since 1970; 0: never.
    begun: u32,
    ended: u32,
}

pub(super) fn scrub(parts: &Parts, head: &RequestHead) -> Result<Page, Refusal> {
    match head.method {
        Method::GET | Method::HEAD => {}
        Method::POST => {
            delete::check_site(head)?;
            start(parts, head)?;
        }
        Method::DELETE => {
            delete::check_site(head)?;
            parts.cache.stop_scrub();
        }
        _ => {
            return Err(Refusal::method(
                METHODS,
                format!("this path answers {METHODS} only; use one of them"),
            ));
        }
    }
    Ok(page(parts))
}

fn start(parts: &Parts, head: &RequestHead) -> Result<(), Refusal> {
    let rate = rate(head.uri.query().unwrap_or_default())?.unwrap_or(parts.settings.scrub_rate);
    if parts.cache.start_scrub(rate) {
        return Ok(());
    }
    let detail = "a scrub is running already; GET shows how far it is, DELETE ends it";
    Err(Refusal::new(http::StatusCode::CONFLICT, "scrub_running", detail))
}

/// The parameter `rate`: bytes a second, with or without a unit.
fn rate(query: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = query.split('&').find_map(|pair| pair.strip_prefix("rate=")) else { return Ok(None) };
    let bytes = bytes(text).filter(|bytes| *bytes >= LOWEST_RATE);
    let detail = "the parameter rate must be a number of bytes a second, at least 64KiB, such as rate=50MB";
    bytes.map(Some).ok_or_else(|| Refusal::bad_request("rate_invalid", detail))
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn page(parts: &Parts) -> Page {
    let reader = parts.cache.reader();
    let scrub = reader.scrub();
    let progress = Progress {
        running: scrub.is_running,
        bodies: scrub.bodies,
        bytes: scrub.bytes,
        of_bytes: reader.usage().used,
        damaged: scrub.damaged,
        begun: scrub.begun,
        ended: scrub.ended,
    };
    // A struct of numbers always serialises.
    let body = serde_json::to_string_pretty(&progress).unwrap_or_default() + "\n";
    Page { content_type: "application/json", body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_unit_or_is_bytes() {
        let read = |query| rate(query).ok();
        assert_eq!(read(""), Some(None));
        assert_eq!(read("x=1&rate=70000"), Some(Some(70_000)));
        assert_eq!(read("rate=50MB"), Some(Some(50_000_000)));
        assert_eq!(read("rate=1GiB"), Some(Some(1 << 30)));
        for query in ["rate=", "rate=fast", "rate=1", "rate=-1MB", "rate=99999999999999999999GB", "rate=1XB"]
        {
            assert_eq!(read(query), None, "{query}");
        }
    }
}
