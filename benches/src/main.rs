//! Load profiles against the built server and its peers, side by side in one run.
//!
//! `cargo xtask bench [--rounds N] [--quick] [PROFILE…]`: the servers run on core 0, origin and load on
//! core 1; server CPU comes from the scheduler's accounting (`/proc/PID/task/*/schedstat`); rounds are
//! interleaved over the servers and medians reported. `cargo xtask bench traces [PATH]` compares the store's eviction
//! with others on traces, `cargo xtask bench index [--entries N]` measures its index. Results go to `benches/results/`.
#![forbid(unsafe_code)]

mod bare;
mod client;
mod cpu;
mod followers;
mod generated;
mod hits;
mod index;
mod limits;
mod machine;
mod misses;
mod origin;
mod ranges;
mod report;
mod servers;
mod sessions;
mod sites;
mod stats;
mod traces;

use std::process::ExitCode;

use cap::Cap;
use report::Report;
use tikv_jemallocator::Jemalloc;

/// The server's allocator, so that memory is what the server would take, and a count of the bytes it gave out.
#[global_allocator]
static ALLOCATOR: Cap<Jemalloc> = Cap::new(Jemalloc, usize::MAX);

/// What the command line asks for.
pub(crate) struct Options {
    /// Interleaved rounds per profile.
    rounds: usize,
    /// Divides request counts and big sizes, to try the harness itself.
    scale: u64,
    profiles: Vec<String>,
}

/// Where results go, from the workspace's root.
const RESULTS: &str = "benches/results";

type Profile = (&'static str, fn(&Options, &mut Report) -> Result<(), String>);

const PROFILES: [Profile; 9] = [
    ("small-hits", hits::small),
    ("large-hits", hits::large),
    ("sites", sites::run),
    ("ranges", ranges::run),
    ("misses", misses::large),
    ("cold-small", misses::small),
    ("followers", followers::run),
    ("limits", limits::run),
    ("sessions", sessions::run),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "traces").is_some() {
        return traces::run(arguments, RESULTS);
    }
    if arguments.next_if(|first| first == "bare").is_some() {
        return bare::serve(arguments);
    }
    if arguments.next_if(|first| first == "index").is_some() {
        return index::run(arguments, RESULTS);
    }
    let options = parse(arguments)?;
    cpu::pin_self(cpu::LOAD_CORE)?;
    let mut report = Report::new(machine::describe());
    for (name, profile) in PROFILES {
        if !options.profiles.is_empty() && !options.profiles.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("bench: {name}");
        profile(&options, &mut report)?;
    }
    report.save(RESULTS)
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { rounds: 5, scale: 1, profiles: Vec::new() };
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => {
                options.rounds = arguments
                    .next()
                    .and_then(|text| text.parse().ok())
                    .filter(|rounds| (1..=99).contains(rounds))
                    .ok_or("--rounds takes a number from 1 to 99")?;
            }
            "--quick" => (options.rounds, options.scale) = (1, 16),
            name if PROFILES.iter().any(|(profile, _)| *profile == name) => {
                options.profiles.push(name.to_owned());
            }
            other => {
                let names: Vec<_> = PROFILES.iter().map(|(name, _)| *name).collect();
                return Err(format!("unknown argument {other}; profiles: {}", names.join(", ")));
            }
        }
    }
    Ok(options)
}
