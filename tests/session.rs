//! The session programs of the built binary under their classic names, and a raw peer that speaks the protocol in bytes.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ExitStatus, Output as Ended, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::guarded;
use testkit::node::{Output, binary, command};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

/// What a program says when it is open.
const READY: &str = "listening on ";

/// A running dc_server, dc_client or dc_snoop; killed when dropped.
pub struct Running {
    child: Child,
    /// Where it listens, with the port that was free.
    pub address: String,
    stderr: Output,
}

/// The binary called by this name, in a clean environment.
pub fn called(name: &str, args: &[&str]) -> Command {
    let mut called = command();
    called.arg0(Path::new("/usr/bin").join(name)).args(args);
    called
}

/// Starts a program and waits until it listens; panics with its words when it ends before.
pub async fn start(name: &str, args: &[&str]) -> Running {
    Running::start_until(name, args, READY).await
}

/// A dc_server with room for 60 000 sessions.
pub async fn server(listen: &str) -> Running {
    start("dc_server", &["-listen", listen, "-sessions", "60000"]).await
}

/// A dc_client that tries again every 20 ms.
pub async fn client(listen: &str, server: &str) -> Running {
    let args = ["-listen", listen, "-server", server, "-retry", "20", "--metrics", "127.0.0.1:0"];
    start("dc_client", &args).await
}

/// A redis-server on a socket; killed when dropped. `None` when there is no such program, which CI does not accept.
pub async fn redis(directory: &Path) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
    command.arg(directory.join("redis")).arg("--dir").arg(directory);
    let child = match command.stdout(Stdio::null()).kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: redis-server: {error}");
            return None;
        }
        Err(error) => panic!("redis-server: {error}"),
    };
    let path = directory.join("redis").display().to_string();
    let open = async {
        while Peer::try_connect(&format!("UNIX:{path}")).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    guarded("redis-server to listen", open).await;
    Some(child)
}

/// The URL of that redis-server, and the file of a key to seal sessions with.
pub fn redis_store(directory: &Path) -> [String; 2] {
    let key = directory.join("key");
    fs::write(&key, "5a".repeat(32)).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("ours");
    [format!("redis+unix://{}", directory.join("redis").display()), key.display().to_string()]
}

/// Runs a program to its end.
pub async fn run(name: &str, args: &[&str]) -> Ended {
    guarded(&format!("{name} {args:?} to end"), called(name, args).output()).await.expect("the binary runs")
}

