//! `cargo xtask bench`: builds server and load profiles with optimisation and runs the profiles.

use crate::step::{self, cargo};

/// Runs the load profiles with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    step::run(cargo(&["build", "--release", "--package", "standpipe"]))?;
    let mut profiles = cargo(&["run", "--release", "--package", "benches", "--"]);
    profiles.args(arguments);
    step::run(profiles)
}
