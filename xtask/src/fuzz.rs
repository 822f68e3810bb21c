//! `cargo xtask fuzz [--seconds N] [TARGET…]`: every parser against inputs that nobody has thought of.
//!
//! Builds the libFuzzer targets of `fuzz/` with the compiler that builds everything else, runs several at once for the
//! same time each, and tells what each has covered. Everything it writes is below `target/fuzz/`: `corpus/` is where the
//! next run goes on, `artifacts/` has inputs that broke something, `logs/` what libFuzzer said.
//!
//! Deliberately without the address sanitizer, which the stable compiler does not have: what is fuzzed forbids `unsafe`.

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::step::{self, cargo, is_installed, output, root};

/// Seconds a target runs unless somebody says otherwise.
const SECONDS: u32 = 60;

/// All targets run in at most this many groups, one after the other: with the build it stays below nine minutes.
const GROUPS: usize = 4;

/// Longest input in bytes: what is parsed is mostly shorter.
const LONGEST: u32 = 4096;

/// Seconds that one input may take, many targets sharing a processor.
const PATIENCE: u32 = 20;

/// Memory that a target may take, in MiB.
const MEMORY: u32 = 1024;

/// What libFuzzer wants to see while a target runs: edges, counted, and the values that are compared.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    seconds: u32,
    /// None: all there are.
    names: Vec<String>,
}

/// How a target ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    name: String,
    figures: Figures,
    /// None: nothing broke.
    problem: Option<String>,
}

/// What libFuzzer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    executions: u64,
    a_second: u64,
    edges: u64,
    kept: u64,
}

/// Builds and runs them.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let mut options = Options::parse(arguments)?;
    let known = targets()?;
    if let Some(unknown) = options.names.iter().find(|name| !known.contains(name)) {
        return Err(format!("there is no target `{unknown}`; there are {}", known.join(", ")));
    }
    if options.names.is_empty() {
        options.names = known;
    }
    let host = host()?;
    build(&options.names, &host)?;
    let programs = directory("").join(host).join("release");
    let outcomes = run_all(&options, &programs)?;
    eprintln!();
    println!("{}", table(&outcomes));
    let broken: Vec<_> = outcomes.iter().filter(|outcome| outcome.problem.is_some()).collect();
    for Outcome { name, problem, .. } in &broken {
        eprintln!("\n{name}: {}", problem.as_deref().unwrap_or_default());
    }
    match broken.len() {
        0 => Ok(()),
        count => Err(format!("{count} of {} targets failed", outcomes.len())),
    }
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self { seconds: SECONDS, names: Vec::new() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if *word == "--seconds" {
                let number =
                    words.next().and_then(|number| number.parse().ok()).filter(|seconds| *seconds > 0);
                options.seconds = number.ok_or("--seconds wants a whole number from 1")?;
            } else if word.starts_with('-') {
                return Err(format!(
                    "unknown option `{word}`; usage: cargo xtask fuzz [--seconds N] [TARGET…]"
                ));
            } else {
                options.names.push((*word).to_owned());
            }
        }
        Ok(options)
    }
}

