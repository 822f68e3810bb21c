//! The store's index by itself: how long it takes to load, what it takes of memory and journal, how reads scale.
//!
//! `cargo xtask bench index [--entries N]`. Every measurement runs in a new process on a directory of N entries like those
//! of package mirrors (URLs of 80 bytes, heads of 200, another body each; a few thousand bodies exist). Times are CPU
//! time wherever a busy machine would stretch them.

mod entries;
mod parts;
mod scaling;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine;
use crate::report::Report;

const DEFAULT_ENTRIES: u64 = 10_000_000;
/// How often the load is measured.
const ROUNDS: usize = 3;

/// Measures everything, or, in a process that this one has started, one part.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>, results: &str) -> Result<(), String> {
    let mut entries = DEFAULT_ENTRIES;
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        match argument.as_str() {
            "--entries" => {
                let valid = number().filter(|count| (entries::WITH_BODY..=100_000_000).contains(count));
                entries = valid.ok_or("--entries takes a number from 32768 to 100000000")?;
            }
            "--part" => {
                let number = number().unwrap_or(0) as usize;
                let (Some(what), Some(directory)) = (arguments.next(), arguments.next()) else {
                    return Err("--part takes a number, a name and a directory".to_owned());
                };
                return parts::run(&what, Path::new(&directory), number);
            }
            other => return Err(format!("unknown argument {other}; bench index [--entries N]")),
        }
    }
    measure(entries, results)
}

fn measure(count: u64, results: &str) -> Result<(), String> {
    let mut report = Report::new(machine::describe());
    let house = House::new(count)?;
    loads(&house, &mut report, count)?;
    reads(&house, &mut report)?;
    let hit = house.part("hits", 0)?;
    report.sample("hit on a small body in memory", "store", "allocated bytes", hit["allocated"]);
    report.sample("hit on a small body in memory, time", "store", "ns CPU", hit["cpu"]);
    report.verdict("hit", "bytes allocated at most 0".to_owned(), hit["allocated"], 0.0);
    purges(&house, &mut report)?;
    drop(house);
    let empty = House::empty()?;
    let journal = empty.part("fills", 0)?["journal"];
    report.sample("journal for a small fill", "store", "bytes", journal);
    report.verdict("small fill", "bytes of journal at most 400".to_owned(), journal, 400.0);
    report.save_as(results, "-index")
}

fn loads(house: &House, report: &mut Report, count: u64) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, cores];
    threads.dedup();
    let millions = format!("{} M entries", count as f64 / 1e6);
    for (round, threads) in (0..ROUNDS).flat_map(|round| threads.iter().map(move |threads| (round, *threads)))
    {
        eprintln!("bench: load, round {round}");
        let got = house.part("load", threads)?;
        let who = format!("{threads} threads");
        let mut sample = |case: &str, unit, name: &str, scale| {
            report.sample(&format!("{millions}: {case}"), &who, unit, got[name] * scale);
        };
        sample("loaded, CPU", "s", "all-cpu", 1.0);
        sample("loaded, wall", "s", "all", 1.0);
        sample("compared with bodies/ afterwards, CPU", "s", "walk-cpu", 1.0);
        sample("open, wall", "ms", "open", 1e3);
        sample("first hit, wall", "ms", "first", 1e3);
        sample("first hit, CPU of the process until then", "ms", "first-cpu", 1e3);
        sample("memory an entry", "bytes", "memory", 1.0);
        sample("peak memory an entry", "bytes", "peak", 1.0);
    }
    let per_core = report.median(&format!("{millions}: loaded, CPU"), "1 threads") * 1e7 / count as f64;
    report.verdict("load", "CPU seconds for 10 M entries at most 5".to_owned(), per_core, 5.0);
    for threads in threads {
        let who = format!("{threads} threads");
        let first = report.median(&format!("{millions}: first hit, wall"), &who) / 1e3;
        report.verdict("first hit", format!("{who}: seconds at most 1"), first, 1.0);
        let memory = report.median(&format!("{millions}: memory an entry"), &who);
        report.verdict("memory", format!("{who}: bytes an entry at most 120"), memory, 120.0);
    }
    Ok(())
}

/// Last, because it changes the store.
fn purges(house: &House, report: &mut Report) -> Result<(), String> {
    let got = house.part("purge", 0)?;
    let case = format!("purge of {} M tagged entries", got["purge-entries"] / 1e6);
    report.sample(&case, "counted", "ms", got["count-answered"] * 1e3);
    report.sample(&case, "in force", "ms", got["purge-in-force"] * 1e3);
    report.sample(&case, "on the disk", "ms", got["purge-answered"] * 1e3);
    report.sample(&case, "bodies let go", "ms", got["settled"] * 1e3);
    report.verdict("purge", "ms until in force at most 150".to_owned(), got["purge-in-force"] * 1e3, 150.0);
    Ok(())
}

fn reads(house: &House, report: &mut Report) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all = vec![1, cores, 8];
    all.dedup();
    for _ in 0..ROUNDS {
        for readers in &all {
            let got = house.part("reads", *readers)?;
            let who = format!("{readers} readers, 1 writer");
            report.sample("reads for a CPU second", &who, "M", got["per-cpu-second"] / 1e6);
            report.sample("reads for a CPU second, all cores at it", &who, "M", got["together"] / 1e6);
            report.sample("share of time with all cores at it", &who, "%", got["share"] * 100.0);
            report.sample("reads a second, wall", &who, "M", got["wall"] / 1e6);
            report.sample("changes a second", &who, "1/s", got["changes"]);
        }
    }
    let rate = |readers| {
        report.median("reads for a CPU second, all cores at it", &format!("{readers} readers, 1 writer"))
    };
    let losses: Vec<_> =
        all[1..].iter().map(|readers| (*readers, (1.0 - rate(*readers) / rate(1)) * 100.0)).collect();
    for (readers, loss) in losses {
        let text = format!("{readers} readers: percent behind linear to {cores} cores at most 15");
        report.verdict("reads", text, loss, 15.0);
    }
    Ok(())
}

/// A store's directory, deleted at the end.
struct House {
    directory: PathBuf,
    /// The epochs as the next start is to find them.
    epochs: Option<Vec<u8>>,
}

impl House {
    fn empty() -> Result<Self, String> {
        let directory = std::env::temp_dir().join(format!("standpipe-bench-index-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(Self { directory, epochs: None })
    }

    fn new(count: u64) -> Result<Self, String> {
        let mut house = Self::empty()?;
        eprintln!("bench: makes {count} entries in {}", house.directory.display());
        entries::make(&house.directory, count)?;
        house.epochs = Some(fs::read(house.path()).map_err(|error| format!("the epochs: {error}"))?);
        Ok(house)
    }

    fn path(&self) -> PathBuf {
        self.directory.join("index/epochs")
    }

    /// Runs one measurement in a new process.
    fn part(&self, what: &str, number: usize) -> Result<HashMap<String, f64>, String> {
        if let Some(epochs) = &self.epochs {
            fs::write(self.path(), epochs).map_err(|error| format!("the epochs: {error}"))?;
        }
        let own = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let output = Command::new(own)
            .args(["index", "--part", &number.to_string(), what])
            .arg(&self.directory)
            .stderr(std::process::Stdio::inherit())
            .output()
            .map_err(|error| format!("{what}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{what} has failed"));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let value = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(value).collect())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
