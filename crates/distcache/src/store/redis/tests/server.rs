//! A redis-server of one's own, in a directory of its own; ends with the test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) struct RedisServer {
    arguments: Vec<String>,
    url: String,
    running: Option<Running>,
    directory: TempDir,
}

struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl RedisServer {
    /// On a unix socket.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        let mut server = Self::down(more);
        server.restart();
        server
    }

    /// On a unix socket, one day.
    pub(crate) fn down(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("redis.sock").display().to_string();
        let mut arguments =
            vec!["--port".to_owned(), "0".to_owned(), "--unixsocket".to_owned(), socket.clone()];
        arguments.extend(more.iter().map(|more| (*more).to_owned()));
        Self { arguments, url: format!("redis+unix://{socket}"), running: None, directory }
    }

    /// On ports that are free now; whoever takes one first costs another try. `configure` says what to do with a port
    /// and another.
    pub(crate) fn start_on_ports(scheme: &str, configure: impl Fn(&Path, u16, u16) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut server = Self { arguments: Vec::new(), url: String::new(), running: None, directory };
        for _ in 0..20 {
            let (port, other) = (free_port(), free_port());
            server.arguments = configure(server.directory.path(), port, other);
            server.url = format!("{scheme}://localhost:{port}");
            if server.try_restart() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it with SIGKILL, if it runs.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.process.kill().expect("it ran");
            running.process.wait().expect("it ran");
        }
    }

    /// Starts it again, with nothing in it.
    pub(crate) fn restart(&mut self) {
        assert!(self.try_restart(), "redis-server does not start");
    }

    /// Stops or continues it: it is there and does nothing.
    pub(crate) fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("it runs");
        kill_process(Pid::from_child(&running.process), signal).expect("it runs");
    }

    /// Waits until it says so in its log.
    pub(crate) fn wait_for(&mut self, words: &str) -> bool {
        let output = &mut self.running.as_mut().expect("it runs").output;
        output.lines().map_while(Result::ok).any(|line| line.contains(words))
    }

    fn try_restart(&mut self) -> bool {
        self.kill();
        let mut command = Command::new("redis-server");
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(self.directory.path());
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("redis-server is needed: apt-get install redis-server");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        self.running = Some(Running { process, output });
        // The words differ a little between ports and unix sockets.
        self.wait_for("eady to accept connections")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}
