//! The least that a proxy can do: one thread that waits with `poll` and hands bytes on between two sockets, without a look
//! at them. One client at a time, whose requests a real server answers, so that test and server are those of the rows
//! beside it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::programs;
use crate::cpu;

/// Nothing from anybody for so long: the test has failed.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// What was seen.
pub(super) struct Seen {
    pub(super) per_second: f64,
    /// The proxy's, in microseconds for each operation.
    pub(super) cpu: f64,
}

/// A test through the proxy, over both cores.
pub(super) fn measure(folder: &Path, server: &str, operations: u64, test: &[&str]) -> Result<Seen, String> {
    cpu::pin_self(cpu::BOTH_CORES)?;
    let path = folder.join("relay");
    let result = run(&path, server, || programs::test(&format!("UNIX:{}", path.display()), operations, test));
    cpu::pin_self(cpu::LOAD_CORE)?;
    let (per_second, seconds) = result.map_err(|error| format!("bare proxy: {error}"))?;
    Ok(Seen { per_second, cpu: seconds * 1e6 / operations as f64 })
}

/// What the load returns, and the proxy's CPU seconds meanwhile.
fn run(path: &Path, server: &str, load: impl FnOnce() -> Result<f64, String>) -> Result<(f64, f64), String> {
    let (listener, server) = open(path, server).map_err(|error| error.to_string())?;
    thread::scope(|scope| {
        let relaying = scope.spawn(|| relay(&listener, &server));
        let per_second = load();
        // Ends the proxy.
        let _gone = server.shutdown(Shutdown::Both);
        let seconds = relaying.join().map_err(|_| "it panicked")?.map_err(|error| error.to_string())?;
        Ok((per_second?, seconds))
    })
}

fn open(path: &Path, server: &str) -> io::Result<(UnixListener, TcpStream)> {
    let _none = fs::remove_file(path);
    let at = server.strip_prefix("IP:").ok_or(io::ErrorKind::InvalidInput)?;
    let server = TcpStream::connect(at)?;
    server.set_nodelay(true)?;
    Ok((UnixListener::bind(path)?, server))
}

/// Until the server is gone; its CPU seconds.
fn relay(listener: &UnixListener, mut server: &TcpStream) -> io::Result<f64> {
    let before = cpu::of_this_thread();
    let mut open: Option<UnixStream> = None;
    let mut buffer = [0; 4096];
    loop {
        let fd = open.as_ref().map_or(listener.as_fd(), AsFd::as_fd);
        let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::IN), PollFd::new(server, PollFlags::IN)];
        if poll(&mut polled, Some(&PATIENCE))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let [asked, answered] = polled.map(|each| !each.revents().is_empty());
        if answered {
            let count = server.read(&mut buffer)?;
            if count == 0 {
                return Ok(cpu::of_this_thread() - before);
            }
            if let Some(client) = &mut open {
                client.write_all(&buffer[..count])?;
            }
        }
        if !asked {
            continue;
        }
        let Some(client) = &mut open else {
            open = Some(listener.accept()?.0);
            continue;
        };
        match client.read(&mut buffer)? {
            0 => open = None,
            count => server.write_all(&buffer[..count])?,
        }
    }
}
