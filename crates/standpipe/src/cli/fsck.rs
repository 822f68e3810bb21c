//! `standpipe fsck`: checks a store that no server uses.
//!
//! Holds the directory's lock, reads every record of the index and every byte of every body, and compares. Changes
//! nothing unless it is told to repair: then damaged bodies are deleted and the store is opened and closed once, which
//! forgets what has no body and deletes what no entry names, as every start does.

mod findings;

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cache::Http;
use clap::ArgMatches;
use store::{Contents, Digest, Recorded, RecordedBody, Scanned};

use super::hashing::hash_file;
use super::{Failed, print};
use crate::assemble;
use crate::config::Values;
use findings::{Finding, Findings, Kind};

/// How thoroughly bodies are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Digests,
    Lengths,
}

/// What the index says that there is.
#[derive(Default)]
struct Index {
    /// Length of each complete body, and whether its file was found.
    bodies: HashMap<Digest, (u64, Found)>,
    parts: Vec<u64>,
    /// Entries whose head the owner cannot read.
    unreadable: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Not,
    Yes,
}

/// Checks as the arguments say.
pub(super) fn run(arguments: &ArgMatches, values: &Values) -> Result<(), Failed> {
    let directory = values.store_directory.as_path();
    let depth = if arguments.get_flag("quick") { Depth::Lengths } else { Depth::Digests };
    let lock = store::lock(directory).map_err(|error| error.detail)?;
    let mut findings = check(directory, depth)?;
    if arguments.get_flag("repair") {
        findings.repair()?;
        drop(lock);
        assemble::offline::tidy(values)?;
        let _lock = store::lock(directory).map_err(|error| error.detail)?;
        findings.repaired(&check(directory, Depth::Lengths)?);
    }
    let report = if arguments.get_flag("json") { findings.json() } else { findings.text(directory) };
    print(&report)?;
    match findings.harmful() {
        0 => Ok(()),
        harmful => Err(Failed::Findings(format!(
            "{harmful} problems in {}; `standpipe fsck --repair` drops what is damaged, it will be fetched again",
            directory.display()
        ))),
    }
}

fn check(directory: &Path, depth: Depth) -> Result<Findings, String> {
    let mut index = Index::default();
    let scanned =
        store::scan(directory, &mut |recorded| index.add(&recorded)).map_err(|error| error.detail)?;
    let mut findings = Findings::new(scanned.entries, scanned.records);
    note_index(&mut findings, &scanned, index.unreadable);
    let failed = |path: &Path, error: io::Error| format!("cannot read {}: {error}", path.display());
    for path in files_below(&directory.join("bodies")).map_err(|error| failed(directory, error))? {
        let finding =
            index.check_body(directory, &path, depth, &mut findings).map_err(|error| failed(&path, error))?;
        findings.extend(finding);
    }
    let missing = match scanned.is_unclean {
        true => (
            Kind::Unfinished,
            "an entry names it, but a crash has left none; the next start forgets the entry",
        ),
        false => (Kind::Missing, "an entry names it, but it is not there"),
    };
    for path in index.missing(directory) {
        findings.add(missing.0, path, missing.1);
    }
    for path in files_below(&directory.join("fills")).map_err(|error| failed(directory, error))? {
        findings.add(Kind::Unfinished, path, "a crash left it; the next start deletes it");
    }
    Ok(findings)
}

fn note_index(findings: &mut Findings, scanned: &Scanned, unreadable: u64) {
    for fault in &scanned.faults {
        findings.add(Kind::Index, PathBuf::from("index"), fault);
    }
    if scanned.faults.is_empty() && scanned.damaged + scanned.lost > 0 {
        let detail = format!("{} records and {} bytes are damaged", scanned.damaged, scanned.lost);
        findings.add(Kind::Index, PathBuf::from("index"), &detail);
    }
    if unreadable > 0 {
        let detail = format!("{unreadable} entries have a head that cannot be read");
        findings.add(Kind::Index, PathBuf::from("index"), &detail);
    }
    if scanned.torn > 0 {
        let detail = format!("{} bytes of unfinished records, as a crash leaves them", scanned.torn);
        findings.add(Kind::Unfinished, PathBuf::from("index"), &detail);
    }
}

impl Index {
    fn add(&mut self, recorded: &Recorded<'_>) {
        if Http::decode(recorded.head).is_none() {
            self.unreadable += 1;
        }
        match recorded.body {
            RecordedBody::Whole { digest, length } => {
                self.bodies.insert(digest, (length, Found::Not));
            }
            RecordedBody::Part { id } => self.parts.push(id),
        }
    }

    /// Bodies that have no file.
    fn missing(&self, directory: &Path) -> impl Iterator<Item = PathBuf> {
        let bodies = self.bodies.iter().filter(|(_, (_, found))| *found == Found::Not);
        let parts =
            self.parts.iter().map(|id| store::part_path(directory, *id)).filter(|path| !path.exists());
        bodies.map(|(digest, _)| store::body_path(directory, digest)).chain(parts)
    }

    /// Compares one file below `bodies/` with the index.
    fn check_body(
        &mut self,
        directory: &Path,
        path: &Path,
        depth: Depth,
        findings: &mut Findings,
    ) -> io::Result<Option<Finding>> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(digest) = name.parse().ok().filter(|digest| store::body_path(directory, digest) == path)
        else {
            return Ok(Some(Finding::new(Kind::Stray, path, "it is no body; it is left alone")));
        };
        let Some((length, found)) = self.bodies.get_mut(&digest) else {
            return Ok(Some(Finding::new(Kind::Stray, path, "no entry names it; the next start deletes it")));
        };
        *found = Found::Yes;
        let damaged = |detail: String| Ok(Some(Finding::new(Kind::Damaged, path, &detail)));
        let on_disk = path.symlink_metadata()?;
        if !on_disk.is_file() {
            return damaged("it is no plain file".to_owned());
        }
        findings.count_body(on_disk.len());
        if on_disk.len() != *length {
            return damaged(format!("it has {} bytes instead of {length}", on_disk.len()));
        }
        match depth {
            Depth::Lengths => Ok(None),
            Depth::Digests => match hash_file(path) {
                Ok((actual, _)) if actual == digest => Ok(None),
                Ok((actual, _)) => damaged(format!("its bytes have the SHA-256 {actual}")),
                Err(error) => damaged(format!("it cannot be read: {error}")),
            },
        }
    }
}

/// All files below a directory, which need not be there; nothing but files and directories is followed.
fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let listed = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            listed => listed?,
        };
        for entry in listed {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path())
            } else {
                files.push(entry.path())
            }
        }
    }
    Ok(files)
}
