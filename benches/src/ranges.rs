//! Ranges: pieces of 1 MiB out of an object of 10 GiB, cold and warm, and how much more than what was asked for the origin
//! had to send. Every byte that comes is checked.
//!
//! nginx does it with its slice module. Varnish has no part here: it keeps whole objects only, so that it either fetches the
//! 10 GiB for the first piece or, told to pass, keeps nothing.

use crate::client::{self, Asked};
use crate::generated::{self, GeneratedOrigin};
use crate::report::Report;
use crate::servers::{self, Server};
use crate::{Options, cpu};

const MIB: u64 = 1024 * 1024;
const OBJECT: u64 = 10 * 1024 * MIB;
const PIECE: u64 = MIB;
/// Pieces of a run; at most twice as many MiB are kept.
const PIECES: u64 = 256;
/// How often each piece is asked for when all are there.
const WARM: usize = 4;
const CONNECTIONS: usize = 8;

/// Where the pieces lie.
#[derive(Clone, Copy)]
enum Places {
    Aligned,
    Unaligned,
    InARow,
}

const CASES: [(&str, Places); 3] = [
    ("ranges, aligned", Places::Aligned),
    ("ranges, unaligned", Places::Unaligned),
    ("ranges, in a row", Places::InARow),
];

/// What a run of requests is measured by: its name, unit, and what ours may be of the best nginx.
const QUANTITIES: [(&str, &str, f64); 3] =
    [("wall", "s", 1.0), ("CPU", "ms/MiB", 1.0), ("over-read", "bytes sent/asked", 1.0)];

/// Aligned and unaligned pieces at random, and unaligned ones in a row.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let pieces = PIECES / options.scale;
    let origin = GeneratedOrigin::start()?;
    report.note("ranges: Varnish keeps whole objects only, so it has no part in them");
    for round in 0..options.rounds {
        for (case, places) in CASES {
            let path = format!("/{OBJECT}?{round}");
            let starts = places.starts(pieces, round as u64);
            let direct = ask(origin.address, &path, &starts)?;
            report.sample(&format!("{case}: cold, wall"), "direct", "s", direct);
            for start in STARTS {
                let server = start(origin.address)?;
                // So that its own start is over.
                client::run(server.address, CONNECTIONS, CONNECTIONS as u64, |_| server.target("/1024"))?;
                origin.settle()?;
                one(report, &format!("{case}: cold"), &server, &origin, &path, &starts)?;
                let again = starts.repeat(WARM);
                one(report, &format!("{case}: warm"), &server, &origin, &path, &again)?;
            }
        }
    }
    for (case, _) in CASES {
        for temperature in ["cold", "warm"] {
            judge(report, &format!("{case}: {temperature}"));
        }
    }
    Ok(())
}

type Start = fn(std::net::SocketAddr) -> Result<Server, String>;

/// One server at a time, each with nothing kept. Larger `proxy_buffers` make nginx slower here, so they stay as they are.
const STARTS: [Start; 3] = [
    |origin| servers::nginx_slices("nginx slice, sendfile", "sendfile on;", origin),
    |origin| {
        let settings = "sendfile off; output_buffers 2 512k; open_file_cache max=10000;";
        servers::nginx_slices("nginx slice, output_buffers", settings, origin)
    },
    |origin| servers::standpipe_site(origin, cpu::SERVER_CORE),
];

fn one(
    report: &mut Report,
    case: &str,
    server: &Server,
    origin: &GeneratedOrigin,
    path: &str,
    starts: &[u64],
) -> Result<(), String> {
    let (seconds, sent) = (server.cpu(), origin.bytes());
    let wall = ask(server.address, &server.target(path), starts)?;
    origin.settle()?;
    let seconds = server.cpu() - seconds;
    let sent = origin.bytes() - sent;
    let asked = starts.len() as u64 * PIECE;
    let values = [wall, seconds * 1e3 / (asked as f64 / MIB as f64), sent as f64 / asked as f64];
    for ((quantity, unit, _), value) in QUANTITIES.into_iter().zip(values) {
        report.sample(&format!("{case}, {quantity}"), &server.name, unit, value);
    }
    Ok(())
}

/// Asks for the pieces, checks them, and returns the seconds that it took.
fn ask(address: std::net::SocketAddr, path: &str, starts: &[u64]) -> Result<f64, String> {
    let asked = |n: u64| {
        let start = starts[usize::try_from(n).unwrap_or_default()];
        Asked {
            range: Some(start..start + PIECE),
            is_right: generated::is_right,
            ..Asked::path(path.to_owned())
        }
    };
    let seen = client::run_asking(address, CONNECTIONS, starts.len() as u64, asked)?;
    let expected = starts.len() as u64 * PIECE;
    if seen.bytes == expected {
        Ok(seen.wall)
    } else {
        Err(format!("{} of {expected} bytes came", seen.bytes))
    }
}

fn judge(report: &mut Report, case: &str) {
    for (quantity, unit, bound) in QUANTITIES {
        let row = format!("{case}, {quantity}");
        let (ours, theirs) = (report.median(&row, "standpipe"), report.best(&row, "nginx"));
        // Where they need nothing there is no ratio: then ours must need nothing either.
        let (text, value, bound) = if theirs > 0.0 {
            (format!("{quantity} of ours / best nginx"), ours / theirs, bound)
        } else {
            (format!("{quantity} of ours, {unit}"), ours, 0.0)
        };
        report.verdict(case, text, value, bound);
    }
}

impl Places {
    /// Where each piece begins, the same for every server of a round.
    fn starts(self, count: u64, seed: u64) -> Vec<u64> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        match self {
            Self::Aligned => (0..count).map(|_| random(OBJECT / PIECE) * PIECE).collect(),
            Self::Unaligned => (0..count).map(|_| random(OBJECT - PIECE)).collect(),
            Self::InARow => {
                let first = random(OBJECT - count * PIECE);
                (0..count).map(|n| first + n * PIECE).collect()
            }
        }
    }
}
