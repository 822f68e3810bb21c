//! HTTP fields and URLs as values (RFC 9110, 9111, 9211, 9213, 9530, 6266, 3986).
//!
//! One module a field or family of fields. Nothing here decides whether something is fresh, stored or sent; it only
//! says what a field means.

pub mod age;
pub mod cache_control;
pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod digest;
pub mod disposition;
pub mod etag;
pub mod expression;
mod field;
pub mod hop;
pub mod query;
pub mod range;
pub mod retry_after;
pub mod tags;
pub mod targeted;
pub mod url;
pub mod vary;
pub mod via;