/// What it said on stderr.
pub fn said(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

/// Runs dc_test against an address and panics unless it passes.
pub async fn passes(address: &str, args: &[&str]) {
    let all = [&["-connect", address, "-timeout", "3600"], args].concat();
    let ended = run("dc_test", &all).await;
    assert!(ended.status.success(), "dc_test {all:?}:\n{}", said(&ended));
}

/// `UNIX:` and a name in the directory.
pub fn unix(directory: &Path, name: &str) -> String {
    format!("UNIX:{}", directory.join(name).display())
}

/// The path of the binary, for tests that make links.
pub fn program() -> std::path::PathBuf {
    binary()
}

impl Running {
    /// Starts a program and waits until it says these words; panics with all it said when it ends before. What follows
    /// the words is taken for its address.
    pub async fn start_until(name: &str, args: &[&str], words: &str) -> Self {
        let mut called = called(name, args);
        let mut child = called.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stderr = Output::collect(child.stderr.take().expect("piped"));
        let wanted = [words];
        let line = tokio::select! {
            line = stderr.line_with(&wanted) => line,
            status = child.wait() => panic!("{name} ended with {status:?}:\n{}", stderr.rest().await),
        };
        let address = line.split_once(words).map_or("", |(_, address)| address).to_owned();
        Self { child, address, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(pid(self.pid()), signal).expect("the process runs");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        guarded("the program to end", self.child.wait()).await.expect("a child of this process")
    }

    /// SIGKILL, as a crash would have it.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process runs");
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Its metrics; it must have been started with `--metrics`.
    pub async fn metrics(&self) -> String {
        testkit::client::get(self.metrics_address().await, "/metrics").await.expect(200).text()
    }

    /// Where it serves them.
    pub async fn metrics_address(&self) -> SocketAddr {
        let line = self.says(&["metrics on http://"]).await;
        let address = line.split_once("http://").map_or("", |(_, rest)| rest).trim_end_matches("/metrics");
        address.parse().unwrap_or_else(|_| panic!("an address in {line}"))
    }

    /// Waits until a dc_client has noticed that its server is connected: a moment after the server has.
    pub async fn connected(&self) {
        let line = "standpipe_session_proxy_connected 1";
        let connected = async { while !self.metrics().await.lines().any(|shown| shown == line) {} };
        guarded("the proxy to find its server", connected).await;
    }

    /// Waits until it says a line with all of these words.
    pub async fn says(&self, words: &[&str]) -> String {
        self.stderr.line_with(words).await
    }

    /// All it said so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

/// The process with this id.
pub fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).expect("a process id")
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection to a program, or from one; speaks bytes.
pub struct Peer(Box<dyn Stream>);

impl Peer {
    /// Connects to `UNIX:path` or `IP:host:port`.
    pub async fn connect(address: &str) -> Self {
        guarded(&format!("a connection to {address}"), Self::try_connect(address)).await.expect("connects")
    }

    /// Connects where maybe nobody listens.
    pub async fn try_connect(address: &str) -> Option<Self> {
        if let Some(path) = address.strip_prefix("UNIX:") {
            return UnixStream::connect(path).await.ok().map(Self::from);
        }
        let at = address.strip_prefix("IP:").expect("UNIX: or IP:");
        let stream = TcpStream::connect(at).await.ok()?;
        stream.set_nodelay(true).expect("an option");
        Some(Self(Box::new(stream)))
    }

    /// Sends all of it.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        guarded("room to send", self.0.write_all(bytes.as_ref())).await.expect("the peer listens");
    }

    /// Sends what it can: the other side may close on the way.
    pub async fn send_to_deaf_ears(&mut self, bytes: impl AsRef<[u8]>) {
        let _closed = guarded("room to send", self.0.write_all(bytes.as_ref())).await;
    }

    /// No more will be sent.
    pub async fn finish(&mut self) {
        guarded("the end to be sent", self.0.shutdown()).await.expect("the peer listens");
    }

    /// So many bytes.
    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        guarded(&format!("{count} bytes"), self.0.read_exact(&mut bytes)).await.expect("bytes, not the end");
        bytes
    }

    /// Panics unless exactly these bytes come next.
    #[track_caller]
    pub fn expect<'a>(&'a mut self, bytes: &'a [u8]) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let taken = self.take(bytes.len()).await;
            assert!(taken == bytes, "{caller}: expected {bytes:02x?}, found {taken:02x?}");
        }
    }

    /// Everything until the other side closes. A reset is an end too.
    pub async fn rest(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _reset = guarded("the end", self.0.read_to_end(&mut bytes)).await;
        bytes
    }

    /// One request, one answer of a single byte.
    pub async fn status(&mut self, request: &[u8]) -> u8 {
        self.send(request).await;
        let reply = self.take(15).await;
        assert_eq!(reply[12..14], [0, 1], "a single byte: {reply:02x?}");
        reply[14]
    }
}

impl From<UnixStream> for Peer {
    fn from(stream: UnixStream) -> Self {
        Self(Box::new(stream))
    }
}

/// Hexadecimal digits, spaces between them as one likes.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits")).collect()
}

/// A frame as a client sends it: the last of its message unless `complete` says otherwise.
pub fn frame(uid: u32, operation: u8, complete: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a frame's data");
    [&hex("0011000000"), &uid.to_be_bytes()[..], &[0, operation, complete], &length.to_be_bytes(), data]
        .concat()
}

/// An ADD that fits one frame.
pub fn add(uid: u32, timeout_ms: u32, id: &[u8], session: &[u8]) -> Vec<u8> {
    let id_length = u32::try_from(id.len()).expect("an id");
    frame(uid, 0, 1, &[&timeout_ms.to_be_bytes(), &id_length.to_be_bytes()[..], id, session].concat())
}

/// A GET.
pub fn get(uid: u32, id: &[u8]) -> Vec<u8> {
    frame(uid, 1, 1, id)
}

/// A REMOVE.
pub fn remove(uid: u32, id: &[u8]) -> Vec<u8> {
    frame(uid, 2, 1, id)
}

/// A HAVE.
pub fn have(uid: u32, id: &[u8]) -> Vec<u8> {
    frame(uid, 3, 1, id)
}
