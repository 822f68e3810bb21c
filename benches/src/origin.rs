//! Origins of the load profiles: files for nginx to serve, and a paced origin of our own.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes written at once.
const BLOCK: usize = 64 * 1024;

/// Writes `size` bytes that no compressor likes (xorshift), different for each seed.
pub(crate) fn write_file(path: &Path, size: u64, seed: u64) -> Result<(), String> {
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (seed + 1).wrapping_mul(0x2545_f491_4f6c_dd1d);
        let mut left = size;
        while left > 0 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let take = left.min(8);
            file.write_all(&state.to_le_bytes()[..usize::try_from(take).unwrap_or(8)])?;
            left -= take;
        }
        file.flush()
    };
    write().map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// An origin that sends one object at a limited speed and counts how often it is asked.
pub(crate) struct PacedOrigin {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicU64>,
}

/// What a paced origin serves.
#[derive(Clone, Copy)]
pub(crate) struct Paced {
    /// Length of the object.
    pub(crate) size: u64,
    /// Bytes a second.
    pub(crate) speed: u64,
    /// Silence before the head.
    pub(crate) delay: Duration,
}

impl PacedOrigin {
    /// Starts it on a thread of its own; it ends with the process.
    pub(crate) fn start(paced: Paced) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                // A client that goes away ends its thread; nothing else is lost.
                std::thread::spawn(move || drop(serve(&stream, paced, &counter)));
            }
        });
        Ok(Self { address, requests })
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: &TcpStream, paced: Paced, counter: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        // The head of a request ends with an empty line.
        loop {
            let Some(line) = lines.next() else { return Ok(()) };
            if line?.is_empty() {
                break;
            }
        }
        counter.fetch_add(1, Ordering::Relaxed);
        pause_until(Instant::now() + paced.delay);
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"{}\"\r\n\r\n", paced.size, paced.size);
        stream.write_all(head.as_bytes())?;
        send(stream, paced)?;
    }
}

fn send(mut stream: &TcpStream, paced: Paced) -> std::io::Result<()> {
    let block = vec![0x5a_u8; BLOCK];
    let started = Instant::now();
    let mut sent = 0_u64;
    while sent < paced.size {
        let take = (paced.size - sent).min(BLOCK as u64);
        stream.write_all(&block[..usize::try_from(take).unwrap_or(BLOCK)])?;
        sent += take;
        pause_until(started + Duration::from_secs_f64(sent as f64 / paced.speed as f64));
    }
    Ok(())
}

/// Pacing is this program's purpose: it is the one place that sleeps.
#[expect(clippy::disallowed_methods)]
pub(crate) fn pause_until(moment: Instant) {
    let pause = moment.saturating_duration_since(Instant::now());
    if pause > Duration::from_micros(500) {
        std::thread::sleep(pause);
    }
}
