//! Tests of the store through its two sides, on a real directory.

mod claims;
mod disk;
mod durable;
mod evicting;
mod faulty;
mod growing;
mod parts;
mod schedules;
mod space;
pub(crate) mod support;
