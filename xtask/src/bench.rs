//! `cargo xtask bench`: builds server and load profiles with optimisation and runs the profiles; `cargo xtask bench
//! traces` and `cargo xtask bench index` need no server.

use crate::step::{self, cargo};

/// What measures the store alone.
const WITHOUT_SERVER: [&str; 2] = ["traces", "index"];

/// Runs the load profiles, or what measures the store alone, with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    if !arguments.first().is_some_and(|first| WITHOUT_SERVER.contains(first)) {
        step::run(cargo(&["build", "--release", "--package", "standpipe"]))?;
    }
    let mut profiles = cargo(&["run", "--release", "--package", "benches", "--"]);
    profiles.args(arguments);
    step::run(profiles)
}
