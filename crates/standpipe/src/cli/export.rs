//! `standpipe export --tree DIR`: the complete objects as plain files at `scheme/host/path`, for web servers and rsync.
//!
//! Reads the index and links the bodies without asking or hindering a running server: logs only grow, bodies never
//! change, and a body that goes meanwhile is merely not exported. Invariants: a file in the tree holds exactly what the
//! server would send for the URL, whole; what a plain file cannot stand for is reported and left out. Files that are in
//! the tree for other reasons stay.
//!
//! Only objects that everybody may have are exported: the key is computed again from the URL alone, and if it is not the
//! entry's, then credentials belong to it, or the URL's secrets are masked in the index.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cache::{Head, Http, KeyHasher, Target};
use clap::ArgMatches;
use http::header::{CONTENT_ENCODING, LAST_MODIFIED};
use protocols::http::date;
use protocols::http::url::CanonicalUrl;
use store::{Contents, Digest, Recorded, RecordedBody};
use url::{Position, Url};

use super::hashing::hash_file;
use super::tree::place::{Unfit, place};
use super::tree::writing::{Put, PutError, Replace, Tree};
use super::{Failed, client, print};
use crate::assemble;
use crate::config::Values;

/// Why an object was left out.
enum LeftOut {
    /// No file can stand for its URL.
    Unfit(Unfit),
    /// It is not for everybody.
    Private,
    /// It means something only together with this field.
    Coded(String),
    /// Its entry cannot be read.
    Unreadable,
    /// Another URL, or a directory, has its place.
    Taken,
    /// Its bytes are not what was stored.
    Damaged,
    /// The tree cannot be written to.
    Io(io::Error),
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unfit(unfit) => unfit.fmt(f),
            Self::Private => f.write_str(
                "it was fetched with credentials, or with secrets in its URL; a tree is for everybody",
            ),
            Self::Coded(coding) => {
                write!(f, "it has Content-Encoding {coding}, which a plain file cannot say")
            }
            Self::Unreadable => f.write_str("its entry in the index cannot be read; run `standpipe fsck`"),
            Self::Taken => f.write_str("another object or a directory has this place in the tree"),
            Self::Damaged => {
                f.write_str("its file is damaged; run `standpipe scrub` or `standpipe fsck --repair`")
            }
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

/// One run.
struct Export<'a> {
    directory: &'a Path,
    hasher: KeyHasher,
    hosts: Vec<String>,
    tree: Tree,
    /// Hashes of the places that this run has filled: one place for two URLs with different bytes is a conflict, an
    /// older file is not.
    filled: HashSet<u128>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    linked: u64,
    copied: u64,
    unchanged: u64,
    gone: u64,
    left_out: u64,
}

/// Exports as the arguments say.
pub(super) fn run(arguments: &ArgMatches, values: &Values) -> Result<(), Failed> {
    let directory = &values.store_directory;
    let root = arguments.get_one::<PathBuf>("tree").cloned().unwrap_or_default();
    let hosts = arguments.get_many::<String>("host").into_iter().flatten();
    let secret = assemble::secret::load(directory)?;
    let tree =
        Tree::open(&root).map_err(|error| format!("cannot open the tree {}: {error}", root.display()))?;
    let mut export = Export {
        directory,
        hasher: KeyHasher::new(secret),
        hosts: hosts.map(|host| host.to_ascii_lowercase()).collect(),
        tree,
        filled: HashSet::new(),
        counts: Counts::default(),
    };
    let scanned =
        store::scan(directory, &mut |recorded| export.take(&recorded)).map_err(|error| error.detail)?;
    for fault in &scanned.faults {
        drop(writeln!(io::stderr(), "standpipe: {}", client::printable(fault)));
    }
    export.conclude(&root, scanned.damaged + scanned.lost > 0)
}

