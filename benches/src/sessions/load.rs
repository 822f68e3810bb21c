//! Load on a session server from one thread, in an open loop: a request leaves when it is due, whether or not earlier
//! ones have been answered, and its latency counts from then on. Many requests are under way on each connection.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use distcache::frame::Direction;
use distcache::message::Decoder;
use distcache::request::Request;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of one read.
const INPUT: usize = 256 * 1024;
/// Requests that wait for their answers on one connection when there is no rate.
const WINDOW: usize = 64;
/// Shortest wait: requests that are due within it leave together.
const SHORTEST: Duration = Duration::from_micros(100);
/// Longest wait, so that impatience is noticed.
const LONGEST: Duration = Duration::from_millis(100);
/// No answer for so long: give up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How fast requests leave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as answers come.
    Full,
    /// So many a second.
    PerSecond(u64),
}

/// What was seen.
pub(super) struct Seen {
    /// From the first request to the last answer.
    pub(super) seconds: f64,
    /// Microseconds from due to answered.
    pub(super) latencies: Vec<f64>,
}

/// Connections to a server.
pub(super) struct Load {
    connections: Vec<Connection>,
}

struct Connection {
    stream: UnixStream,
    output: Vec<u8>,
    /// When the requests without an answer were due.
    due: VecDeque<Instant>,
    input: Vec<u8>,
    filled: usize,
    decoder: Decoder,
}

impl Load {
    /// Connects to the server at `UNIX:path`.
    pub(super) fn connect(address: &str, connections: usize) -> Result<Self, String> {
        let path = address.strip_prefix("UNIX:").ok_or("the load needs a unix socket")?;
        let connections = (0..connections).map(|_| Connection::open(path)).collect::<Result<_, _>>();
        Ok(Self { connections: connections.map_err(|error| format!("{address}: {error}"))? })
    }

    /// Sends the requests that `request` appends, each with the uid it is given, and fails on an answer that is not
    /// `wanted`.
    pub(super) fn run(
        &mut self,
        pace: Pace,
        count: u64,
        mut request: impl FnMut(u64, &mut Vec<u8>),
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Seen, String> {
        let start = Instant::now();
        let mut progress = start;
        let mut latencies = Vec::with_capacity(usize::try_from(count).map_err(|error| error.to_string())?);
        let (mut sent, many) = (0, self.connections.len());
        while latencies.len() < latencies.capacity() {
            let now = Instant::now();
            let mut until = now + LONGEST;
            while sent < count {
                let due = match pace {
                    Pace::Full => now,
                    Pace::PerSecond(rate) => start + Duration::from_nanos(sent * 1_000_000_000 / rate),
                };
                let connection = &mut self.connections[sent as usize % many];
                if due > now {
                    until = due;
                    break;
                }
                if pace == Pace::Full && connection.due.len() >= WINDOW {
                    break;
                }
                request(sent, &mut connection.output);
                connection.due.push_back(due);
                sent += 1;
            }
            for connection in &mut self.connections {
                connection.send().map_err(|error| format!("sending: {error}"))?;
            }
            let before = latencies.len();
            for connection in self.wait(until.saturating_duration_since(now).max(SHORTEST))? {
                connection.receive(&mut latencies, &wanted)?;
            }
            if latencies.len() > before {
                progress = now;
            } else if now - progress > PATIENCE {
                return Err(format!("no answer for {} s", PATIENCE.as_secs()));
            }
        }
        Ok(Seen { seconds: start.elapsed().as_secs_f64(), latencies })
    }

    /// Waits for answers, or for room to send; the connections that have some.
    fn wait(&mut self, longest: Duration) -> Result<impl Iterator<Item = &mut Connection>, String> {
        let timeout = Timespec::try_from(longest).map_err(|error| error.to_string())?;
        let interest = |connection: &Connection| match connection.output.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::IN | PollFlags::OUT,
        };
        let mut polled: Vec<_> =
            self.connections.iter().map(|each| PollFd::new(&each.stream, interest(each))).collect();
        poll(&mut polled, Some(&timeout)).map_err(|error| error.to_string())?;
        let ready: Vec<_> = polled.iter().map(|each| !(each.revents() - PollFlags::OUT).is_empty()).collect();
        let ready = self.connections.iter_mut().zip(ready).filter(|(_, is_ready)| *is_ready);
        Ok(ready.map(|(connection, _)| connection))
    }
}

impl Connection {
    fn open(path: &str) -> std::io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            output: Vec::new(),
            due: VecDeque::new(),
            input: vec![0; INPUT],
            filled: 0,
            decoder: Decoder::new(Direction::Response),
        })
    }

    fn send(&mut self) -> std::io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, latencies: &mut Vec<f64>, wanted: impl Fn(&[u8]) -> bool) -> Result<(), String> {
        match self.stream.read(&mut self.input[self.filled..]) {
            Ok(0) => return Err("the server closed a connection".to_owned()),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("receiving: {error}")),
        }
        let now = Instant::now();
        let mut used = 0;
        loop {
            let step =
                self.decoder.next(&self.input[used..self.filled]).map_err(|error| error.to_string())?;
            used += step.used;
            let Some(answer) = step.message else { break };
            if !wanted(answer.payload) {
                return Err(format!("an unexpected answer of {} bytes", answer.payload.len()));
            }
            let due = self.due.pop_front().ok_or("an answer to nothing")?;
            latencies.push((now - due).as_secs_f64() * 1e6);
        }
        self.input.copy_within(used..self.filled, 0);
        self.filled -= used;
        Ok(())
    }
}

/// An id of 32 bytes that nobody can guess, for the number of a session.
pub(super) fn id(number: u64) -> [u8; 32] {
    let mut id = [0; 32];
    for (place, word) in id.chunks_exact_mut(8).enumerate() {
        // SplitMix64.
        let mut mixed = (number * 4 + place as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes());
    }
    id
}

/// Appends a request.
pub(super) fn encode(number: u64, request: &Request<'_>, out: &mut Vec<u8>) {
    #[expect(clippy::cast_possible_truncation, reason = "uids may repeat")]
    let uid = number as u32;
    request.encode(uid, out).expect("far shorter than a message may be");
}
