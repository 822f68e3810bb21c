//! Who depends on whom. What our crates name themselves stands in `cargo metadata`; what is reached through others is
//! asked of `cargo tree`, because metadata also lists optional packages that no feature turns on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::step::{cargo, output};

/// Names of packages; two versions of one package are one.
pub(super) type Names = BTreeSet<String>;

/// What our crates use. Dependencies of tests do not count, except in `everything`.
#[derive(Default)]
pub(super) struct Graph {
    /// What each of our crates names itself.
    pub(super) direct: BTreeMap<String, Names>,
    /// What each of our crates reaches, itself or through others.
    pub(super) reached: BTreeMap<String, Names>,
    /// What anything uses, tests and builds included.
    pub(super) everything: Names,
}

impl Graph {
    /// Asks cargo.
    pub(super) fn load() -> Result<Self, String> {
        let mut direct = direct(&["--no-deps"])?;
        let reach =
            |name: &String| Ok((name.clone(), tree(&["--package", name, "--edges", "normal,build"])?));
        let reached = direct.keys().map(reach).collect::<Result<_, String>>()?;
        direct.extend(fuzz()?);
        Ok(Self { direct, reached, everything: tree(&["--workspace", "--edges", "all", "--all-features"])? })
    }
}

/// The fuzz targets, which are no member of the workspace: their lock file must be up to date, too.
fn fuzz() -> Result<BTreeMap<String, Names>, String> {
    let mut all = direct(&["--manifest-path", "fuzz/Cargo.toml", "--locked"])?;
    all.retain(|name, _| name == "standpipe-fuzz");
    Ok(all)
}

fn direct(arguments: &[&str]) -> Result<BTreeMap<String, Names>, String> {
    let mut command = cargo(&["metadata", "--format-version", "1"]);
    command.args(arguments);
    let metadata: Value =
        serde_json::from_str(&output(command)?).map_err(|error| format!("no JSON: {error}"))?;
    named(&metadata).ok_or_else(|| "cargo metadata has an unknown shape".to_owned())
}

fn named(metadata: &Value) -> Option<BTreeMap<String, Names>> {
    let named = |package: &Value| {
        let dependencies = package["dependencies"].as_array()?.iter();
        let used = dependencies.filter(|dependency| dependency["kind"] != "dev");
        let used =
            used.map(|dependency| dependency["name"].as_str().map(str::to_owned)).collect::<Option<_>>()?;
        Some((package["name"].as_str()?.to_owned(), used))
    };
    metadata["packages"].as_array()?.iter().map(named).collect()
}

/// Names of the packages in a tree; each line is `name vVERSION (place)`.
fn tree(arguments: &[&str]) -> Result<Names, String> {
    let mut command = cargo(&["tree", "--prefix", "none", "--format", "{p}"]);
    command.args(arguments);
    let names =
        output(command)?.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    Ok(names)
}
