//! House rules that can be seen in the text of a source file.

use std::fs;
use std::path::{Path, PathBuf};

/// Where `unsafe` may stand.
const UNSAFE_IN: [&str; 5] = [
    "crates/store/src/files/",
    "crates/store/src/files.rs",
    "crates/doors/src/wire/",
    "crates/doors/src/wire.rs",
    // The C interface.
    "crates/distcache-capi/src/ffi",
];

/// Crates whose roots cannot forbid `unsafe` as a whole.
const WITH_UNSAFE: [&str; 3] = ["crates/store/", "crates/doors/", "crates/distcache-capi/"];

/// The write side of the store: doors must not name it.
const WRITE_SIDE: [&str; 7] = ["Claim", "Fill", "Flight", "Writer", "lookup_or_claim", "open", "Access"];

const LONGEST: usize = 500;
const LONGEST_WITH_TESTS: usize = 800;

/// Everything that does not hold in the workspace at `root`.
pub(super) fn broken_rules(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for directory in ["crates", "tests", "benches", "xtask", "fuzz"] {
        collect(&root.join(directory), &mut files);
    }
    let check = |file: &PathBuf| match (file.strip_prefix(root), fs::read_to_string(file)) {
        (Ok(path), Ok(text)) => broken_rules_of(path, &text),
        _ => vec![format!("{} cannot be read", file.display())],
    };
    files.iter().flat_map(check).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Everything that does not hold in one file; `path` starts at the workspace's root.
pub(super) fn broken_rules_of(path: &Path, text: &str) -> Vec<String> {
    let place = path.to_string_lossy();
    let mut problems = Vec::new();
    let mut problem = |what: String| problems.push(format!("{place}: {what}"));
    if path.ends_with("mod.rs") {
        problem("call it after its module, beside the module's directory".to_owned());
    }
    let is_test = ["tests.rs", "fake.rs"].iter().any(|name| path.ends_with(name))
        || place.contains("/tests/")
        || place.starts_with("tests/");
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text).lines().count();
    if code > LONGEST && !is_test {
        problem(format!("{code} lines before its tests, at most {LONGEST}"));
    }
    let lines = text.lines().count();
    if lines > LONGEST_WITH_TESTS {
        problem(format!("{lines} lines, at most {LONGEST_WITH_TESTS}"));
    }
    if !UNSAFE_IN.iter().any(|allowed| place.starts_with(allowed)) && names(&without_comments(text), "unsafe")
    {
        problem(format!("`unsafe` may stand only in {}", UNSAFE_IN.join(", ")));
    }
    let is_root = place.ends_with("src/lib.rs") || place.ends_with("src/main.rs");
    let must_forbid = is_root && !WITH_UNSAFE.iter().any(|allowed| place.starts_with(allowed));
    if must_forbid && !text.contains("#![forbid(unsafe_code)]") {
        problem("the crate's root must say `#![forbid(unsafe_code)]`".to_owned());
    }
    if place.starts_with("crates/doors/src/") && !is_test {
        for name in write_side_names(text) {
            problem(format!("doors must not name the store's write side: store::{name}"));
        }
    }
    problems
}

/// The text without line comments and without the rest of lines that only hold text for people.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Whether `word` stands in the text as a word of its own, outside of string literals on one line.
fn names(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.lines().any(|line| {
        // Every second piece between quotes is inside a string.
        let outside: String = line.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        outside.split(|c: char| !is_part(c)).any(|found| found == word)
    })
}

fn write_side_names(text: &str) -> Vec<&'static str> {
    let text = without_comments(text);
    let mut found = Vec::new();
    for after in text.split("store::").skip(1) {
        let named = match after.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or(list),
            None => after.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(after),
        };
        found.extend(WRITE_SIDE.iter().copied().filter(|name| names(named, name)));
    }
    found
}
