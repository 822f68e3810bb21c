//! Tunnels, direct and through proxies.

use super::*;
use crate::ProxySettings;
use cache::Tunnel;
use testkit::origin::BlackHole;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

impl Bench {
    async fn open(&self, host: &str, port: u16) -> Result<Tunnel, Error> {
        guarded("a tunnel", self.http.open(host, port)).await
    }

    async fn no_tunnel(&self, host: &str, port: u16) -> Error {
        self.open(host, port).await.err().expect("a refusal")
    }
}

/// Sends back what it gets, after its greeting, on every connection.
async fn echo() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"hello ").await.expect("written");
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.expect("copied");
            });
        }
    });
    port
}

#[tokio::test]
async fn bytes_pass_in_both_directions_and_ends_too() {
    let port = echo().await;
    let bench = Bench::new();
    for host in ["files.example", "127.0.0.1", "FILES.example"] {
        let mut tunnel = bench.open(host, port).await.expect("a tunnel");
        tunnel.write_all(b"to you").await.expect("written");
        tunnel.shutdown().await.expect("closed for writing");
        let mut read = String::new();
        guarded("the end", tunnel.read_to_string(&mut read)).await.expect("text");
        assert_eq!(read, "hello to you");
    }
}

#[tokio::test]
async fn the_guard_judges_tunnels() {
    let bench = Bench::resolving(settings(), |host, _| match host {
        "inside.example" => Ok(vec![IpAddr::from([10, 0, 0, 1])]),
        _ => Ok(Vec::new()),
    });
    for host in ["10.0.0.1", "169.254.169.254", "[::1]", "::ffff:10.0.0.1", "0x0a.1", "inside.example"] {
        assert_eq!(bench.no_tunnel(host, 443).await.kind, Kind::OriginForbidden, "{host}");
    }
    assert_eq!(bench.no_tunnel("nowhere.example", 443).await.kind, Kind::OriginUnresolved);
    for host in ["", "a b", "a\r\nb", "user@a", "a:443", "[::1"] {
        assert_eq!(bench.no_tunnel(host, 443).await.kind, Kind::UrlInvalid, "{host:?}");
    }
}

#[tokio::test]
async fn opening_is_bounded() {
    let hole = BlackHole::start().await;
    let port = Url::parse(&hole.url("/")).expect("a URL").port().expect("a port");
    let short = Duration::from_millis(200);
    let bench = Bench::with(Settings { connect_timeout: short, ..settings() });
    assert_eq!(bench.no_tunnel("files.example", port).await.kind, Kind::OriginTimeout);
    let port = Origin::start().await.stop().await.port();
    assert_eq!(bench.no_tunnel("files.example", port).await.kind, Kind::OriginUnreachable);
}

#[tokio::test]
async fn a_tunnel_holds_a_place_until_it_is_dropped() {
    let port = echo().await;
    let bench = Bench::with(Settings { max_connections_per_host: 1, max_queue_per_host: 0, ..settings() });
    let tunnel = bench.open("files.example", port).await.expect("a tunnel");
    assert_eq!(bench.no_tunnel("files.example", port).await.kind, Kind::OriginQueueFull);
    drop(tunnel);
    bench.open("files.example", port).await.expect("the place is free again");
}

#[tokio::test]
async fn a_tunnel_goes_through_the_proxy_of_https() {
    let (proxy, served) = tunnel_proxy(b"HTTP/1.1 200 OK\r\n\r\nhello").await;
    // Its end is that of the tunnel.
    let served = tokio::spawn(async move { served.await.expect("no panic").0 });
    let pair = ("https_proxy".to_owned(), format!("http://u:p@{proxy}"));
    let proxies = ProxySettings::from_env([pair]).expect("a proxy");
    let bench = Bench::with(Settings { proxies, ..settings() });
    let mut tunnel = bench.open("files.example", 8443).await.expect("a tunnel");
    let mut read = String::new();
    guarded("the end", tunnel.read_to_string(&mut read)).await.expect("text");
    assert_eq!(read, "hello");
    let head = guarded("the proxy", served).await.expect("no panic");
    assert!(head.starts_with("CONNECT files.example:8443 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic dTpw\r\n"), "{head}");
    assert_eq!(bench.no_tunnel("10.0.0.1", 443).await.kind, Kind::OriginForbidden);
}
