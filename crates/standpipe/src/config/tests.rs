use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::cli;

/// A machine without surprises.
fn facts(config_home: Option<PathBuf>) -> Facts {
    Facts {
        cores: 3,
        host: "riser".to_owned(),
        cache_home: PathBuf::from("/cache"),
        config_home,
        free_disk: |_| Some(100_000_000_000),
    }
}

fn loaded(flags: &[&str], environment: &[(&str, &str)], named: Option<&Path>) -> Result<Config, Vec<String>> {
    let arguments = ["standpipe"].iter().chain(flags);
    let matches = cli::arguments::command().try_get_matches_from(arguments).expect("flags that clap accepts");
    let environment: Vec<_> =
        environment.iter().map(|(name, text)| (OsString::from(name), OsString::from(text))).collect();
    load(&matches, named, &environment, &facts(None))
}

fn problems(flags: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    loaded(flags, environment, None).err().unwrap_or_default()
}

#[test]
fn defaults_are_valid_and_found_on_the_machine() {
    let values = loaded(&[], &[], None).map(|config| config.values).expect("valid");
    assert_eq!(values.server_listen.iter().map(|a| a.0.to_string()).collect::<Vec<_>>(), ["127.0.0.1:8001"]);
    assert_eq!(values.store_directory, Path::new("/cache/standpipe"));
    assert_eq!(values.store_quota.0, 10_000_000_000);
    assert_eq!(values.server_workers.count(), 3);
    assert_eq!(values.server_name, "riser");
    assert_eq!(values.fetch_default_ttl, Duration::from_secs(864_000));
    assert_eq!(values.server_shutdown_file, None);
    assert!(values.origin_allow.is_empty());
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("s.toml");
    fs::write(&file, "[server]\ngrace = \"1s\"\nheader-timeout = \"1s\"\nwrite-timeout = \"1s\"\n")
        .expect("written");
    let environment = [("STANDPIPE_SERVER_GRACE", "2s"), ("STANDPIPE_SERVER_HEADER_TIMEOUT", "2s")];
    let config = loaded(&["--server-grace", "3s"], &environment, Some(&file))
        .map_err(|p| p.join("\n"))
        .expect("valid");
    let source = |name| config.raw.given(name).map(|given| given.source.to_string()).unwrap_or_default();
    assert_eq!(config.values.server_grace, Duration::from_secs(3));
    assert_eq!(source("server.grace"), "flag --server-grace");
    assert_eq!(config.values.server_header_timeout.0, Duration::from_secs(2));
    assert_eq!(source("server.header-timeout"), "environment STANDPIPE_SERVER_HEADER_TIMEOUT");
    assert_eq!(config.values.server_write_timeout.0, Duration::from_secs(1));
    assert_eq!(source("server.write-timeout"), format!("{}:4:17", file.display()));
    assert_eq!(source("server.keepalive-timeout"), "default");
}

#[test]
fn lists_come_from_repeated_flags_and_from_commas() {
    let listen = |flags: &[&str], environment: &[(&str, &str)]| {
        let config = loaded(flags, environment, None).map_err(|p| p.join("\n")).expect("valid");
        config.values.server_listen.iter().map(|address| address.0.port()).collect::<Vec<_>>()
    };
    assert_eq!(listen(&["--listen", ":1", "--listen", ":2,:3"], &[]), [1, 2, 3]);
    assert_eq!(listen(&["--server-listen", ":4"], &[]), [4]);
    assert_eq!(listen(&[], &[("STANDPIPE_SERVER_LISTEN", ":5, :6")]), [5, 6]);
}

#[test]
fn every_wrong_value_is_reported_with_key_place_and_expectation() {
    assert_eq!(
        problems(&["--store-quota", "lots", "--server-workers", "0"], &[("STANDPIPE_SERVER_GRACE", "5")]),
        [
            "environment STANDPIPE_SERVER_GRACE: server.grace: expected a duration with its unit such as `10d`, \
             `12h`, `5min`, `30s` or `500ms`, at most 3650d; found `5`",
            "flag --server-workers: server.workers: expected a whole number from 1 to 1024; found `0`",
            "flag --store-quota: store.quota: expected a size such as `20GB`, `512MiB` or `1.5TB`, at most \
             1048576TiB; found `lots`",
        ]
    );
}

#[test]
fn what_does_not_fit_together_is_reported() {
    assert_eq!(
        problems(&["--listen", ""], &[]),
        ["flag --listen: server.listen: is empty, so there is nothing to listen on"]
    );
    assert_eq!(
        problems(&["--server-name", " "], &[]),
        ["flag --server-name: server.name: is empty, but `Via` needs a name"]
    );
    let not_allowed = problems(&["--fetch-pass-headers-default", "x-token"], &[]);
    assert!(not_allowed[0].contains("fetch.pass-headers"), "{not_allowed:?}");
    assert_eq!(
        problems(&["--fetch-pass-headers", "x-token", "--fetch-pass-headers-default", "X-Token"], &[]),
        [""; 0]
    );
}

