//! Server CPU time from the scheduler's own accounting, and pinning.

use std::fs;
use std::process::{Command, Stdio};

/// The core that servers under test run on.
pub(crate) const SERVER_CORE: &str = "0";
/// The core that load and origin run on.
pub(crate) const LOAD_CORE: &str = "1";
/// Both, where a server is to have a second core.
pub(crate) const BOTH_CORES: &str = "0,1";

/// Moves this process to one core.
pub(crate) fn pin_self(core: &str) -> Result<(), String> {
    let status = Command::new("taskset")
        .args(["-a", "-c", "-p", core, &std::process::id().to_string()])
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("taskset (package util-linux) cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("core {core} is not available")) }
}

/// Lets this process and another go before everything else, or no longer; without the right to do so nothing happens.
/// On a machine that does other things latencies are those of its scheduler otherwise.
pub(crate) fn prefer(other: u32, priority: Priority) {
    let policy: &[&str] = match priority {
        Priority::First => &["--fifo", "--pid", "1"],
        Priority::Usual => &["--other", "--pid", "0"],
    };
    for pid in [other, std::process::id()] {
        let mut command = Command::new("chrt");
        command.arg("--all-tasks").args(policy).arg(pid.to_string());
        let _refused = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// See [`prefer`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Priority {
    First,
    Usual,
}

/// Seconds of CPU that the process, its children and their threads have used.
pub(crate) fn seconds(pid: u32) -> f64 {
    family(pid).into_iter().map(|pid| nanoseconds(pid) as f64 / 1e9).sum()
}

/// Seconds of CPU that the calling thread has used.
pub(crate) fn of_this_thread() -> f64 {
    let line = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    line.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

/// Resident memory of the process and its children in bytes: now (`VmRSS`).
pub(crate) fn resident(pid: u32) -> u64 {
    family(pid).into_iter().map(|pid| status_bytes(pid, "VmRSS:")).sum()
}

/// Peak resident memory (`VmHWM`).
pub(crate) fn peak(pid: u32) -> u64 {
    family(pid).into_iter().map(|pid| status_bytes(pid, "VmHWM:")).sum()
}

/// Anonymous resident memory (`RssAnon`): what the process allocated, without mapped file pages.
pub(crate) fn anonymous(pid: u32) -> u64 {
    family(pid).into_iter().map(|pid| status_bytes(pid, "RssAnon:")).sum()
}

/// Starts the peak anew.
pub(crate) fn reset_peak(pid: u32) {
    for pid in family(pid) {
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        next += 1;
    }
    all
}

fn nanoseconds(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

fn status_bytes(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}
