//! TLS listeners: names, protocols, changed files.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// Certificates for some names, in files, and who trusts them.
struct Files {
    directory: tempfile::TempDir,
    roots: RootCertStore,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), roots: RootCertStore::empty() }
    }

    fn write(&mut self, file: &str, name: &str) -> CertificateFiles {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        let path = |end: &str| self.directory.path().join(format!("{file}.{end}"));
        let files = CertificateFiles { chain: path("pem"), key: path("key") };
        write(&files.chain, &made.cert.pem());
        write(&files.key, &made.signing_key.serialize_pem());
        self.roots.add(made.cert.der().clone()).expect("a root");
        files
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

async fn connect(
    server: &Running,
    files: &Files,
    name: &str,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(files.roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let socket = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

async fn status(server: &Running, files: &Files, name: &str, protocol: &str) -> http::StatusCode {
    let stream = connect(server, files, name, protocol).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    let request = http::Request::get(format!("https://{name}/api/v1/status/")).header("host", name);
    if protocol == "h2" {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.expect("HTTP/2");
        tokio::spawn(connection);
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).expect("valid")).await;
        return response.expect("an answer").status();
    }
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    let request = http::Request::get("/api/v1/status/").header("host", name);
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).expect("valid")).await;
    let response = response.expect("an answer");
    let status = response.status();
    response.into_body().collect().await.expect("a whole body");
    status
}

#[tokio::test]
async fn each_name_has_its_certificate_and_both_protocols_are_spoken() {
    let mut files = Files::new();
    let certificates = [files.write("a", "a.example"), files.write("b", "b.example")];
    let server = Running::with_tls(Certificates::load(certificates.into()).expect("right"));
    for name in ["a.example", "b.example"] {
        for protocol in ["h2", "http/1.1"] {
            assert_eq!(status(&server, &files, name, protocol).await, 200, "{name} {protocol}");
        }
    }
    // Another name gets the first certificate, which is not for it.
    assert!(connect(&server, &files, "c.example", "h2").await.is_err());
    let counted = async {
        while !server.metrics().contains("standpipe_tls_handshake_errors_total 1") {
            tokio::task::yield_now().await;
        }
    };
    guarded("the failed handshake to be counted", counted).await;
}

#[tokio::test]
async fn what_is_no_tls_is_not_answered() {
    let mut files = Files::new();
    let server = Running::with_tls(Certificates::load(vec![files.write("a", "a.example")]).expect("right"));
    let mut client = Client::connect(server.address).await;
    client.start("GET", "/api/v1/status/", &[]).await;
    assert_eq!(client.response("GET").await.status, 0);
}

#[tokio::test]
async fn long_answers_are_exact_over_tls() {
    let mut files = Files::new();
    let server = Running::with_tls(Certificates::load(vec![files.write("a", "a.example")]).expect("right"));
    let stream = connect(&server, &files, "a.example", "http/1.1").await.expect("a handshake");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::get("/http://origin.example/long").header("host", "a.example");
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).expect("valid")).await;
        let body = response.expect("an answer").into_body().collect().await.expect("whole").to_bytes();
        assert!(
            body.len() == crate::fetch::fake::LONG && body.iter().all(|byte| *byte == b'x'),
            "{}",
            body.len()
        );
    }
}

#[tokio::test]
async fn changed_files_are_taken_and_bad_ones_are_not() {
    let mut files = Files::new();
    let certificates = Certificates::load(vec![files.write("a", "a.example")]).expect("right");
    let server = Running::with_tls(certificates.clone());
    assert!(connect(&server, &files, "new.example", "h2").await.is_err());
    let changed = files.write("a", "new.example");
    certificates.reload().expect("right");
    assert_eq!(status(&server, &files, "new.example", "h2").await, 200);
    write(&changed.key, "nothing");
    let problem = certificates.reload().expect_err("no key").detail;
    assert!(problem.contains("a.key"), "{problem}");
    assert_eq!(status(&server, &files, "new.example", "http/1.1").await, 200);
}

#[test]
fn tickets_are_given_unless_sessions_are_kept() {
    let mut files = Files::new();
    let certificates = Certificates::load(vec![files.write("a", "a.example")]).expect("right");
    assert!(certificates.server(None).ticketer.enabled());
    let sessions: Arc<dyn StoresServerSessions> = ServerSessionMemoryCache::new(8);
    let config = certificates.server(Some(&sessions));
    assert!(!config.ticketer.enabled() && Arc::ptr_eq(&config.session_storage, &sessions));
}

#[test]
fn certificates_that_cannot_be_used_are_refused_by_file() {
    let mut files = Files::new();
    let (one, other) = (files.write("a", "a.example"), files.write("b", "b.example"));
    let problem = |files| Certificates::load(files).map(drop).expect_err("refused").detail;
    let mixed = CertificateFiles { chain: one.chain.clone(), key: other.key };
    assert!(problem(vec![mixed]).contains("b.key"));
    assert!(problem(vec![CertificateFiles { chain: "/nowhere".into(), key: one.key }]).contains("/nowhere"));
    assert!(problem(Vec::new()).contains("no certificate"));
}
