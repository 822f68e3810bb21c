//! `cargo xtask config-reference`: writes docs/configuration.md. A test of the program fails when it is out of date.

use std::fs;

use crate::step::{cargo, output, root};

/// Asks the program for the page and writes it.
pub(crate) fn run() -> Result<(), String> {
    let page = output(cargo(&["run", "--quiet", "--package", "standpipe", "--", "config-reference"]))?;
    let path = root().join("docs/configuration.md");
    fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()))
}
