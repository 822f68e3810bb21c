//! What machine this is and what state it is in.

use std::fs;
use std::process::Command;

/// Lines for the head of a result.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let memory = read("/proc/meminfo").lines().next().unwrap_or_default().replace("MemTotal:", "");
    vec![
        ("date", command("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("commit", command("git", &["describe", "--always", "--dirty"])),
        ("processor", format!("{model}, {cores} cores")),
        ("memory", memory.trim().to_owned()),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("load average at start", read("/proc/loadavg").trim().to_owned()),
        ("nginx", command("nginx", &["-v"])),
        ("varnish", command("varnishd", &["-V"]).lines().next().unwrap_or_default().to_owned()),
    ]
}

fn command(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return "not installed".to_owned();
    };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).trim().to_owned()
}