/// Every target has a file: one that its manifest forgets is noticed when it is not built.
fn targets() -> Result<Vec<String>, String> {
    let place = root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let mut names: Vec<_> = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// The machine that we are on, as the compiler calls it.
fn host() -> Result<String, String> {
    let version = output(cargo(&["-vV"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "cargo does not say what it runs on".to_owned())
}

fn build(names: &[String], host: &str) -> Result<(), String> {
    if !is_installed("c++") {
        return Err("libFuzzer is built by a C++ compiler: install g++".to_owned());
    }
    // Named, the target does not share its flags with build scripts and macros, which must not be instrumented.
    let mut command =
        cargo(&["build", "--manifest-path", "fuzz/Cargo.toml", "--release", "--locked", "--quiet"]);
    command.args(["--target", host, "--target-dir", "target/fuzz"]);
    command.args(names.iter().flat_map(|name| ["--bin", name]));
    command.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    step::run(command)
}

fn run_all(options: &Options, programs: &Path) -> Result<Vec<Outcome>, String> {
    for below in ["artifacts", "corpus", "logs"] {
        let place = directory(below);
        fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    }
    let names = &options.names;
    let at_once = at_once(names.len(), thread::available_parallelism().map_or(1, NonZero::get));
    eprintln!("xtask: {} targets, {at_once} at once, {} s each", names.len(), options.seconds);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = run_one(name, programs, options.seconds);
            let word = if outcome.problem.is_some() { "failed" } else { "done" };
            eprintln!("xtask: {name}: {word}");
            outcomes.push(outcome);
        }
        outcomes
    };
    let mut outcomes: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    outcomes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(outcomes)
}

/// How many run together: two a processor, and as many more as the groups want.
fn at_once(targets: usize, processors: usize) -> usize {
    targets.div_ceil(GROUPS).max(2 * processors).min(targets)
}

fn run_one(name: &str, programs: &Path, seconds: u32) -> Outcome {
    let log = directory("logs").join(format!("{name}.log"));
    let problem = fuzz(name, programs, seconds, &log).err();
    let text = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let problem = problem.map(|problem| told(&problem, &text, &programs.join(name), &log));
    Outcome { name: name.to_owned(), figures: Figures::read(&text), problem }
}

/// Runs one target to its end; what it says goes to its log.
fn fuzz(name: &str, programs: &Path, seconds: u32, log: &Path) -> Result<(), String> {
    let (corpus, artifacts) = (directory("corpus").join(name), directory("artifacts").join(name));
    for place in [&corpus, &artifacts] {
        fs::create_dir_all(place).map_err(|error| format!("{}: {error}", place.display()))?;
    }
    let to = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let also = to.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
    let seeds = root().join("fuzz/seeds").join(name);
    let mut command = Command::new(programs.join(name));
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .arg(corpus)
        .args(seeds.is_dir().then_some(seeds))
        .env("RUST_BACKTRACE", "0")
        .current_dir(root())
        .stdout(to)
        .stderr(also);
    let status = command.status().map_err(|error| format!("it cannot start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}

/// What broke, and how to see it again.
fn told(problem: &str, log: &str, program: &Path, place: &Path) -> String {
    let mut lines = log.lines().skip_while(|line| !line.contains("panicked at"));
    let panic: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("note:")).take(8).collect();
    let found = log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path);
    let again = match found {
        Some(input) => format!("see it again: {} {input}", program.display()),
        None => format!("what it said: {}", place.display()),
    };
    let sentences = [problem].into_iter().chain(panic).chain([&*again]);
    sentences.map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n  ")
}

impl Figures {
    /// Reads libFuzzer's log.
    fn read(log: &str) -> Self {
        let total = |name: &str| {
            let line = log.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
            line.and_then(|number| number.trim_start_matches(':').trim().parse().ok()).unwrap_or_default()
        };
        let status = log.lines().rev().find(|line| line.starts_with('#') && line.contains(" cov: "));
        let shown = |name: &str| {
            let mut words =
                status.unwrap_or_default().split_ascii_whitespace().skip_while(|word| *word != name);
            let number = words.nth(1).and_then(|word| word.split('/').next()?.parse().ok());
            number.unwrap_or_default()
        };
        Self {
            executions: total("number_of_executed_units"),
            a_second: total("average_exec_per_sec"),
            edges: shown("cov:"),
            kept: shown("corp:"),
        }
    }
}

fn table(outcomes: &[Outcome]) -> String {
    let mut lines = vec![format!(
        "{:<20} {:>12} {:>9} {:>7} {:>7}  result",
        "target", "inputs", "a second", "edges", "kept"
    )];
    lines.extend(outcomes.iter().map(|Outcome { name, figures, problem }| {
        let Figures { executions, a_second, edges, kept } = figures;
        let result = if problem.is_some() { "FAILED" } else { "ok" };
        format!("{name:<20} {executions:>12} {a_second:>9} {edges:>7} {kept:>7}  {result}")
    }));
    lines.join("\n")
}

/// Where everything of ours is, or a part of it.
fn directory(part: &str) -> PathBuf {
    root().join("target/fuzz").join(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
INFO: Seed: 1
#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 40Mb
#4096\tDONE   cov: 123 ft: 300 corp: 17/1024b lim: 4096 exec/s: 2048 rss: 41Mb
Done 4096 runs in 2 second(s)
stat::number_of_executed_units: 4096
stat::average_exec_per_sec:     2048
stat::slowest_unit_time_sec:    0
";

    #[test]
    fn options_are_seconds_and_names() {
        let parse = Options::parse;
        assert_eq!(parse(&[]), Ok(Options { seconds: SECONDS, names: Vec::new() }));
        let names = vec!["url".to_owned(), "date".to_owned()];
        assert_eq!(parse(&["url", "--seconds", "5", "date"]), Ok(Options { seconds: 5, names }));
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--minutes", "1"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_target_is_in_the_manifest() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the manifest");
        let named = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
        let mut named: Vec<_> = named.map(|file| file.trim_end_matches(".rs\"").to_owned()).collect();
        named.sort();
        assert_eq!(targets().expect("targets"), named);
    }

    #[test]
    fn figures_are_those_of_the_end() {
        let figures = Figures { executions: 4096, a_second: 2048, edges: 123, kept: 17 };
        assert_eq!(Figures::read(LOG), figures);
        assert_eq!(Figures::read(""), Figures::default());
    }

    #[test]
    fn a_failure_is_told_with_the_command_that_shows_it_again() {
        let log = "#7\tNEW cov: 1\nthread '<unnamed>' panicked at a.rs:1:2:\nboom\nnote: run with\n==1== ERROR\n\
                   artifact_prefix='x/'; Test unit written to x/crash-0a\nBase64: AA==\n";
        let told = told("it ended with 77", log, Path::new("p/url"), Path::new("l/url.log"));
        assert_eq!(
            told,
            "it ended with 77\n  thread '<unnamed>' panicked at a.rs:1:2:\n  boom\n  see it again: p/url x/crash-0a"
        );
    }

    #[test]
    fn as_many_run_at_once_as_the_time_wants() {
        assert_eq!(at_once(40, 2), 10);
        assert_eq!(at_once(40, 16), 32);
        assert_eq!(at_once(1, 8), 1);
    }
}
