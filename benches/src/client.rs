//! A small HTTP/1.1 load client on epoll: keep-alive connections that ask, read, discard and ask again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// Read at most this much at once.
const READ_SIZE: usize = 256 * 1024;
/// A response head longer than this is an error.
const MAX_HEAD: usize = 64 * 1024;

/// What a load run saw.
pub(crate) struct Seen {
    /// Whole run in seconds.
    pub(crate) wall: f64,
    /// Per request, seconds from asking to the last byte.
    pub(crate) latencies: Vec<f64>,
    /// Per request, seconds from the start of the run to the first body byte.
    pub(crate) first_bytes: Vec<f64>,
    /// Body bytes read.
    pub(crate) bytes: u64,
}

/// One request, and what must come.
pub(crate) struct Asked {
    pub(crate) path: String,
    /// Further lines of the head, each with its end.
    pub(crate) fields: &'static str,
    /// The bytes that are wanted; without, all.
    pub(crate) range: Option<Range<u64>>,
    /// Whether the object has these bytes at this place.
    pub(crate) is_right: fn(u64, &[u8]) -> bool,
}

impl Asked {
    /// All of what is at `path`, whatever it is.
    pub(crate) fn path(path: String) -> Self {
        Self { path, fields: "", range: None, is_right: |_, _| true }
    }

    fn head(&self) -> String {
        let range = self.range.as_ref().map_or_else(String::new, |range| {
            format!("Range: bytes={}-{}\r\n", range.start, range.end.saturating_sub(1))
        });
        format!("GET {} HTTP/1.1\r\nHost: bench\r\n{}{range}\r\n", self.path, self.fields)
    }
}

struct Connection {
    stream: TcpStream,
    /// What is under way.
    wanted: Asked,
    /// Where in the object the next byte of the body lies.
    position: u64,
    head: Vec<u8>,
    /// Body bytes still to come, once the head is read.
    remaining: Option<u64>,
    asked: Instant,
    has_body_byte: bool,
}

/// Asks `total` times over `connections` connections; `target` makes the path of the n-th request.
/// Every answer must be 200 with a length.
pub(crate) fn run(
    address: SocketAddr,
    connections: usize,
    total: u64,
    target: impl Fn(u64) -> String,
) -> Result<Seen, String> {
    run_asking(address, connections, total, |n| Asked::path(target(n)))
}

/// The same with more to say about the n-th request. Answers to ranges must be 206 for exactly that range, and every byte
/// right.
pub(crate) fn run_asking(
    address: SocketAddr,
    connections: usize,
    total: u64,
    request: impl Fn(u64) -> Asked,
) -> Result<Seen, String> {
    Run::new(address, connections, total, &request)
        .and_then(Run::finish)
        .map_err(|error| format!("load on {address}: {error}"))
}

struct Run<'a> {
    epoll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    request: &'a dyn Fn(u64) -> Asked,
    asked: u64,
    answered: u64,
    total: u64,
    started: Instant,
    seen: Seen,
    buffer: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(
        address: SocketAddr,
        connections: usize,
        total: u64,
        request: &'a dyn Fn(u64) -> Asked,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let seen = Seen { wall: 0.0, latencies: Vec::new(), first_bytes: Vec::new(), bytes: 0 };
        let mut run = Self {
            epoll,
            connections: Vec::with_capacity(connections),
            request,
            asked: 0,
            answered: 0,
            total,
            started: Instant::now(),
            seen,
            buffer: vec![0; READ_SIZE],
        };
        for index in 0..connections {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&run.epoll, &stream, data, epoll::EventFlags::IN)?;
            let asked = Instant::now();
            run.connections.push(Connection {
                stream,
                wanted: Asked::path(String::new()),
                position: 0,
                head: Vec::new(),
                remaining: None,
                asked,
                has_body_byte: false,
            });
        }
        Ok(run)
    }

    fn finish(mut self) -> io::Result<Seen> {
        self.started = Instant::now();
        for index in 0..self.connections.len() {
            self.ask(index)?;
        }
        let mut events = Vec::with_capacity(256);
        while self.answered < self.total {
            let patience = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience))?;
            if events.is_empty() {
                return Err(io::Error::other("no byte for 60 seconds"));
            }
            for event in events.drain(..) {
                let index = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                self.read(index)?;
            }
        }
        self.seen.wall = self.started.elapsed().as_secs_f64();
        Ok(self.seen)
    }

    fn ask(&mut self, index: usize) -> io::Result<()> {
        if self.asked == self.total {
            return Ok(());
        }
        let wanted = (self.request)(self.asked);
        self.asked += 1;
        let connection = &mut self.connections[index];
        connection.asked = Instant::now();
        connection.has_body_byte = false;
        connection.position = wanted.range.as_ref().map_or(0, |range| range.start);
        connection.wanted = wanted;
        connection.stream.write_all(connection.wanted.head().as_bytes())
    }

    fn read(&mut self, index: usize) -> io::Result<()> {
        loop {
            let connection = &mut self.connections[index];
            let count = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Err(io::Error::other("connection closed by the server")),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let body = match connection.remaining {
                Some(_) => count,
                None => match connection.take_head(&self.buffer[..count])? {
                    Some(body) => body,
                    None => continue,
                },
            };
            let remaining = connection.remaining.unwrap_or(0);
            let left =
                remaining.checked_sub(body as u64).ok_or_else(|| io::Error::other("too many bytes"))?;
            connection.check(&self.buffer[count - body..count])?;
            self.seen.bytes += body as u64;
            if body > 0 && !connection.has_body_byte {
                connection.has_body_byte = true;
                self.seen.first_bytes.push(self.started.elapsed().as_secs_f64());
            }
            if left > 0 {
                connection.remaining = Some(left);
                if count < READ_SIZE {
                    return Ok(());
                }
                continue;
            }
            connection.remaining = None;
            self.seen.latencies.push(connection.asked.elapsed().as_secs_f64());
            self.answered += 1;
            return self.ask(index);
        }
    }
}

impl Connection {
    /// Judges the next bytes of the body.
    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !(self.wanted.is_right)(self.position, bytes) {
            let place = self.position;
            return Err(io::Error::other(format!("{}: wrong bytes at or after {place}", self.wanted.path)));
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Collects the head; once it is whole, notes the body's length and says how many bytes of it came along.
    fn take_head(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.head.extend_from_slice(bytes);
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
            if self.head.len() > MAX_HEAD {
                return Err(io::Error::other("head too long"));
            }
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&self.head[..end]).to_ascii_lowercase();
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let is_right = match &self.wanted.range {
            None => text.starts_with("http/1.1 200"),
            Some(range) => {
                let place = format!("bytes {}-{}/", range.start, range.end.saturating_sub(1));
                text.starts_with("http/1.1 206")
                    && field("content-range:").is_some_and(|value| value.starts_with(&place))
            }
        };
        if !is_right {
            return Err(io::Error::other(format!("not what was asked for: {text}")));
        }
        let length = field("content-length:")
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| io::Error::other("no content-length"))?;
        let body = self.head.len() - end - 4;
        self.head.clear();
        self.remaining = Some(length);
        Ok(Some(body))
    }
}
