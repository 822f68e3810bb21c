//! Tests of the store through its two sides, on a real directory.

mod claims;
mod disk;
mod growing;
mod schedules;
mod space;
pub(crate) mod support;
