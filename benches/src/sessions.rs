//! Session servers beside the C programs of 2004: throughput and CPU on the rows that were measured on those, latency at
//! a fixed rate, memory for each session, and what it costs a full store to make room.
//!
//! The C programs are not at hand. Their figures stand here as they were measured once: built with gcc 12 -O2, poll
//! selector, on Debian 12 with two shared cores and a load average of 7 to 9; the best of three runs. So ours is held
//! against them with its best run, too, and runs on both cores as they did; CPU for each operation is the steadier
//! figure. Ours serves with one thread, as the C server does. Since the recorded figures are of another day, a bare loop
//! that only waits, reads and answers runs beside ours, and a bare proxy that only hands bytes on: what they cost, no
//! server and no proxy of this shape can do without.

mod bare;
mod load;
mod programs;
mod relay;
mod room;
mod scaling;

use std::path::Path;

use crate::report::{Report, Row};
use crate::{Options, cpu, servers};
use bare::Connect;
use programs::{Program, Threads};

const C: &str = "C, recorded";
const OURS: &str = "standpipe";
const BARE: &str = "bare poll loop";
const BARE_PROXY: &str = "bare poll proxy";
/// CPU of ours at most so many times that of the bare loop or the bare proxy.
const BARE_BOUND: f64 = 1.25;

/// What was measured on the C programs.
struct Recorded {
    per_second: f64,
    server_cpu: f64,
    /// Only on rows through a `dc_client`.
    client_cpu: Option<f64>,
}

struct Case {
    name: &'static str,
    listen: Listen,
    test: &'static [&'static str],
    operations: u64,
    recorded: Recorded,
}

impl Case {
    /// Whether the bare loop, which serves one client, does the same.
    fn has_bare(&self) -> bool {
        self.listen != Listen::Client && (self.test == PERSISTENT || self.test == TEMPORARY)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listen {
    Unix,
    Tcp,
    /// A `dc_client` on a unix socket before a server on TCP.
    Client,
}

const PERSISTENT: &[&str] = &["--persistent"];
const TEMPORARY: &[&str] = &[];
const SMALL: &[&str] = &["--datamin", "150", "--datamax", "200"];
const SMALL_PERSISTENT: &[&str] = &["--persistent", "--datamin", "150", "--datamax", "200"];
const MANY: &[&str] = &["--persistent", "--sessions", "512", "--datamin", "150", "--datamax", "200"];
const EIGHT: &[&str] = &["--persistent", "--connections", "8"];

const fn recorded(per_second: f64, server_cpu: f64, client_cpu: Option<f64>) -> Recorded {
    Recorded { per_second, server_cpu, client_cpu }
}

#[rustfmt::skip]
const CASES: [Case; 8] = [
    Case { name: "unix, persistent", listen: Listen::Unix, test: PERSISTENT, operations: 200_000,
        recorded: recorded(72_000.0, 3.8, None) },
    Case { name: "unix, temporary", listen: Listen::Unix, test: TEMPORARY, operations: 100_000,
        recorded: recorded(48_000.0, 7.4, None) },
    Case { name: "TCP, persistent", listen: Listen::Tcp, test: PERSISTENT, operations: 200_000,
        recorded: recorded(66_000.0, 5.0, None) },
    // Every connection leaves a port behind for a minute: no more of them than there are ports.
    Case { name: "TCP, temporary", listen: Listen::Tcp, test: TEMPORARY, operations: 5_000,
        recorded: recorded(20_000.0, 15.0, None) },
    Case { name: "unix, persistent, 512 sessions", listen: Listen::Unix, test: MANY, operations: 200_000,
        recorded: recorded(72_000.0, 4.4, None) },
    Case { name: "unix, persistent, 8 at once", listen: Listen::Unix, test: EIGHT, operations: 400_000,
        recorded: recorded(105_000.0, 6.9, None) },
    Case { name: "client before TCP, persistent", listen: Listen::Client, test: SMALL_PERSISTENT, operations: 100_000,
        recorded: recorded(47_000.0, 7.6, Some(14.2)) },
    Case { name: "client before TCP, temporary", listen: Listen::Client, test: SMALL, operations: 60_000,
        recorded: recorded(32_000.0, 5.8, Some(15.7)) },
];

/// Everything about sessions.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let folder = servers::scratch("sessions")?;
    for case in &CASES {
        compare(case, &folder, options, report)?;
    }
    scaling::measure(&folder, options, report)?;
    room::measure(&folder, options, report)?;
    std::fs::remove_dir_all(folder).map_err(|error| error.to_string())
}

/// One row, beside the C programs.
fn compare(case: &Case, folder: &Path, options: &Options, report: &mut Report) -> Result<(), String> {
    let unix = |name: &str| format!("UNIX:{}", folder.join(name).display());
    let at = if case.listen == Listen::Unix { unix("server") } else { "IP:127.0.0.1:0".to_owned() };
    let server = Program::server(&at, cpu::BOTH_CORES, Threads::One, &["--sessions", "60000"])?;
    let client = match case.listen {
        Listen::Client => Some(Program::client(&unix("client"), &server.address, cpu::BOTH_CORES)?),
        Listen::Unix | Listen::Tcp => None,
    };
    let target = client.as_ref().map_or(&server.address, |client| &client.address);
    let mut figures = Figures::default();
    let operations = case.operations / options.scale;
    // The first run wakes everything up.
    programs::test(target, operations.min(2000), case.test)?;
    for _ in 0..options.rounds {
        let before = (server.cpu(), client.as_ref().map(Program::cpu));
        figures.per_second.push(programs::test(target, operations, case.test)?);
        let micros = |seconds: f64| seconds * 1e6 / operations as f64;
        figures.server_cpu.push(micros(server.cpu() - before.0));
        if case.has_bare() {
            let connect = if case.test == TEMPORARY { Connect::ForEach } else { Connect::Once };
            figures.bare.push(bare::measure(case.listen, connect, folder, operations)?);
        }
        if let (Some(client), Some(before)) = (&client, before.1) {
            figures.client_cpu.push(micros(client.cpu() - before));
            let relayed = relay::measure(folder, &server.address, operations, case.test)?;
            figures.relayed.push(relayed.per_second);
            figures.relay_cpu.push(relayed.cpu);
        }
    }
    figures.tell(case, report);
    Ok(())
}

/// One sample a round.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    server_cpu: Vec<f64>,
    client_cpu: Vec<f64>,
    bare: Vec<f64>,
    /// Through the bare proxy.
    relayed: Vec<f64>,
    relay_cpu: Vec<f64>,
}

