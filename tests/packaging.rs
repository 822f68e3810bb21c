//! What packages bring along: the systemd unit and the configuration of the service.

use std::path::PathBuf;
use std::process::{Command, Output};

use testkit::node::{binary, run, workspace};

fn packaged(name: &str) -> PathBuf {
    workspace().join("packaging/systemd").join(name)
}

fn unit() -> String {
    std::fs::read_to_string(packaged("standpipe.service")).expect("the unit")
}

/// The values of a setting of the unit.
fn settings<'u>(unit: &'u str, name: &str) -> Vec<&'u str> {
    unit.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, v)| v)
        .collect()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn effective() -> String {
    let output = run(["check-config".into(), packaged("standpipe.toml").into_os_string()]).await;
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[tokio::test]
async fn the_configuration_of_the_service_is_accepted_and_has_its_store_where_the_unit_lets_it_write() {
    let effective = effective().await;
    let unit = unit();
    let store = format!("directory = \"/var/lib/{}\"", settings(&unit, "StateDirectory")[0]);
    assert!(effective.lines().any(|line| line.starts_with(&store)), "no {store} in\n{effective}");
}

#[tokio::test]
async fn systemd_waits_longer_for_the_end_than_the_drain_takes() {
    let effective = effective().await;
    let seconds = |text: &str| text.trim_matches('"').trim_end_matches('s').parse::<u64>().expect("seconds");
    let value = |key: &str| {
        let line = effective.lines().find(|line| line.starts_with(&format!("{key} = "))).expect(key);
        seconds(line.split_whitespace().nth(2).expect("a value"))
    };
    let unit = unit();
    let patience = seconds(settings(&unit, "TimeoutStopSec")[0]);
    assert!(patience > value("drain-delay") + value("grace"), "{patience} s");
}

#[test]
fn systemd_understands_the_unit() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("standpipe.service");
    // The program must be there, and need not be installed here.
    let unit = unit().replace("/usr/bin/standpipe", &binary().display().to_string());
    std::fs::write(&path, unit).expect("written");
    let output =
        Command::new("systemd-analyze").arg("verify").arg(&path).output().expect("systemd is installed");
    let said = said(&output);
    // It looks at the machine's own units too, and an older one does not know every system call.
    let complaints =
        said.lines().filter(|line| line.contains("standpipe.service") && !line.contains("cachestat"));
    assert_eq!(complaints.collect::<Vec<_>>(), [""; 0]);
    assert!(output.status.success(), "{said}");
}
