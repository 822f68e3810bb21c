//! `cargo xtask test`: every test there is, on a machine that may still lack what they need.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::{env, fs};

use crate::step::{self, cargo, is_installed, output, program, root};

/// Programs and files that tests use, and the Debian packages that hold them.
const NEEDS: [(&str, &str); 11] = [
    ("apache2", "apache2"),
    ("apxs", "apache2-dev"),
    ("c++", "g++"),
    ("cc", "gcc"),
    ("curl", "curl"),
    ("make", "make"),
    ("nginx", "nginx-light"),
    ("openssl", "openssl"),
    ("redis-server", "redis-server"),
    ("systemd-analyze", "systemd"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
];

/// Features that the server itself does not use, tested all the same.
pub(crate) const FEATURES: &str =
    "distcache/fuzzing,distcache/redis,distcache/rustls,doors/fuzzing,origins/fuzzing,store/fuzzing";

/// Runs every test.
pub(crate) fn run() -> Result<(), String> {
    install_missing();
    step::run(cargo(&["build", "--package", "standpipe"]))?;
    // A step of its own: built together with others it would be given their features.
    step::run(cargo(&["build", "--package", "distcache-capi"]))?;
    let built = target_directory()?.join("debug");

    let mut tests = if is_installed("cargo-nextest") {
        cargo(&["nextest", "run", "--workspace"])
    } else {
        cargo(&["test", "--workspace", "--all-targets"])
    };
    // Parts that nothing of ours switches on.
    tests.args(["--features", FEATURES]);
    // Scenarios run against the built program, C programs with the built library.
    tests.env("STANDPIPE_BIN", built.join("standpipe"));
    tests.env("DISTCACHE_LIBRARY", built.join("libdistcache.so"));
    step::run(tests)?;
    step::run(cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    interleavings()
}

/// The store's claim, follow and drain under every order of events.
fn interleavings() -> Result<(), String> {
    let mut tests = cargo(&["test", "--package", "store", "--release", "--lib", "loom"]);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    // Other flags rebuild everything: a directory of its own keeps the usual one warm.
    tests
        .env("RUSTFLAGS", format!("{flags} --cfg loom").trim())
        .env("CARGO_TARGET_DIR", root().join("target/loom"));
    step::run(tests)
}

/// Installs what is missing if that is possible, else says what is missing and goes on: most tests need none of it.
fn install_missing() {
    let missing: Vec<_> = NEEDS.iter().filter(|(program, _)| !is_installed(program)).collect();
    if missing.is_empty() {
        return;
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    if !is_root() || !is_installed("apt-get") {
        eprintln!("xtask: missing: {}; as root: apt-get install {}", packages.join(", "), packages.join(" "));
        return;
    }
    if let Err(problem) = install(&packages) {
        eprintln!("xtask: {problem}; the tests that need {} will fail", packages.join(", "));
    }
}

fn install(packages: &[&str]) -> Result<(), String> {
    step::run(program("apt-get", &["update", "-qq"]))?;
    let mut install = program("apt-get", &["install", "-y", "-qq", "--no-install-recommends"]);
    install.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    step::run(install)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn target_directory() -> Result<PathBuf, String> {
    let metadata = output(cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata is no JSON: {error}"))?;
    let directory =
        metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(directory))
}
