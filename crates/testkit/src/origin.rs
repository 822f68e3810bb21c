//! [`Origin`]: a scripted origin on a free loopback port that speaks raw bytes.
//!
//! Owns its listener, its routes and a record of everything that came. It answers exactly as the script of the path
//! says, right or wrong: no HTTP library stands between a test and the wire. It deliberately does no TLS and no
//! HTTP/2. Dropping it ends every connection.

mod gate;
mod object;
mod request;
mod script;
#[cfg(test)]
mod tests;

pub use gate::Gate;
pub use object::{Framing, Object, Ranges};
pub use request::Request;
pub use script::{End, Script, Step};

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::guarded;

/// Chooses the script for a request; the number says how many came to this route before.
type Chooser = Arc<dyn Fn(&Request, usize) -> Script + Send + Sync>;

/// A scripted origin.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: tokio::task::JoinHandle<()>,
}

struct Shared {
    routes: Mutex<HashMap<String, Chooser>>,
    log: watch::Sender<Log>,
}

#[derive(Default)]
struct Log {
    connections: usize,
    requests: Vec<Request>,
}

impl Origin {
    /// Listens on 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into()).await
    }

    /// Listens on another local address, say 127.0.0.2 or ::1.
    pub async fn start_on(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("a free port on a local address");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { routes: Mutex::default(), log: watch::Sender::new(Log::default()) });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, acceptor }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path (with its leading slash).
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers every request for `path` by this script. With a `?` in it the query must match too, else any query
    /// does. Replaces an earlier route; other paths get 404.
    pub fn route(&self, path: &str, script: impl Into<Script>) {
        let script = script.into();
        self.route_with(path, move |_, _| script.clone());
    }

    /// Answers the first request by the first script and so on; the last one repeats.
    pub fn route_each(&self, path: &str, scripts: Vec<Script>) {
        self.route_with(path, move |_, before| scripts[before.min(scripts.len() - 1)].clone());
    }

    /// Lets `choose` pick the script for each request; its number says how many came for this path before.
    pub fn route_with(&self, path: &str, choose: impl Fn(&Request, usize) -> Script + Send + Sync + 'static) {
        self.shared.routes.lock().insert(path.to_owned(), Arc::new(choose));
    }

    /// Everything that came, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.borrow().requests.clone()
    }

    /// Forgets everything that came: for long runs, whose record would grow for ever.
    pub fn forget(&self) {
        self.shared.log.send_modify(|log| log.requests.clear());
    }

    /// What came for a path, whatever the query, unless `path` has one.
    pub fn requests_for(&self, path: &str) -> Vec<Request> {
        self.shared.log.borrow().requests_for(path).cloned().collect()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.log.borrow().connections
    }

    /// Waits until `n` requests have come in all.
    pub async fn request_seen(&self, n: usize) {
        self.wait("requests at the origin", |log| log.requests.len() >= n).await;
    }

    /// Waits until `n` requests have come for a path.
    pub async fn request_seen_for(&self, path: &str, n: usize) {
        self.wait("requests for the path at the origin", |log| log.requests_for(path).count() >= n).await;
    }

    /// Waits until `n` connections were accepted.
    pub async fn connection_seen(&self, n: usize) {
        self.wait("connections at the origin", |log| log.connections >= n).await;
    }

    /// Stops listening and ends every connection: from now on the port refuses. Returns what it was.
    pub async fn stop(mut self) -> SocketAddr {
        self.acceptor.abort();
        let _aborted = (&mut self.acceptor).await;
        self.address
    }

    async fn wait(&self, what: &str, condition: impl FnMut(&Log) -> bool) {
        let mut changes = self.shared.log.subscribe();
        guarded(what, changes.wait_for(condition)).await.expect("the origin holds the sender");
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Log {
    fn requests_for(&self, path: &str) -> impl Iterator<Item = &Request> {
        let whole = path.contains('?');
        self.requests
            .iter()
            .filter(move |request| path == if whole { request.path_and_query() } else { request.path() })
    }
}

/// The acceptor owns the connections: with it they end.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let mut index = 0;
        shared.log.send_modify(|log| {
            index = log.connections;
            log.connections += 1;
        });
        let shared = Arc::clone(&shared);
        connections.spawn(async move { serve(stream, index, &shared).await });
        while connections.try_join_next().is_some() {}
    }
}

/// One connection. A client that goes away in the middle ends it quietly.
async fn serve(mut stream: TcpStream, index: usize, shared: &Shared) {
    let mut buffer = Vec::new();
    while let Some(request) = Request::read(&mut stream, &mut buffer, index).await {
        let script = shared.choose(&request);
        match script.play(&mut stream, &request).await {
            Ok(End::KeepAlive) => {}
            Ok(End::Close) => return close(stream).await,
            Ok(End::Reset) => {
                let _lost = stream.set_zero_linger();
                return;
            }
            Err(_) => return,
        }
    }
}

/// Sends FIN and waits for the other side's, so that no reset overtakes the last bytes.
async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
    }
}

impl Shared {
    /// Records the request and finds its script.
    fn choose(&self, request: &Request) -> Script {
        let routes = self.routes.lock();
        let (route, path) = match routes.get(request.path_and_query()) {
            Some(route) => (Some(route), request.path_and_query()),
            None => (routes.get(request.path()), request.path()),
        };
        let before = self.log.borrow().requests_for(path).count();
        self.log.send_modify(|log| log.requests.push(request.clone()));
        route.map_or_else(
            || Script::answer("404 Not Found\r\nContent-Type: text/plain", "no such route\n"),
            |route| route(request, before),
        )
    }
}

/// An address that takes SYNs and never completes a connection, as a host behind a dropping firewall.
pub struct BlackHole {
    address: SocketAddr,
    _held: (TcpListener, TcpStream),
}

impl BlackHole {
    /// A listener whose queue is full.
    pub async fn start() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port on 127.0.0.1");
        let listener = socket.listen(0).expect("a listener");
        let address = listener.local_addr().expect("a bound socket has an address");
        let filler = TcpStream::connect(address).await.expect("room for one connection");
        Self { address, _held: (listener, filler) }
    }

    /// The URL of a path (with its leading slash).
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
