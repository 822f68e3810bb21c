//! `standpipe get URL`: downloads through the running server. Succeeds only when every byte is there and matches
//! every digest that is known; until then a file carries the name `FILE.part`.

use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use clap::ArgMatches;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocols::http::digest;
use tokio::time::{sleep, timeout};
use url::Url;

use super::client::{self, Server};
use super::wrap;

const FETCH: &str = "/api/v1/fetch";
/// Pauses before the server is asked why it cut a transfer.
const ASK_AGAIN: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(500)];
const NOTHING_KEPT: &str = "Nothing was kept.";

/// Why a download did not end well.
enum Cut {
    /// By our own judgement, or our disk's.
    Here(String),
    /// The transfer ended early.
    There(String),
}

impl From<String> for Cut {
    fn from(problem: String) -> Self {
        Self::Here(problem)
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &ArgMatches, server: &Server) -> Result<(), String> {
    let url = wrap::url(arguments)?;
    let named = arguments.get_one::<PathBuf>("output").cloned();
    let target =
        named.or_else(|| file_name(url)).ok_or("the URL names no file: say where to write with `-o FILE`")?;
    let patience = Duration::from_secs(arguments.get_one::<u64>("idle-timeout").copied().unwrap_or(300));
    let demanded = arguments.get_one::<String>("sha256").map(String::as_str);

    let mut query = vec![("url", url.as_str())];
    query.extend(demanded.map(|digest| ("sha256", digest)));
    query.extend(arguments.get_one::<String>("ttl").map(|ttl| ("ttl", ttl.as_str())));
    let response = server.send(Method::GET, FETCH, &query, patience).await?;
    if response.status() != StatusCode::OK {
        let refusal = client::refusal(response, patience).await;
        return Err(demanded.map_or_else(|| refusal.clone(), |_| format!("{refusal} {NOTHING_KEPT}")));
    }
    let digests = demanded.map(str::to_owned).into_iter().chain(promised_digest(&response)).collect();
    let mut output = Output::create(&target)?;
    match download(response, &mut output, digests, patience).await {
        Ok(()) => output.keep(),
        Err(Cut::Here(problem)) => Err(format!("{problem}. {}", output.discard())),
        Err(Cut::There(problem)) => {
            let kept = output.discard();
            let why = if demanded.is_some() { why_cut(server, &query, patience).await } else { None };
            Err(format!(
                "{problem}{}. {kept}",
                why.unwrap_or_else(|| "; the server's log says why".to_owned())
            ))
        }
    }
}

/// The server cuts the transfer of an object that has not the demanded digest, and can only say so to those who ask next,
/// a moment later.
async fn why_cut(server: &Server, query: &[(&str, &str)], patience: Duration) -> Option<String> {
    for pause in ASK_AGAIN {
        sleep(pause).await;
        let response = server.send(Method::GET, FETCH, query, patience).await.ok()?;
        if response.status() != StatusCode::OK {
            return Some(format!(": {}", client::refusal(response, patience).await));
        }
    }
    // It goes well now; whoever wants it asks again.
    None
}

/// The last part of the URL's path, if it can be a file's name.
fn file_name(url: &Url) -> Option<PathBuf> {
    let last = url.path_segments()?.next_back()?;
    let name = percent_encoding::percent_decode_str(last).decode_utf8().ok()?;
    // Control characters would be commands to the terminal that shows the name.
    let usable =
        !["", ".", "..", "-"].contains(&&*name) && !name.contains(|c: char| c == '/' || c.is_control());
    usable.then(|| PathBuf::from(name.into_owned()))
}

/// The SHA-256 of `Repr-Digest` (RFC 9530), in hexadecimal.
fn promised_digest(response: &Response<Incoming>) -> Option<String> {
    digest::sha256(response.headers(), &digest::REPR_DIGEST).map(hexadecimal)
}

/// Streams the body into the output and checks length and digests.
async fn download(
    response: Response<Incoming>,
    output: &mut Output,
    digests: Vec<String>,
    patience: Duration,
) -> Result<(), Cut> {
    let declared = client::declared_length(&response);
    let bar = progress_bar(declared, &output.name);
    let mut body = response.into_body();
    let mut hash = Context::new(&SHA256);
    let mut received = 0;
    loop {
        let next = timeout(patience, body.frame()).await;
        let frame = match next.map_err(|_| format!("nothing came for {} s", patience.as_secs()))? {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Err(Cut::There(broken(received, declared))),
        };
        let Ok(bytes) = frame.into_data() else { continue };
        hash.update(&bytes);
        received += bytes.len() as u64;
        output.write(&bytes)?;
        bar.set_position(received);
    }
    bar.finish_and_clear();
    if declared.is_some_and(|declared| declared != received) {
        return Err(Cut::There(broken(received, declared)));
    }
    let digest = hexadecimal(hash.finish().as_ref());
    match digests.iter().find(|expected| **expected != digest) {
        Some(expected) => Err(Cut::Here(format!("expected the SHA-256 {expected}, the bytes have {digest}"))),
        None => Ok(()),
    }
}

fn broken(received: u64, declared: Option<u64>) -> String {
    let of = declared.map_or(String::new(), |declared| format!(" of {declared}"));
    format!("the transfer broke off after {received}{of} bytes")
}

fn progress_bar(length: Option<u64>, name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
    }
    let template = match length {
        Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        None => "{msg} {spinner} {bytes} {bytes_per_sec}",
    };
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_message(name.to_owned())
}

fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the bytes go.
struct Output {
    name: String,
    place: Place,
}

enum Place {
    Stdout(io::Stdout),
    /// A device or pipe: it has no place for a second name.
    Special(File),
    /// A file under a temporary name until all is verified.
    Part {
        file: File,
        part: PathBuf,
        whole: PathBuf,
    },
}

impl Output {
    fn create(target: &Path) -> Result<Self, String> {
        let name = target.file_name().unwrap_or(target.as_os_str()).to_string_lossy().into_owned();
        if target == Path::new("-") {
            return Ok(Self { name: "stdout".to_owned(), place: Place::Stdout(io::stdout()) });
        }
        let problem = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        let place = match fs::metadata(target) {
            Ok(found) if found.is_dir() => return Err(format!("{}: is a directory", target.display())),
            Ok(found) if !found.is_file() => {
                let file =
                    File::options().write(true).open(target).map_err(|error| problem(target, error))?;
                Place::Special(file)
            }
            _ => {
                let mut part = target.as_os_str().to_owned();
                part.push(".part");
                let part = PathBuf::from(part);
                let file = take(&part).map_err(|error| problem(&part, error))?;
                Place::Part { file, part, whole: target.to_owned() }
            }
        };
        Ok(Self { name, place })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = match &mut self.place {
            Place::Stdout(stdout) => stdout.write_all(bytes),
            Place::Special(file) | Place::Part { file, .. } => file.write_all(bytes),
        };
        written.map_err(|error| format!("writing to {} failed: {error}", self.name))
    }

    /// All is verified: the file gets its name.
    fn keep(self) -> Result<(), String> {
        match self.place {
            Place::Stdout(mut stdout) => {
                stdout.flush().map_err(|error| format!("writing to stdout failed: {error}"))
            }
            Place::Special(_) => Ok(()),
            Place::Part { part, whole, .. } => {
                fs::rename(&part, &whole).map_err(|error| format!("{}: {error}", whole.display()))
            }
        }
    }

    /// Something is wrong: no file stays that could be taken for the object. Returns a sentence that says what stays.
    fn discard(self) -> String {
        let Place::Part { part, .. } = self.place else {
            return format!("What was written to {} is not the object.", self.name);
        };
        // The failure that led here is reported; one of removing would only hide it.
        drop(fs::remove_file(part));
        NOTHING_KEPT.to_owned()
    }
}

/// Opens a temporary file, emptied, for this process alone: what another one writes into it would pass for verified.
fn take(part: &Path) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(false).open(part)?;
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another download is writing it");
    // A disk that knows no locks is no reason to refuse.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(busy());
    }
    // Its last owner may have renamed it between the two calls.
    let (opened, named) = (file.metadata()?, fs::metadata(part));
    if !named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())) {
        return Err(busy());
    }
    file.set_len(0)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_after_the_urls_path() {
        let name = |text| file_name(&Url::parse(text).expect("a URL"));
        assert_eq!(name("http://a/b/c%20d.iso?x=y/z"), Some(PathBuf::from("c d.iso")));
        assert_eq!(name("http://a/b/"), None);
        assert_eq!(name("http://a"), None);
        assert_eq!(name("http://a/..%2f..%2fetc%2fpasswd"), None);
        assert_eq!(name("http://a/-"), None);
        assert_eq!(name("http://a/%1b]0;title%07"), None);
        assert_eq!(name("http://a/%00"), None);
    }

    #[test]
    fn a_file_gets_its_name_only_when_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let target = directory.path().join("f");
        let mut output = Output::create(&target).expect("created");
        output.write(b"x").expect("written");
        assert!(!target.exists() && directory.path().join("f.part").exists());
        output.discard();
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 0);
        let mut output = Output::create(&target).expect("created");
        output.write(b"x").expect("written");
        output.keep().expect("kept");
        assert_eq!(fs::read(&target).expect("there"), b"x");
        assert!(!directory.path().join("f.part").exists());
    }

    // Regression: two downloads into one file shared a temporary one; the first to end named what the other went on
    // writing into.
    #[test]
    fn two_downloads_never_share_a_temporary_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let target = directory.path().join("f");
        let mut first = Output::create(&target).expect("created");
        first.write(b"first").expect("written");
        let problem = Output::create(&target).err().expect("refused");
        assert!(problem.ends_with("f.part: another download is writing it"), "{problem}");
        first.keep().expect("kept");
        assert_eq!(fs::read(&target).expect("there"), b"first");
        // What a download left behind that was killed is no hindrance.
        fs::write(directory.path().join("f.part"), b"left behind, and longer").expect("written");
        let mut second = Output::create(&target).expect("created");
        second.write(b"second").expect("written");
        second.keep().expect("kept");
        assert_eq!(fs::read(&target).expect("there"), b"second");
    }

    #[test]
    fn a_device_is_written_to_and_never_replaced() {
        let mut output = Output::create(Path::new("/dev/null")).expect("opened");
        output.write(b"x").expect("written");
        assert!(matches!(output.place, Place::Special(_)));
        output.keep().expect("kept");
    }
}