impl Figures {
    fn tell(self, case: &Case, report: &mut Report) {
        let Recorded { per_second, server_cpu, client_cpu } = case.recorded;
        let best = self.per_second.iter().copied().fold(f64::NAN, f64::max);
        both(report, case.name, "operations/s", self.per_second, per_second);
        report.verdict(
            case.name,
            "operations/s, theirs / ours, best runs".to_owned(),
            per_second / best,
            1.0,
        );
        let name = format!("{}: server", case.name);
        both(report, &name, "CPU µs/operation", self.server_cpu, server_cpu);
        report.verdict(&name, "CPU, ours / theirs".to_owned(), report.median(&name, OURS) / server_cpu, 1.0);
        if case.has_bare() {
            report.add(row(&name, BARE, "CPU µs/operation", self.bare));
            let ratio = report.median(&name, OURS) / report.median(&name, BARE);
            report.verdict(&name, "CPU, ours / bare poll loop".to_owned(), ratio, BARE_BOUND);
        }
        if let Some(client_cpu) = client_cpu {
            report.add(row(case.name, BARE_PROXY, "operations/s", self.relayed));
            let name = format!("{}: client", case.name);
            both(report, &name, "CPU µs/operation", self.client_cpu, client_cpu);
            report.add(row(&name, BARE_PROXY, "CPU µs/operation", self.relay_cpu));
            let ours = report.median(&name, OURS);
            report.verdict(&name, "CPU, ours / theirs".to_owned(), ours / client_cpu, 1.0);
            let ratio = ours / report.median(&name, BARE_PROXY);
            report.verdict(&name, "CPU, ours / bare poll proxy".to_owned(), ratio, BARE_BOUND);
        }
    }
}

fn both(report: &mut Report, case: &str, unit: &'static str, ours: Vec<f64>, theirs: f64) {
    report.add(row(case, C, unit, vec![theirs]));
    report.add(row(case, OURS, unit, ours));
}

fn row(case: &str, server: &str, unit: &'static str, samples: Vec<f64>) -> Row {
    Row { case: case.to_owned(), server: server.to_owned(), unit, samples }
}
