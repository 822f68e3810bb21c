//! Facts about this machine and user that defaults are made of.
//!
//! Gathered once in `main` and handed on as values, so that tests give their own. A fact that cannot be found has
//! a modest stand-in: a default must never be the reason why the server does not start.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::raw::Raw;
use super::value::Size;

/// What defaults are made of.
#[derive(Clone)]
pub(crate) struct Facts {
    /// Cores this process may run on.
    pub(crate) cores: usize,
    /// The machine's name.
    pub(crate) host: String,
    /// Where caches of this user belong.
    pub(crate) cache_home: PathBuf,
    /// Where configuration of this user belongs.
    pub(crate) config_home: Option<PathBuf>,
    /// Free bytes for this user on the disk that holds (or will hold) a path.
    pub(crate) free_disk: fn(&Path) -> Option<u64>,
}

impl Facts {
    /// Looks around. `variable` reads the environment.
    pub(crate) fn gather(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        // The XDG rules: empty and relative values count as not set.
        let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = directory("HOME").filter(|home| home != Path::new("/"));
        let under_home = |name| home.as_ref().map(|home| home.join(name));
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            cache_home: directory("XDG_CACHE_HOME")
                .or_else(|| under_home(".cache"))
                .unwrap_or_else(|| PathBuf::from("/var/cache")),
            config_home: directory("XDG_CONFIG_HOME").or_else(|| under_home(".config")),
            free_disk,
        }
    }
}

fn free_disk(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(existing).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// The default of `server.name`.
pub(super) fn host_name(facts: &Facts, _: &Raw) -> String {
    if facts.host.is_empty() { "standpipe".to_owned() } else { facts.host.clone() }
}

/// The default of `server.workers`.
pub(super) fn cores(facts: &Facts, _: &Raw) -> String {
    facts.cores.clamp(1, 1024).to_string()
}

/// The default of `store.directory`.
pub(super) fn store_directory(facts: &Facts, _: &Raw) -> String {
    facts.cache_home.join("standpipe").to_string_lossy().into_owned()
}

const LARGEST_QUOTA: u64 = 20_000_000_000;
const QUOTA_WITHOUT_FACTS: u64 = 1_000_000_000;

/// The default of `store.quota`, in whole megabytes.
pub(super) fn quota(facts: &Facts, raw: &Raw) -> String {
    let directory = raw.given("store.directory").and_then(|given| given.texts.first()).map(PathBuf::from);
    // What the store has taken already was free before it: or each start would find a smaller quota.
    let taken = |directory: &Path| {
        let noted = fs::read_to_string(directory.join("control/used")).ok();
        noted.and_then(|noted| noted.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    let free = directory
        .and_then(|directory| Some((facts.free_disk)(&directory)?.saturating_add(taken(&directory))));
    let quota = free.map_or(QUOTA_WITHOUT_FACTS, |free| (free / 10).min(LARGEST_QUOTA));
    Size(quota / 1_000_000 * 1_000_000).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn gathered(environment: &[(&str, &str)]) -> Facts {
        let environment: HashMap<_, _> = environment.iter().copied().collect();
        Facts::gather(|name| environment.get(name).map(OsString::from))
    }

    #[test]
    fn the_cache_directory_follows_the_user() {
        let cache_home = |environment| gathered(environment).cache_home;
        assert_eq!(cache_home(&[("HOME", "/home/a")]), Path::new("/home/a/.cache"));
        assert_eq!(cache_home(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c")]), Path::new("/c"));
        assert_eq!(cache_home(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "")]), Path::new("/home/a/.cache"));
        assert_eq!(cache_home(&[("HOME", "/")]), Path::new("/var/cache"));
        assert_eq!(cache_home(&[]), Path::new("/var/cache"));
    }

    #[test]
    fn the_quota_is_a_tenth_of_the_free_disk_and_20_gb_at_most() {
        let quota_with = |free_disk| {
            let mut facts = gathered(&[]);
            facts.free_disk = free_disk;
            let mut raw = Raw::default();
            raw.add_defaults(&facts);
            quota(&facts, &raw)
        };
        assert_eq!(quota_with(|_| Some(50_000_999_999)), "5GB");
        assert_eq!(quota_with(|_| Some(u64::MAX)), "20GB");
        assert_eq!(quota_with(|_| Some(0)), "0B");
        assert_eq!(quota_with(|_| None), "1GB");
    }

    #[test]
    fn free_disk_is_that_of_the_nearest_directory_that_exists() {
        let here = tempfile::tempdir().expect("a directory");
        assert!(free_disk(&here.path().join("not/yet")).is_some());
        assert_eq!(free_disk(Path::new("")), None);
    }
}
