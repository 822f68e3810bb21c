//! `/api/v1/entries`: what is stored, filtered, sorted, a page at a time; and one entry by its key. The lists are the
//! cache's.

use cache::{Order, Selection, Wanted};
use http::request::Parts as RequestHead;
use protocols::http::expression::Expression;

use super::query::{self, Query};
use super::{Parts, json, purge, safe};
use crate::respond::{Page, Refusal};

/// Entries of a page unless it is said how many.
const USUAL: usize = 100;

pub(super) async fn list(parts: &Parts, head: &RequestHead) -> Result<Page, Refusal> {
    safe(head)?;
    let query = query::read(head)?;
    let (order, count) = (order(&query)?, count(&query)?);
    let cursor = query::one(&query, "cursor");
    let page = parts.cache.entries(wanted(&query)?, order, count, cursor).await;
    Ok(json(&page.map_err(purge::refusal)?))
}

pub(super) async fn one(parts: &Parts, head: &RequestHead, key: &str) -> Result<Page, Refusal> {
    safe(head)?;
    let entry = parts.cache.entry(key).await;
    let missing =
        || Refusal::not_found("no_entry", "nothing is stored under this key; GET /api/v1/entries lists keys");
    Ok(json(&entry.ok_or_else(missing)?))
}

fn wanted(query: &Query<'_>) -> Result<Wanted, Refusal> {
    let text = |name| query::one(query, name).map(str::to_owned);
    let status = query::one(query, "status").map(|text| text.parse());
    let status = status.transpose().map_err(|_| invalid("status must be a number such as 200"))?;
    let expression = query::one(query, "expression").map(Expression::parse).transpose();
    Ok(Wanted {
        host: text("host"),
        prefix: text("prefix"),
        tag: text("tag"),
        status,
        state: query::one(query, "state").map(state).transpose()?,
        expression: expression.map_err(|error| invalid(&format!("expression: {error}")))?,
    })
}

fn state(text: &str) -> Result<Selection, Refusal> {
    Ok(match text {
        "fresh" => Selection::Fresh,
        "stale" => Selection::Stale,
        "partial" => Selection::Partial,
        "purged" => Selection::Purged,
        "pinned" => Selection::Pinned,
        _ => return Err(invalid("state must be fresh, stale, partial, purged or pinned")),
    })
}

fn order(query: &Query<'_>) -> Result<Order, Refusal> {
    Ok(match query::one(query, "sort") {
        None | Some("size") => Order::Size,
        Some("age") => Order::Age,
        Some("hits") => Order::Hits,
        Some("last_use") => Order::LastUse,
        Some(_) => return Err(invalid("sort must be size, age, hits or last_use")),
    })
}

fn count(query: &Query<'_>) -> Result<usize, Refusal> {
    let Some(text) = query::one(query, "limit") else { return Ok(USUAL) };
    let count = text.parse().ok().filter(|count| (1..=1000).contains(count));
    count.ok_or_else(|| invalid("limit must be a number from 1 to 1000"))
}

fn invalid(detail: &str) -> Refusal {
    Refusal::bad_request("entries_invalid", format!("the parameter {detail}"))
}
