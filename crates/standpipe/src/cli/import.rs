//! `standpipe import --tree DIR --base URL`: takes an existing mirror into the store.
//!
//! Works offline, under the store's lock, and by the way that every object takes: a fill, whose origin is the tree. So
//! whatever holds for fetched objects (hashed, deduplicated, committed, within the quota) holds for imported ones. An
//! object that the store already has is left as it is. Files are copied: a link would let whoever writes to the mirror
//! change what is served. Symbolic links are not followed but reported.

mod origin;
mod types;

use std::fs::{self, FileType};
use std::future::poll_fn;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cache::{Answer, Method, Outcome, Request, Target, WhenFull};
use clap::ArgMatches;
use protocols::http::conditional::Conditions;
use protocols::http::url::CanonicalUrl;
use tokio::task::JoinSet;
use url::Url;

use super::tree::spelling;
use super::{Failed, client, print};
use crate::assemble;
use crate::assemble::offline::Offline;
use crate::config::Values;
use origin::TreeOrigin;

/// Files that are read at once.
const AT_ONCE: usize = 8;

/// An object that is there already is fresh enough, however old.
const ANY_AGE: Duration = Duration::MAX;

/// How long fills may go on after the last answer; there are none then.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Counts {
    stored: u64,
    bytes: u64,
    known: u64,
    left_out: u64,
}

/// What became of one file.
enum Taken {
    Stored(u64),
    Known,
}

/// Imports as the arguments say.
pub(super) fn run(arguments: &ArgMatches, values: &Values) -> Result<(), Failed> {
    let root = arguments.get_one::<PathBuf>("tree").cloned().unwrap_or_default();
    let base = arguments.get_one::<String>("base").map_or("", String::as_str);
    let base = spelling::base(base).map_err(Failed::Usage)?;
    let mut counts = Counts::default();
    let files = files(&root, &mut counts)?;
    let total: u64 = files.iter().map(|file| file.length).sum();
    if total > values.store_quota.0 {
        return Err(Failed::Work(format!(
            "the tree has {total} bytes, the store's quota is {}; raise store.quota or import parts of it",
            values.store_quota.0
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}"))?;
    runtime.block_on(import(values, &root, &base, files, &mut counts))?;
    print(&format!(
        "{} objects with {} bytes imported; {} were there, {} left out\n",
        counts.stored, counts.bytes, counts.known, counts.left_out
    ))?;
    match counts.left_out {
        0 => Ok(()),
        left_out => Err(Failed::Findings(format!("{left_out} files were not imported; see above"))),
    }
}

async fn import(
    values: &Values,
    root: &Path,
    base: &Url,
    files: Vec<Found>,
    counts: &mut Counts,
) -> Result<(), String> {
    let origin = Arc::new(TreeOrigin::new(root.to_owned()));
    let offline = assemble::offline::cache(values, origin.clone()).await?;
    let mut running = JoinSet::new();
    for file in files {
        while running.len() >= AT_ONCE {
            settle(&mut running, counts).await;
        }
        let Some(target) = target(&offline, base, &file.path) else {
            left_out(counts, &file.path, "its name makes no URL");
            continue;
        };
        origin.offer(&target.url, &file.path);
        let request = request(target, values.fetch_default_ttl);
        let cache = offline.cache.clone();
        let origin = origin.clone();
        running.spawn(async move {
            let url = request.target.url.clone();
            let taken = match cache.answer(request).await {
                Ok(answer) => drained(answer).await,
                Err(error) => Err(error.to_string()),
            };
            origin.withdraw(&url);
            (file, taken)
        });
    }
    while !running.is_empty() {
        settle(&mut running, counts).await;
    }
    offline.cache.drain(GRACE).await;
    drop(offline.cache);
    offline.store.close().await.map_err(|failure| failure.detail.to_string())
}

/// The object that a file becomes.
fn target(offline: &Offline, base: &Url, path: &Path) -> Option<Target> {
    let url = spelling::url_of(base, path)?;
    let canonical = CanonicalUrl::parse(url.as_str()).ok()?;
    Some(Target::new(canonical, Vec::new(), &offline.hasher))
}

fn request(target: Target, keep: Duration) -> Request {
    Request {
        target: Arc::new(target),
        method: Method::Get,
        conditions: Conditions::default(),
        range: None,
        max_age: ANY_AGE,
        keep,
        expected: None,
        when_full: WhenFull::Refuse,
    }
}

/// Takes all bytes of an answer, which end cleanly only when all of them are right.
async fn drained(mut answer: Answer) -> Result<Taken, String> {
    let mut length = 0;
    while let Some(chunk) = poll_fn(|cx| answer.payload.poll_chunk(cx)).await {
        length += chunk.map_err(|failure| failure.detail.to_string())?.bytes.len() as u64;
    }
    match answer.outcome {
        Outcome::Hit => Ok(Taken::Known),
        _ => Ok(Taken::Stored(length)),
    }
}

async fn settle(running: &mut JoinSet<(Found, Result<Taken, String>)>, counts: &mut Counts) {
    match running.join_next().await {
        Some(Ok((_, Ok(Taken::Stored(length))))) => {
            counts.stored += 1;
            counts.bytes += length;
        }
        Some(Ok((_, Ok(Taken::Known)))) => counts.known += 1,
        Some(Ok((file, Err(problem)))) => left_out(counts, &file.path, &problem),
        Some(Err(_)) => counts.left_out += 1,
        None => {}
    }
}

fn left_out(counts: &mut Counts, path: &Path, why: &str) {
    counts.left_out += 1;
    let path = client::printable(&path.to_string_lossy());
    drop(writeln!(io::stderr(), "not imported: {path}: {why}"));
}

/// A plain file of the tree.
struct Found {
    /// Below the root.
    path: PathBuf,
    length: u64,
}

/// All plain files of the tree, in order of their names.
fn files(root: &Path, counts: &mut Counts) -> Result<Vec<Found>, String> {
    let failed = |path: &Path, error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut files = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let listed =
            fs::read_dir(root.join(&directory)).map_err(|error| failed(&root.join(&directory), error))?;
        for entry in listed {
            let entry = entry.map_err(|error| failed(&root.join(&directory), error))?;
            let path = directory.join(entry.file_name());
            let metadata = entry.metadata().map_err(|error| failed(&entry.path(), error))?;
            match kind(metadata.file_type()) {
                Kind::Directory => directories.push(path),
                Kind::File => files.push(Found { path, length: metadata.len() }),
                Kind::Link => left_out(counts, &path, "it is a symbolic link; links are not followed"),
                Kind::Other => left_out(counts, &path, "it is neither a file nor a directory"),
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

enum Kind {
    Directory,
    File,
    Link,
    Other,
}

fn kind(kind: FileType) -> Kind {
    match kind {
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_file() => Kind::File,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    }
}
