//! `cargo xtask ci`: what must hold before a change is taken.

use crate::step::{self, cargo, is_installed};
use crate::{fuzz, test};

/// Runs the checks, the quickest first.
pub(crate) fn run() -> Result<(), String> {
    step::run(cargo(&["fmt", "--all", "--check"]))?;
    step::run(cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        test::FEATURES,
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    step::run(cargo(&["test", "--package", "xtask", "--quiet", "edges"]))?;
    if is_installed("cargo-deny") {
        step::run(cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        eprintln!("xtask: cargo-deny is not installed: deny.toml is not checked");
    }
    test::run()?;
    fuzz::run(&[])
}
