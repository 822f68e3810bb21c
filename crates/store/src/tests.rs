//! Tests of the store through its two sides, on a real directory.

mod claims;
mod disk;
mod durable;
mod evicting;
mod faulty;
mod growing;
mod leaving;
mod limits;
mod model;
mod parts;
mod pieces;
mod pieces_model;
mod pinning;
mod repositories;
mod schedules;
mod slow;
mod space;
pub(crate) mod support;
mod trust;
mod versions;
