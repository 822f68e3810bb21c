//! `standpipe session test`, alias dc_test: does random operations, knows what each must answer, and stops at the first
//! answer that is another. Measures on the way.
//!
//! Each connection has sessions of its own, so what the server holds of them is known exactly. Expiry is not modelled: a
//! run must end before its sessions time out, and the server must have room for them.

mod model;
mod report;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use distcache::Address;
use distcache::client::{Client, ClientSettings, Connections, Persistent};
use distcache::limits::TIMEOUT_MS;
use hdrhistogram::Histogram;

use self::model::{Known, Lengths, Worker};
use self::report::Report;
use super::arguments::{amount, count, time};
use super::tls::Files;
use super::{Failed, Program, print_json};

const PROGRAM: Program = Program::Test;
/// Per connection, so that a thousand fit; it holds no buffers.
const STACK: usize = 256 * 1024;
/// How soon a connection that waits for its turn sees that another has failed.
const ATTENTION: Duration = Duration::from_millis(100);

/// What is to be done.
struct Plan {
    address: Address,
    client: ClientSettings,
    sessions: usize,
    lengths: Lengths,
    timeout_ms: u32,
    vary_ms: u32,
    operations: u64,
    progress: u64,
    connections: u64,
    /// Between two operations of one connection; `None`: as fast as possible.
    pause: Option<Duration>,
    seed: u64,
}

/// What the connections share.
#[derive(Default)]
struct Shared {
    done: AtomicU64,
    stop: AtomicBool,
}

pub(super) fn run(arguments: &ArgMatches) -> Result<(), Failed> {
    let plan = Plan::new(arguments)?;
    PROGRAM.say(format_args!(
        "{} operations on {} with {} sessions, {} connections, seed {}",
        plan.operations, plan.address, plan.sessions, plan.connections, plan.seed
    ));
    let start = Instant::now();
    let shared = Shared::default();
    let latencies = plan.run(&shared, start);
    let report = Report { operations: shared.done.load(Ordering::Relaxed), took: start.elapsed() };
    let latencies =
        latencies.map_err(|problem| format!("after {} operations: {problem}", report.operations))?;
    PROGRAM.say(format_args!("{} operations passed", report.operations));
    if arguments.get_flag("report") {
        PROGRAM.say(report.text(&latencies));
    }
    if arguments.get_flag("json") {
        print_json(&report.json(&latencies));
    }
    Ok(())
}

impl Plan {
    fn new(arguments: &ArgMatches) -> Result<Self, Failed> {
        if arguments.contains_id("withcert") {
            return Err(Failed::Usage("-withcert: certificates are not built in".to_owned()));
        }
        let address = arguments.get_one::<Address>("connect").cloned();
        let address = address.ok_or_else(|| "no address to connect to".to_owned())?;
        let sessions = count(arguments, "sessions");
        let (min, max) = (count(arguments, "datamin"), count(arguments, "datamax"));
        if min > max {
            return Err(Failed::Usage("-datamin is greater than -datamax".to_owned()));
        }
        let (timeout, vary) = (amount(arguments, "timeout"), amount(arguments, "timevar"));
        if vary >= timeout {
            return Err(Failed::Usage("-timevar must be less than -timeout".to_owned()));
        }
        let longest = u64::from(TIMEOUT_MS) / 1000;
        if timeout + vary > longest {
            return Err(Failed::Usage(format!("-timeout and -timevar together are at most {longest}")));
        }
        let defaults = ClientSettings::default();
        let connection = match arguments.get_flag("persistent") {
            true => Connections::Persistent(Persistent::default()),
            false => Connections::Temporary,
        };
        let client = ClientSettings {
            connection,
            timeout: time(arguments, "request-timeout", defaults.timeout),
            connect_timeout: time(arguments, "request-timeout", defaults.connect_timeout),
            tls: Files::of(arguments, "tls-ca").client_of(&address)?,
            ..defaults
        };
        let connections = amount(arguments, "connections");
        // The rate is for all connections together.
        let pause = arguments
            .get_one::<u64>("rate")
            .map(|rate| Duration::from_nanos(1_000_000_000 * connections / (*rate).max(1)));
        let milliseconds = |seconds: u64| u32::try_from(seconds * 1000).unwrap_or(u32::MAX);
        let operations = arguments.get_one("ops").copied();
        let seed = arguments.get_one("seed").copied();
        Ok(Self {
            address,
            client,
            sessions,
            lengths: Lengths { min, max, c_peers: arguments.get_flag("c-peers") },
            timeout_ms: milliseconds(timeout),
            vary_ms: milliseconds(vary),
            operations: operations.unwrap_or_else(|| 10 * (sessions as u64).pow(2)),
            progress: amount(arguments, "progress"),
            connections,
            pause,
            seed: seed.unwrap_or_else(|| fastrand::u64(..)),
        })
    }

