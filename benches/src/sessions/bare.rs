//! The least that a server can do: one thread that waits with `poll`, reads and answers, and understands nothing. What it
//! costs is what the machine costs today; the recorded figures are of another day.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Listen;
use crate::cpu;

/// Bytes of a request and of an answer: about the mean of what the test sends and gets.
const REQUEST: [u8; 320] = [1; 320];
const ANSWER: [u8; 150] = [2; 150];

/// Nothing from the client for so long: it has failed.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// When the client connects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Connect {
    Once,
    ForEach,
}

/// The server's CPU for each of so many exchanges over both cores, in microseconds.
pub(super) fn measure(listen: Listen, connect: Connect, folder: &Path, count: u64) -> Result<f64, String> {
    cpu::pin_self(cpu::BOTH_CORES)?;
    let result = match listen {
        Listen::Unix => unix(&folder.join("bare"), connect, count),
        Listen::Tcp | Listen::Client => tcp(connect, count),
    };
    cpu::pin_self(cpu::LOAD_CORE)?;
    result.map(|seconds| seconds * 1e6 / count as f64).map_err(|error| format!("bare loop: {error}"))
}

fn unix(path: &Path, connect: Connect, count: u64) -> std::io::Result<f64> {
    let _none = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    let client = || UnixStream::connect(path);
    exchange(connect, count, client, || {
        serve(&listener, count, || listener.accept().map(|(stream, _)| stream))
    })
}

fn tcp(connect: Connect, count: u64) -> std::io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = listener.local_addr()?;
    let without_delay = |stream: TcpStream| stream.set_nodelay(true).map(|()| stream);
    let client = || TcpStream::connect(at).and_then(without_delay);
    exchange(connect, count, client, || {
        serve(&listener, count, || listener.accept().and_then(|(stream, _)| without_delay(stream)))
    })
}

/// The client on one thread, the server on another; the server's CPU seconds.
fn exchange<S: Read + Write>(
    connect: Connect,
    count: u64,
    client: impl Fn() -> std::io::Result<S> + Send,
    server: impl FnOnce() -> std::io::Result<f64>,
) -> std::io::Result<f64> {
    thread::scope(|scope| {
        let asking = scope.spawn(move || -> std::io::Result<()> {
            let mut kept = None;
            for _ in 0..count {
                let mut stream = kept.take().map_or_else(&client, Ok)?;
                stream.write_all(&REQUEST)?;
                stream.read_exact(&mut [0; ANSWER.len()])?;
                kept = Some(stream).filter(|_| connect == Connect::Once);
            }
            Ok(())
        });
        let seconds = server()?;
        asking.join().map_err(|_| std::io::Error::other("the client panicked"))??;
        Ok(seconds)
    })
}

/// Serves one connection at a time.
fn serve<S: AsFd + Read + Write>(
    listener: &impl AsFd,
    count: u64,
    accept: impl Fn() -> std::io::Result<S>,
) -> std::io::Result<f64> {
    let before = cpu::of_this_thread();
    let mut open: Option<S> = None;
    let mut answered = 0;
    while answered < count {
        let fd = open.as_ref().map_or(listener.as_fd(), AsFd::as_fd);
        let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        if poll(&mut polled, Some(&PATIENCE))? == 0 {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        let is_ready = !polled[0].revents().is_empty();
        let Some(stream) = &mut open else {
            open = Some(accept()?);
            continue;
        };
        if !is_ready {
            continue;
        }
        if stream.read(&mut [0; 4096])? == 0 {
            open = None;
            continue;
        }
        stream.write_all(&ANSWER)?;
        answered += 1;
    }
    Ok(cpu::of_this_thread() - before)
}
