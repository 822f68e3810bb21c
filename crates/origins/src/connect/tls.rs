//! TLS towards origins: rustls with aws-lc-rs, the system's authorities and the operator's.
//!
//! Owns the client configuration. The operator's files are read at the start, so that a wrong path is told at
//! once; the system's authorities are read at the first https connection, because they take tens of milliseconds
//! and many servers never need them. A system without any is no error: connections then say what they miss.

use std::path::Path;
use std::sync::Arc;

use cache::{Error, Kind};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Endpoint;
use crate::{InvalidSettings, Settings, Versions};

/// Makes TLS connections.
pub(crate) struct Tls {
    extra: RootCertStore,
    config: OnceCell<Configs>,
}

/// By what they offer.
struct Configs {
    http1: Arc<ClientConfig>,
    http1_and_http2: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the operator's certificate files.
    pub(crate) fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        let mut extra = RootCertStore::empty();
        for path in &settings.extra_ca_files {
            read_authorities(path, &mut extra)?;
        }
        Ok(Self { extra, config: OnceCell::new() })
    }

    /// TLS on a connected socket; the certificate must be the endpoint's.
    pub(crate) async fn handshake(
        &self,
        endpoint: &Endpoint,
        stream: TcpStream,
        versions: Versions,
    ) -> Result<Box<TlsStream<TcpStream>>, Error> {
        let host = endpoint.host.strip_suffix('.').unwrap_or(&endpoint.host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Error::new(Kind::UrlInvalid, format!("{host} can not be the name of a TLS server"))
        })?;
        let configs = self.config.get_or_try_init(|| self.configure()).await?;
        let config = match versions {
            Versions::Http1 => &configs.http1,
            Versions::Http1AndHttp2 => &configs.http1_and_http2,
        };
        match TlsConnector::from(Arc::clone(config)).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Error::new(Kind::OriginUnreachable, handshake_failed(endpoint, &error))),
        }
    }

    async fn configure(&self) -> Result<Configs, Error> {
        let mut roots = tokio::task::spawn_blocking(system_authorities).await.map_err(|error| {
            Error::new(Kind::OriginUnreachable, format!("TLS can not be set up: {error}"))
        })?;
        roots.extend(self.extra.roots.iter().cloned());
        if roots.is_empty() {
            tracing::warn!(
                "no certificate authorities: https origins fail until ca-certificates is installed"
            );
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(Kind::OriginUnreachable, format!("TLS can not be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = Arc::new(config.clone());
        config.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(Configs { http1, http1_and_http2: Arc::new(config) })
    }
}

fn read_authorities(path: &Path, into: &mut RootCertStore) -> Result<(), InvalidSettings> {
    let wrong = |why: String| InvalidSettings::new(format!("CA file {}: {why}", path.display()));
    let before = into.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        into.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if into.len() == before {
        return Err(wrong("it has no certificate in PEM form".to_owned()));
    }
    Ok(())
}

/// Blocking: reads many small files or one big one.
fn system_authorities() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system certificate authority could not be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "system certificate authorities loaded");
    roots
}

fn handshake_failed(endpoint: &Endpoint, error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => format!(
            "the certificate of {endpoint} is from an unknown authority; \
             if you trust it, add its PEM file to origin.ca-files"
        ),
        Some(error) => format!("TLS with {endpoint} failed: {error}"),
        None => format!("TLS with {endpoint} failed: {error}"),
    }
}
