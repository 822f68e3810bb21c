//! An origin whose bytes follow from their place, so that objects of any length need no disk and every byte can be checked:
//! `/LENGTH` is an object of so many bytes, `/vary/LENGTH` one that varies by `Accept-Encoding`. Both are fresh for a day,
//! have a strong ETag and answer ranges. It counts what it sends.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::origin;

/// After so many bytes they begin anew: a prime, so that no two aligned pieces of an object are equal.
const PERIOD: usize = 1_048_583;

/// Nothing is asked for so long: what servers do on their own has ended.
const QUIET: Duration = Duration::from_millis(50);
/// But not longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(PERIOD + 8);
    while bytes.len() < PERIOD {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(PERIOD);
    bytes
});

/// The bytes from `at` to the next repetition, at most `most` of them.
fn bytes_at(at: u64, most: u64) -> &'static [u8] {
    let start = usize::try_from(at % PERIOD as u64).unwrap_or(0);
    let end = start.saturating_add(usize::try_from(most).unwrap_or(usize::MAX)).min(PERIOD);
    &BYTES[start..end]
}

/// Whether an object of this origin has these bytes at `at`.
pub(crate) fn is_right(mut at: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let expected = bytes_at(at, bytes.len() as u64);
        if !bytes.starts_with(expected) {
            return false;
        }
        bytes = &bytes[expected.len()..];
        at += expected.len() as u64;
    }
    true
}

/// The running origin.
pub(crate) struct GeneratedOrigin {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    answered: AtomicU64,
    bytes: AtomicU64,
}

impl GeneratedOrigin {
    /// Starts it on a thread of its own; it ends with the process.
    pub(crate) fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        LazyLock::force(&BYTES);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = Arc::clone(&shared);
                // A client that goes away ends its thread; nothing else is lost.
                std::thread::spawn(move || drop(serve(&stream, &counts)));
            }
        });
        Ok(Self { address, counts })
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// Waits until every request is answered and no further one comes: servers go on when their clients have all.
    pub(crate) fn settle(&self) -> Result<(), String> {
        let mut before = None;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let requests = self.requests();
            let is_answered = self.counts.answered.load(Ordering::Relaxed) == requests;
            if is_answered && before == Some(requests) {
                return Ok(());
            }
            before = Some(requests);
            origin::pause_until(Instant::now() + QUIET);
        }
        Err("the origin is still asked although no client waits".to_owned())
    }

    /// How many bytes of bodies left.
    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }
}

/// What of a request counts.
#[derive(Default)]
struct Request {
    method: String,
    path: String,
    range: Option<String>,
    if_range: Option<String>,
}

fn serve(mut stream: &TcpStream, counts: &Counts) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = read(&mut lines)? {
        counts.requests.fetch_add(1, Ordering::Relaxed);
        let (head, body) = answer(&request);
        let body = if request.method == "HEAD" { 0..0 } else { body };
        let sent = stream.write_all(head.as_bytes()).and_then(|()| send(stream, body, counts));
        counts.answered.fetch_add(1, Ordering::Relaxed);
        sent?;
    }
    Ok(())
}

fn read(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> std::io::Result<Option<Request>> {
    let Some(line) = lines.next() else { return Ok(None) };
    let line = line?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        ..Request::default()
    };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { return Ok(Some(request)) };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value),
            "if-range" => request.if_range = Some(value),
            _ => {}
        }
    }
    Ok(None)
}

/// Head, and which bytes follow.
fn answer(request: &Request) -> (String, Range<u64>) {
    let path = request.path.split('?').next().unwrap_or_default();
    let (name, vary) = match path.strip_prefix("/vary/") {
        Some(name) => (name, "Vary: Accept-Encoding\r\n"),
        None => (path.trim_start_matches('/'), ""),
    };
    let Ok(length) = name.parse::<u64>() else {
        return ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), 0..0);
    };
    let etag = format!("\"{length}\"");
    let (status, body, place) = match &request.range {
        Some(range) if request.if_range.as_ref().is_none_or(|wanted| *wanted == etag) => {
            match asked(range, length) {
                Some(body) => {
                    let place = format!("Content-Range: bytes {}-{}/{length}\r\n", body.start, body.end - 1);
                    ("206 Partial Content", body, place)
                }
                None => ("416 Range Not Satisfiable", 0..0, format!("Content-Range: bytes */{length}\r\n")),
            }
        }
        _ => ("200 OK", 0..length, String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n{place}\
         Cache-Control: public, max-age=86400\r\nETag: {etag}\r\nAccept-Ranges: bytes\r\n{vary}\r\n",
        body.end - body.start
    );
    (head, body)
}

/// `bytes=FIRST-LAST`, the one form that caches ask in.
fn asked(range: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse::<u64>().ok()?;
    let end = if last.is_empty() { length } else { last.parse::<u64>().ok()?.saturating_add(1).min(length) };
    (first < end).then_some(first..end)
}

fn send(mut stream: &TcpStream, body: Range<u64>, counts: &Counts) -> std::io::Result<()> {
    let mut at = body.start;
    while at < body.end {
        let count = stream.write(bytes_at(at, body.end - at))?;
        counts.bytes.fetch_add(count as u64, Ordering::Relaxed);
        at += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_right_in_their_place_only() {
        let mut bytes = bytes_at(PERIOD as u64 - 3, 10).to_vec();
        bytes.extend(bytes_at(0, 7));
        assert!(is_right(PERIOD as u64 - 3, &bytes));
        assert!(!is_right(PERIOD as u64 - 2, &bytes));
        bytes[5] ^= 1;
        assert!(!is_right(PERIOD as u64 - 3, &bytes));
    }

    #[test]
    fn ranges_end_with_the_object() {
        assert_eq!(asked("bytes=2-3", 10), Some(2..4));
        assert_eq!(asked("bytes=8-99", 10), Some(8..10));
        assert_eq!(asked("bytes=8-", 10), Some(8..10));
        assert_eq!(asked("bytes=10-", 10), None);
    }

    #[test]
    fn another_version_is_sent_whole() {
        let request = |if_range: &str| Request {
            method: "GET".to_owned(),
            path: "/10?1".to_owned(),
            range: Some("bytes=2-3".to_owned()),
            if_range: Some(if_range.to_owned()),
        };
        assert_eq!(answer(&request("\"10\"")).1, 2..4);
        assert_eq!(answer(&request("\"11\"")).1, 0..10);
    }
}
