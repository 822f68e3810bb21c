//! The session programs of the release binary: a server, a client before it, and the test that loads them.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::{cpu, servers};

/// What a program says when it is open, before its address.
const READY: &str = "listening on ";

/// A running program.
pub(super) struct Program {
    /// Where it listens, with the port that was free.
    pub(super) address: String,
    child: Child,
    /// Held open, unread: it says little.
    _stderr: BufReader<ChildStderr>,
}

/// How many threads serve.
#[derive(Clone, Copy)]
pub(super) enum Threads {
    One,
    /// One for each core that the server may use.
    EveryCore,
}

impl Program {
    /// `standpipe session serve`.
    pub(super) fn server(listen: &str, cores: &str, threads: Threads, more: &[&str]) -> Result<Self, String> {
        let mut command = session("serve", cores);
        command.args(["--listen", listen]).args(more);
        match threads {
            Threads::One => command.args(["--threads", "1"]),
            Threads::EveryCore => &mut command,
        };
        Self::start(command)
    }

    /// `standpipe session client` before a server.
    pub(super) fn client(listen: &str, server: &str, cores: &str) -> Result<Self, String> {
        let mut command = session("client", cores);
        command.args(["--listen", listen, "--server", server]);
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?} cannot be started: {error}"))?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        let mut said = String::new();
        loop {
            let before = said.len();
            let count = stderr.read_line(&mut said).map_err(|error| error.to_string())?;
            if count == 0 {
                let _ended = child.wait();
                return Err(format!("{command:?} ended at its start:\n{said}"));
            }
            if let Some((_, address)) = said[before..].trim_end().split_once(READY) {
                return Ok(Self { address: address.to_owned(), child, _stderr: stderr });
            }
        }
    }

    /// Lets it and the load go before everything else, or no longer.
    pub(super) fn prefer(&self, priority: cpu::Priority) {
        cpu::prefer(self.child.id(), priority);
    }

    /// CPU seconds used so far.
    pub(super) fn cpu(&self) -> f64 {
        cpu::seconds(self.child.id())
    }

    /// Bytes of memory that it has for itself.
    pub(super) fn memory(&self) -> u64 {
        cpu::anonymous(self.child.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Runs so many operations, each checked, on both cores; operations a second.
pub(super) fn test(address: &str, operations: u64, more: &[&str]) -> Result<f64, String> {
    let mut command = session("test", cpu::BOTH_CORES);
    command.args(["--connect", address, "--timeout", "600", "--ops", &operations.to_string(), "--json"]);
    let output = command.args(more).stderr(Stdio::piped()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("no JSON: {error}"))?;
    report["operations_per_second"].as_f64().ok_or_else(|| format!("no rate in {report}"))
}

fn session(program: &str, cores: &str) -> Command {
    let mut command = servers::pinned(cores, &servers::binary());
    command.args(["session", program]);
    command
}
