//! A small HTTP/1.1 load client on epoll: keep-alive connections that ask, read, discard and ask again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
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

struct Connection {
    stream: TcpStream,
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
    Run::new(address, connections, total, &target)
        .and_then(Run::finish)
        .map_err(|error| format!("load on {address}: {error}"))
}

struct Run<'a> {
    epoll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    target: &'a dyn Fn(u64) -> String,
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
        target: &'a dyn Fn(u64) -> String,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let seen = Seen { wall: 0.0, latencies: Vec::new(), first_bytes: Vec::new(), bytes: 0 };
        let mut run = Self {
            epoll,
            connections: Vec::with_capacity(connections),
            target,
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
        let target = (self.target)(self.asked);
        self.asked += 1;
        let connection = &mut self.connections[index];
        connection.asked = Instant::now();
        connection.has_body_byte = false;
        let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n");
        connection.stream.write_all(request.as_bytes())
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
        if !text.starts_with("http/1.1 200") {
            return Err(io::Error::other(format!("not 200: {}", text.lines().next().unwrap_or_default())));
        }
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| io::Error::other("no content-length"))?;
        let body = self.head.len() - end - 4;
        self.head.clear();
        self.remaining = Some(length);
        Ok(Some(body))
    }
}
