//! TLS origins with a certificate authority of the test's own (user demand 4c 35).

use std::io::Write as _;

use super::*;
use crate::Versions;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// An https origin for `files.example`; what a connection does is the test's matter.
pub(super) struct TlsOrigin {
    port: u16,
    authority: tempfile::NamedTempFile,
}

impl TlsOrigin {
    pub(super) async fn start<F>(
        alpn: &[&[u8]],
        serve: impl Fn(TlsStream<TcpStream>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["files.example".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let mut authority = tempfile::NamedTempFile::new().expect("a file");
        authority.write_all(issuer.pem().as_bytes()).expect("written");

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("a certificate");
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(serve(stream));
                }
            }
        });
        Self { port, authority }
    }

    /// Trusts the authority.
    pub(super) fn bench(&self, versions: Versions) -> Bench {
        let extra_ca_files = vec![self.authority.path().to_owned()];
        Bench::with(Settings { extra_ca_files, versions, ..settings() })
    }

    pub(super) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.port)
    }
}

/// Answers with the version that it was asked in, over whatever ALPN chose.
async fn by_version(stream: TlsStream<TcpStream>) {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
        let body = format!("{:?} {}", request.version(), request.headers().contains_key("user-agent"));
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from(body))))
    });
    // The connection ends with the test.
    let _ended = match is_h2 {
        true => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await
        }
        false => {
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
        }
    };
}

async fn read_head(stream: &mut TlsStream<TcpStream>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
}

#[tokio::test]
async fn http2_is_used_when_both_want_it() {
    let origin = TlsOrigin::start(&[b"h2", b"http/1.1"], by_version).await;
    let both = origin.bench(Versions::Http1AndHttp2);
    assert_eq!(both.get(&origin.url("files.example")).await.expect("an answer").1, "HTTP/2.0 true");
    let old = origin.bench(Versions::Http1);
    assert_eq!(old.get(&origin.url("files.example")).await.expect("an answer").1, "HTTP/1.1 true");
    let origin = TlsOrigin::start(&[b"http/1.1"], by_version).await;
    let both = origin.bench(Versions::Http1AndHttp2);
    assert_eq!(both.get(&origin.url("files.example")).await.expect("an answer").1, "HTTP/1.1 true");
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_advice() {
    let origin = TlsOrigin::start(&[], by_version).await;
    let error = Bench::new().refusal(&origin.url("files.example")).await;
    assert_eq!(error.kind, Kind::OriginUnreachable);
    assert!(
        error.detail.contains("unknown authority") && error.detail.contains("origin.ca-files"),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let origin = TlsOrigin::start(&[], by_version).await;
    let error = origin.bench(Versions::Http1).refusal(&origin.url("other.example")).await;
    assert_eq!(error.kind, Kind::OriginUnreachable);
    assert!(error.detail.contains("other.example"), "{error}");
}

// 35
#[tokio::test]
async fn tls_that_ends_without_notice_is_no_end_of_a_body() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234";
    let honest = TlsOrigin::start(&[], |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(HEAD).await.expect("written");
        stream.shutdown().await.expect("close_notify sent");
    });
    let honest = honest.await;
    let bench = honest.bench(Versions::Http1);
    assert_eq!(bench.get(&honest.url("files.example")).await.expect("an answer").1, "01234");

    let cut = TlsOrigin::start(&[], |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(HEAD).await.expect("written");
        stream.flush().await.expect("flushed");
        stream.get_mut().0.shutdown().await.expect("FIN sent");
    });
    let cut = cut.await;
    let error = cut.bench(Versions::Http1).refusal(&cut.url("files.example")).await;
    assert_eq!(error.kind, Kind::OriginBroken);
    assert!(error.detail.contains("close_notify"), "{error}");
}

#[tokio::test]
async fn plain_text_behind_an_https_port_is_refused() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        // Until the client has gone.
        let _gone = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = Bench::new().refusal(&format!("https://{address}/")).await;
    assert_eq!(error.kind, Kind::OriginUnreachable);
    assert!(error.detail.starts_with("TLS with 127.0.0.1:"), "{error}");
}

#[test]
fn a_file_without_certificates_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let settings = Settings { extra_ca_files: vec![file.path().to_owned()], ..Settings::default() };
    let made = HttpOrigin::new(settings, Guard::default(), &mut Registry::default());
    assert!(made.is_err_and(|error| error.detail.contains("no certificate")));
}

/// One HTTP/2 frame on a stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

// 31
#[tokio::test]
async fn a_stream_that_is_reset_without_error_is_no_end_of_a_body() {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    // `:status: 200` is entry 8 of HPACK's static table.
    let begin =
        [frame(SETTINGS, 0, 0, &[]), frame(HEADERS, END_HEADERS, 1, &[0x88]), frame(DATA, 0, 1, b"01234")];
    let trailers = b"\0\x01x\x01y";
    let cases = [
        (frame(DATA, END_STREAM, 1, b""), Ok(Bytes::from_static(b"01234"))),
        (frame(HEADERS, END_STREAM | END_HEADERS, 1, trailers), Ok(Bytes::from_static(b"01234"))),
        (frame(RST_STREAM, 0, 1, &[0; 4]), Err(Kind::OriginBroken)),
    ];
    for (end, expected) in cases {
        let answer = [begin.concat(), end].concat();
        let origin = TlsOrigin::start(&[b"h2"], move |mut stream| {
            let answer = answer.clone();
            async move {
                // Until the client's first stream opens.
                let mut asked = Vec::new();
                while !asked.windows(9).any(|head| head[3] == HEADERS && head[5..] == 1_u32.to_be_bytes()) {
                    asked.push(stream.read_u8().await.expect("a request"));
                }
                stream.write_all(&answer).await.expect("written");
                let _gone = stream.read_to_end(&mut Vec::new()).await;
            }
        });
        let origin = origin.await;
        let bench = origin.bench(Versions::Http1AndHttp2);
        let result = bench.get(&origin.url("files.example")).await;
        assert_eq!(result.map(|(_, body)| body).map_err(|error| error.kind), expected);
    }
}