    /// All connections at once, each on a thread. The first problem stops all.
    fn run(&self, shared: &Shared, start: Instant) -> Result<Histogram<u64>, String> {
        thread::scope(|scope| {
            let spawn = |index| {
                let work = move || self.work(index, shared, start);
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)
            };
            let threads: Vec<_> = (0..self.connections).map(spawn).collect();
            let mut all = report::histogram();
            let mut result = Ok(());
            for thread in threads {
                let ended = match thread {
                    Ok(thread) => thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())),
                    Err(error) => {
                        shared.stop.store(true, Ordering::Relaxed);
                        Err(format!("a thread cannot start: {error}"))
                    }
                };
                match ended {
                    // Same bounds, so it always fits.
                    Ok(latencies) => drop(all.add(latencies)),
                    Err(problem) => result = result.and(Err(problem)),
                }
            }
            result.map(|()| all)
        })
    }

    /// One connection from its first operation to its last.
    fn work(&self, index: u64, shared: &Shared, start: Instant) -> Result<Histogram<u64>, String> {
        let worked = self.operate(index, shared, start);
        if worked.is_err() {
            shared.stop.store(true, Ordering::Relaxed);
        }
        worked
    }

    fn operate(&self, index: u64, shared: &Shared, start: Instant) -> Result<Histogram<u64>, String> {
        let client =
            Client::new(self.address.clone(), self.client.clone()).map_err(|error| error.to_string())?;
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_add(index));
        let known = (0..self.sessions).map(|_| Known::random(&mut random, self.lengths)).collect();
        let mut worker = Worker { client, known, random, timeout_ms: self.timeout_ms, vary_ms: self.vary_ms };
        let mut latencies = report::histogram();
        for turn in 0..self.share(index) {
            if shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let began = self.wait_for_turn(index, turn, start, &shared.stop);
            worker.step()?;
            latencies.saturating_record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            let done = shared.done.fetch_add(1, Ordering::Relaxed) + 1;
            if self.progress > 0 && done.is_multiple_of(self.progress) {
                PROGRAM.say(format_args!("{done} operations"));
            }
        }
        Ok(latencies)
    }

    /// How many of the operations are this connection's.
    fn share(&self, index: u64) -> u64 {
        self.operations / self.connections + u64::from(index < self.operations % self.connections)
    }

    /// When the operation begins or should have begun: one that had to wait for the one before counts its wait.
    fn wait_for_turn(&self, index: u64, turn: u64, start: Instant, stop: &AtomicBool) -> Instant {
        let Some(pause) = self.pause else { return Instant::now() };
        // Connections take turns within a pause.
        let nanos = pause.as_nanos() * (u128::from(turn) * u128::from(self.connections) + u128::from(index))
            / u128::from(self.connections);
        let due = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.load(Ordering::Relaxed) {
                return due;
            }
            thread::park_timeout(left.min(ATTENTION));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::arguments;

    fn plan(words: &[&str]) -> Result<Plan, String> {
        let words = ["dc_test", "--connect=UNIX:/s"].iter().chain(words);
        let matches = arguments::classic(PROGRAM).try_get_matches_from(words).expect("fine");
        Plan::new(&matches).map_err(|failed| match failed {
            Failed::Usage(problem) | Failed::Work(problem) => problem,
        })
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for words in [
            &["--datamin=100", "--datamax=99"][..],
            &["--timeout=5", "--timevar=5"],
            &["--withcert=1"],
            // No server takes more than seven days.
            &["--timeout=604800", "--timevar=1"],
        ] {
            assert!(plan(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn operations_are_ten_times_the_square_of_the_sessions_and_all_are_shared_out() {
        assert_eq!(plan(&[]).map(|plan| plan.operations), Ok(1000));
        let plan = plan(&["--sessions=7", "--connections=3"]).expect("fine");
        assert_eq!((0..3).map(|index| plan.share(index)).collect::<Vec<_>>(), [164, 163, 163]);
    }

    #[test]
    fn the_rate_is_that_of_all_connections() {
        let plan = plan(&["--connections=4", "--rate=1000"]).expect("fine");
        assert_eq!(plan.pause, Some(Duration::from_millis(4)));
    }
}