#[test]
fn keys_that_contradict_each_other_are_all_reported_with_both_names() {
    assert_eq!(
        problems(&["--store-low-mark", "96"], &[("STANDPIPE_FILL_RETRY_PAUSE", "2min")]),
        [
            "flag --store-low-mark: store.low-mark: `96` is more than store.high-mark, which is `95` (default), but \
             eviction would have to stop before it begins: lower the one or raise the other",
            "environment STANDPIPE_FILL_RETRY_PAUSE: fill.retry-pause: `2min` is more than fill.retry-pause-max, which \
             is `2s` (default), but the first pause would be longer than the longest: lower the one or raise the other",
        ]
    );
    let named = |flags: &[&str]| problems(flags, &[]).join("\n");
    let quota = named(&["--store-quota", "1MB"]);
    assert!(quota.contains("fill.piece: `1MiB` is more than store.quota, which is `1MB`"), "{quota}");
    let head = named(&["--server-max-target", "1MiB"]);
    assert!(head.contains("server.max-target") && head.contains("server.max-head"), "{head}");
    for fine in [
        &["--store-low-mark", "95"][..],
        &["--store-quota", "0"],
        &["--store-quota", "1MB", "--fill-piece", "64KiB"],
    ] {
        assert_eq!(named(fine), "", "{fine:?}");
    }
}

#[test]
fn every_wrong_item_of_a_list_is_reported() {
    let flags = ["--access-rules", "permit any", "--access-rules", "allow any", "--access-rules", "deny ten"];
    let said = problems(&flags, &[]).join("\n");
    assert!(said.contains("`permit any` starts with neither"), "{said}");
    assert!(said.contains("; also: the access rule `deny ten` `ten` is no network"), "{said}");
    assert!(!said.contains("`allow any`"), "{said}");
}

#[test]
fn what_was_found_on_the_machine_is_no_contradiction() {
    let tiny = Facts { free_disk: |_| Some(15_000_000), ..facts(None) };
    let matches = cli::arguments::command().try_get_matches_from(["standpipe"]).expect("no flags");
    let config = load(&matches, None, &[], &tiny).map_err(|problems| problems.join("\n")).expect("valid");
    assert_eq!((config.values.store_quota.0, config.warnings.len()), (1_000_000, 0));
}

#[test]
fn memory_that_is_never_used_is_a_warning() {
    let warned = |flags: &[&str]| loaded(flags, &[], None).map(|config| config.warnings).expect("valid");
    let warnings = warned(&["--store-memory", "2GB", "--store-quota", "1GB"]);
    assert!(warnings[0].contains("store.memory") && warnings[0].contains("store.quota"), "{warnings:?}");
    assert_eq!(warned(&["--store-quota", "10MB"]), [""; 0], "the default of the one is no mistake");
}

#[test]
fn an_empty_variable_counts_as_not_set_and_a_misspelt_one_is_pointed_out() {
    let environment =
        [("STANDPIPE_SERVER_GRACE", ""), ("STANDPIPE_STORE_QOUTA", "1GB"), ("STANDPIPE_PORT", "tcp://1")];
    let config = loaded(&[], &environment, None).map_err(|p| p.join("\n")).expect("valid");
    assert_eq!(config.values.server_grace, Duration::from_secs(30));
    assert_eq!(config.warnings, ["STANDPIPE_STORE_QOUTA is no key; did you mean STANDPIPE_STORE_QUOTA?"]);
}

#[test]
fn a_named_file_must_be_there_and_the_users_file_is_optional() {
    assert_eq!(
        problems(&[], &[(FILE_VARIABLE, "/nowhere/s.toml")]),
        ["/nowhere/s.toml: No such file or directory (os error 2)"]
    );
    let home = tempfile::tempdir().expect("a directory");
    let facts = facts(Some(home.path().to_owned()));
    assert_eq!(file_to_read(None, &[], &facts), None);
    fs::create_dir(home.path().join("standpipe")).expect("made");
    fs::write(home.path().join("standpipe/standpipe.toml"), "").expect("written");
    assert_eq!(file_to_read(None, &[], &facts), Some(home.path().join("standpipe/standpipe.toml")));
    let variable = [(OsString::from(FILE_VARIABLE), OsString::from("/b"))];
    assert_eq!(file_to_read(None, &variable, &facts), Some(PathBuf::from("/b")));
    assert_eq!(file_to_read(Some(Path::new("/a")), &variable, &facts), Some(PathBuf::from("/a")));
}

#[test]
fn what_is_shown_is_a_configuration_file_that_gives_the_same_values() {
    let config = loaded(&["--listen", ":1,:2"], &[("STANDPIPE_STORE_QUOTA", "7MB")], None)
        .map_err(|p| p.join("\n"))
        .expect("valid");
    let shown = effective(&config);
    assert!(shown.contains("quota = \"7MB\""), "{shown}");
    assert!(shown.contains("# environment STANDPIPE_STORE_QUOTA"), "{shown}");
    let mut again = Raw::default();
    assert_eq!(again.add_file(Path::new("shown"), &shown), Vec::<String>::new());
    let values = Values::parse(&again).expect("valid");
    assert_eq!(format!("{values:?}"), format!("{:?}", config.values));
}

#[test]
fn the_example_file_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/lab.toml");
    let text = fs::read_to_string(&path).expect("the example");
    let mut raw = Raw::default();
    assert_eq!(raw.add_file(&path, &text), Vec::<String>::new());
    raw.add_defaults(&facts(None));
    assert_eq!(Values::parse(&raw).map(drop), Ok(()));
}

#[test]
fn the_reference_in_docs_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference::markdown(),
        "docs/configuration.md is out of date: run `cargo xtask config-reference`"
    );
}