impl Export<'_> {
    fn take(&mut self, recorded: &Recorded<'_>) {
        let RecordedBody::Whole { digest, length } = recorded.body else { return };
        let result = match self.url_of(recorded) {
            Ok(url) if !self.is_wanted(&url) => return,
            Ok(url) => self.put(&url, recorded, digest, length),
            Err(left_out) => Err(left_out),
        };
        match result {
            Ok(Some(Put::Linked)) => self.counts.linked += 1,
            Ok(Some(Put::Copied)) => self.counts.copied += 1,
            Ok(Some(Put::Unchanged)) => self.counts.unchanged += 1,
            Ok(None) => self.counts.gone += 1,
            Err(left_out) => {
                self.counts.left_out += 1;
                let name = client::printable(recorded.name);
                drop(writeln!(io::stderr(), "not exported: {name}: {left_out}"));
            }
        }
    }

    /// The URL, if it is all that the key was made of.
    fn url_of(&self, recorded: &Recorded<'_>) -> Result<Url, LeftOut> {
        let canonical = CanonicalUrl::parse(recorded.name).map_err(|_| LeftOut::Private)?;
        let target = Target::new(canonical, Vec::new(), &self.hasher);
        if target.key == recorded.key { Ok(target.url) } else { Err(LeftOut::Private) }
    }

    fn is_wanted(&self, url: &Url) -> bool {
        let names = [
            &url[Position::BeforeHost..Position::AfterHost],
            &url[Position::BeforeHost..Position::AfterPort],
        ];
        self.hosts.is_empty() || self.hosts.iter().any(|host| names.contains(&host.as_str()))
    }

    /// `None` when the body went away meanwhile.
    fn put(
        &mut self,
        url: &Url,
        recorded: &Recorded<'_>,
        digest: Digest,
        length: u64,
    ) -> Result<Option<Put>, LeftOut> {
        let names = place(url).map_err(LeftOut::Unfit)?;
        let head = Http::decode(recorded.head).ok_or(LeftOut::Unreadable)?;
        if let Some(coding) = head.headers.get(CONTENT_ENCODING) {
            return Err(LeftOut::Coded(client::printable(&String::from_utf8_lossy(coding.as_bytes()))));
        }
        let source = store::body_path(self.directory, &digest);
        if !is_whole(&source, digest, length, recorded.is_trusted)? {
            return Ok(None);
        }
        let is_first = self.filled.insert(fingerprint(&names));
        let replace = if is_first { Replace::Allowed } else { Replace::Forbidden };
        match self.tree.put(&names, &source, modified(&head), replace) {
            Ok(put) => Ok(Some(put)),
            Err(PutError::Gone) => Ok(None),
            Err(PutError::InTheWay) => Err(LeftOut::Taken),
            Err(PutError::Io(error)) => Err(LeftOut::Io(error)),
        }
    }

    fn conclude(self, root: &Path, is_index_damaged: bool) -> Result<(), Failed> {
        let Counts { linked, copied, unchanged, gone, left_out } = self.counts;
        print(&format!(
            "{} objects in {}: {linked} linked, {copied} copied, {unchanged} were there; {gone} went meanwhile, \
             {left_out} left out\n",
            linked + copied + unchanged,
            root.display()
        ))?;
        if is_index_damaged {
            return Err(Failed::Findings("parts of the index are damaged; run `standpipe fsck`".to_owned()));
        }
        if left_out > 0 {
            return Err(Failed::Findings(format!("{left_out} objects are not in the tree; see above")));
        }
        Ok(())
    }
}

/// Whether the body's file is there. One that is not what the index says is damaged; where a crash may have left
/// unwritten bytes, all of them are read to find out.
fn is_whole(source: &Path, digest: Digest, length: u64, is_trusted: bool) -> Result<bool, LeftOut> {
    let found = match (is_trusted, source.metadata()) {
        (_, Err(error)) => Err(error),
        (true, Ok(metadata)) => Ok((digest, metadata.len())),
        (false, Ok(_)) => hash_file(source),
    };
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LeftOut::Io(error)),
        Ok(found) if found == (digest, length) => Ok(true),
        Ok(_) => Err(LeftOut::Damaged),
    }
}

fn fingerprint(names: &[OsString]) -> u128 {
    let mut path = Vec::new();
    for name in names {
        path.extend_from_slice(name.as_bytes());
        path.push(b'/');
    }
    let mut first = [0; 16];
    first.copy_from_slice(&Digest::of(&path).as_bytes()[..16]);
    u128::from_le_bytes(first)
}

fn modified(head: &Head) -> Option<SystemTime> {
    let seconds = date::parse(head.headers.get(LAST_MODIFIED)?.as_bytes())?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
