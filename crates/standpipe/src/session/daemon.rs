//! Going to the background without `fork`, which a program with threads cannot do safely: this process starts its own
//! program once more and waits. The second one has the first one's stderr until everything is open, then says so through
//! its stdout, a pipe to the first, and lets go of the terminal.
//!
//! ```text
//! first:  start the second ─ wait for a byte or the end of the pipe ─► 0, or 1 when it ended without a byte
//! second: own session ─ bind ─ cwd "/" ─ pidfile, user ─ byte ─ std streams to the null device ─ serve
//! ```
//!
//! So the first process ends only when clients can connect, and with an error when they never will.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::arguments::DETACHED;

/// Starts the second process; returns once it serves.
pub(super) fn start() -> Result<(), String> {
    let mut words = env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).arg(format!("--{DETACHED}")).stdout(Stdio::piped());
    let mut second = command.spawn().map_err(|error| format!("the daemon cannot start: {error}"))?;
    let mut ready = Vec::new();
    if let Some(mut pipe) = second.stdout.take() {
        // Broken or at its end: the same.
        let _ = pipe.read_to_end(&mut ready);
    }
    if ready.is_empty() {
        // It has said why.
        let _ = second.wait();
        return Err("the daemon did not start".to_owned());
    }
    Ok(())
}

/// In the second process, at its start: away from the first one's terminal.
pub(super) fn leave_session() -> Result<(), String> {
    rustix::process::setsid().map(drop).map_err(|error| format!("no session of its own: {error}"))
}

/// In the second process: everything is open. The standard streams are closed, the first process ends.
pub(super) fn ready() -> Result<(), String> {
    let redirect = || -> io::Result<()> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let mut pipe = io::stdout().lock();
        pipe.write_all(b"\n")?;
        pipe.flush()?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        Ok(())
    };
    redirect().map_err(|error| format!("the terminal cannot be left: {error}"))
}
