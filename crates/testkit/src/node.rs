//! [`Node`]: the built binary, running with a store of its own on a free port.
//!
//! Owns the process and its temporary directory; dropping it kills the process. The environment's proxy settings and
//! `STANDPIPE_*` never reach it unless a test sets them.

mod binary;
mod output;

pub use binary::binary;
pub use output::Output;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::client::{self, Client, Field, Response};
use crate::guarded;

/// What the server prints when it listens.
const READY: &str = "standpipe listening on http://";

/// A running server.
pub struct Node {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
    stdout: Output,
    stderr: Output,
}

/// How a [`Node`] is started.
pub struct Builder {
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    config: Option<String>,
    allow_loopback: Loopback,
    directory: TempDir,
}

/// Whether the server may fetch from this machine.
enum Loopback {
    Allowed,
    Refused,
}

impl Node {
    /// A server with a store in a temporary directory that may fetch from 127.0.0.0/8.
    pub fn builder() -> Builder {
        Builder {
            args: Vec::new(),
            environment: Vec::new(),
            config: None,
            allow_loopback: Loopback::Allowed,
            directory: TempDir::new().expect("a temporary directory"),
        }
    }

    /// Starts the default of [`Self::builder`].
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// The temporary directory; the store is `store` in it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Everything it has printed on stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Everything it has logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until a log line contains all of `words`, and returns it.
    pub async fn logged(&self, words: &[&str]) -> String {
        self.stderr.line_with(words).await
    }

    /// A connection to it.
    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// GET of a path of its own.
    pub async fn get(&self, target: &str) -> Response {
        client::get(self.address, target).await
    }

    /// Any request for a path of its own.
    pub async fn request(&self, method: &str, target: &str, fields: &[Field<'_>]) -> Response {
        client::request(self.address, method, target, fields).await
    }

    /// GET of a URL through the fetch door.
    pub async fn fetch(&self, url: &str) -> Response {
        self.get(&fetch_target(url, "")).await
    }

    /// GET of a URL through the fetch door, with fields.
    pub async fn fetch_with(&self, url: &str, fields: &[Field<'_>]) -> Response {
        client::get_with(self.address, &fetch_target(url, ""), fields).await
    }

    /// HEAD of a URL through the fetch door.
    pub async fn fetch_head(&self, url: &str) -> Response {
        client::head(self.address, &fetch_target(url, "")).await
    }

    /// Panics unless the server still answers, and its health says ok.
    pub async fn assert_alive(&self) {
        let health = self.get("/api/v1/health/").await.expect(200);
        assert_eq!(health.text().trim(), "ok", "log:\n{}", self.stderr());
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid =
            i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the process runs");
    }

    /// SIGKILL, as a crash would have it, and waits for the end.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the process runs");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        guarded("the server to end", self.child.wait()).await.expect("a child of this process")
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(mut self) -> ExitStatus {
        self.terminate();
        self.ended().await
    }
}

impl Builder {
    /// One more command line argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More command line arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// A configuration file with this text.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// Leaves the address guard as it is by default: loopback is refused.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.allow_loopback = Loopback::Refused;
        self
    }

    /// The temporary directory, before the start.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the server and waits until it listens; panics with its log when it ends before.
    pub async fn start(self) -> Node {
        let mut command = self.command();
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stdout = Output::collect(child.stdout.take().expect("stdout is piped"));
        let stderr = Output::collect(child.stderr.take().expect("stderr is piped"));
        let ready = tokio::select! {
            line = stdout.line_with(&[READY]) => line,
            status = child.wait() => panic!("the server ended with {status:?}:\n{}", stderr.rest().await),
        };
        let at = ready.find(READY).map_or(0, |at| at + READY.len());
        let address =
            ready[at..].trim_end_matches('/').parse().unwrap_or_else(|_| panic!("address in {ready:?}"));
        Node { child, address, directory: self.directory, stdout, stderr }
    }

    fn command(&self) -> Command {
        let mut command = command();
        if let Some(toml) = &self.config {
            let path = self.directory.path().join("standpipe.toml");
            std::fs::write(&path, toml).expect("a writable temporary directory");
            command.arg("--config").arg(path);
        }
        let is_set = |flag: &str| self.args.iter().any(|arg| arg.to_string_lossy().starts_with(flag));
        if !is_set("--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !is_set("--store-directory") {
            command.arg("--store-directory").arg(self.directory.path().join("store"));
        }
        if matches!(self.allow_loopback, Loopback::Allowed) {
            command.args(["--allow-origin", "127.0.0.0/8"]);
        }
        command.args(&self.args).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The binary with a clean environment, to be run with arguments of the test's choice.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("STANDPIPE_") || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the binary to its end with these arguments.
pub async fn run<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> std::process::Output {
    let mut command = command();
    command.args(args.into_iter().map(Into::into));
    guarded("the command to end", command.output()).await.expect("the binary runs")
}

/// The fetch door's path for a URL: percent-encoded as Python's `quote_plus` does, with more parameters
/// (`"&ttl=1h"`) appended.
pub fn fetch_target(url: &str, more: &str) -> String {
    format!("/api/v1/fetch?url={}{more}", quote_plus(url))
}

/// Python's `urllib.parse.quote_plus`, as LAVA applies it to URLs.
pub fn quote_plus(text: &str) -> String {
    let mut quoted = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => quoted.push('+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                quoted.push(char::from(byte))
            }
            _ => quoted.push_str(&format!("%{byte:02X}")),
        }
    }
    quoted
}

/// The repository's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
