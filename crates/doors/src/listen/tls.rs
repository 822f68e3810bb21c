//! [`Certificates`]: what a TLS listener shows, chosen by the name that the client asks for (SNI), and read again when the
//! files change.
//!
//! Owns the certificates in force. Invariants: a listener never has fewer certificates than before because files became
//! unreadable: the last good ones stay; a client that names no host, or one that no certificate is for, gets the first.
//! TLS 1.2 and 1.3; HTTP/2 and HTTP/1.1 by ALPN.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, StoresServerSessions};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the listener's own certificate first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The certificates of a listener; clones share them.
#[derive(Clone)]
pub struct Certificates(Arc<Shared>);

struct Shared {
    files: Box<[CertificateFiles]>,
    keys: Arc<Keys>,
    /// When the files in force were written.
    written: Mutex<Vec<Option<SystemTime>>>,
}

/// What rustls asks.
struct Keys(ArcSwap<Vec<Arc<CertifiedKey>>>);

/// A certificate cannot be used; the sentence names the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCertificate {
    /// One sentence.
    pub detail: String,
}

impl fmt::Display for InvalidCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for InvalidCertificate {}

impl Certificates {
    /// Reads the files; the first is for clients that no other is for.
    pub fn load(files: Vec<CertificateFiles>) -> Result<Self, InvalidCertificate> {
        if files.is_empty() {
            return Err(InvalidCertificate { detail: "there is no certificate".to_owned() });
        }
        let keys = Arc::new(Keys(ArcSwap::from_pointee(read_all(&files)?)));
        let written = Mutex::new(written(&files));
        Ok(Self(Arc::new(Shared { files: files.into(), keys, written })))
    }

    /// Reads the files again. An error leaves the certificates as they are.
    pub fn reload(&self) -> Result<(), InvalidCertificate> {
        let written = written(&self.0.files);
        self.0.keys.0.store(Arc::new(read_all(&self.0.files)?));
        *self.0.written.lock() = written;
        Ok(())
    }

    /// Looks every `interval` whether a file has changed, and reads them again then. Never ends.
    pub async fn watch(self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let now = written(&self.0.files);
            if *self.0.written.lock() == now {
                continue;
            }
            match self.reload() {
                Ok(()) => tracing::info!(chain = %self.0.files[0].chain.display(), "certificates read again"),
                Err(error) => {
                    tracing::warn!(%error, "changed certificates cannot be used; the last good ones stay");
                    // Not again before the next change.
                    *self.0.written.lock() = now;
                }
            }
        }
    }

    /// What a listener speaks. Clients resume by the sessions that are kept in `sessions`, or else by tickets that only
    /// this process can read.
    pub(super) fn server(&self, sessions: Option<&Arc<dyn StoresServerSessions>>) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = [&version::TLS13, &version::TLS12];
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0.keys) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        resume_by(&mut config, sessions);
        Arc::new(config)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.files).finish()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.0.load();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fits = |key: &&Arc<CertifiedKey>| {
            let parsed = key.end_entity_cert().ok().and_then(|end| ParsedCertificate::try_from(end).ok());
            matches!((&name, parsed), (Some(name), Some(end)) if verify_server_name(&end, name).is_ok())
        };
        keys.iter().find(fits).or_else(|| keys.first()).cloned()
    }
}

/// With a ticketer nothing would ever be kept, so it is one or the other.
fn resume_by(config: &mut ServerConfig, sessions: Option<&Arc<dyn StoresServerSessions>>) {
    if let Some(sessions) = sessions {
        config.session_storage = Arc::clone(sessions);
        return;
    }
    match aws_lc_rs::Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        Err(error) => tracing::warn!(%error, "clients cannot resume TLS sessions by tickets"),
    }
}

fn read_all(files: &[CertificateFiles]) -> Result<Vec<Arc<CertifiedKey>>, InvalidCertificate> {
    files.iter().map(|files| read(files).map(Arc::new)).collect()
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, InvalidCertificate> {
    let problem = |path: &Path, error: &dyn fmt::Display| InvalidCertificate {
        detail: format!("{}: {error}", path.display()),
    };
    let chain = CertificateDer::pem_file_iter(&files.chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| problem(&files.chain, &error))?;
    if chain.is_empty() {
        return Err(problem(&files.chain, &"no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| problem(&files.key, &error))?;
    let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| problem(&files.key, &format!("it cannot be used with its certificate: {error}")))?;
    Ok(key)
}

/// When the files were written; `None` for what cannot be looked at.
fn written(files: &[CertificateFiles]) -> Vec<Option<SystemTime>> {
    let paths = files.iter().flat_map(|files| [&files.chain, &files.key]);
    paths.map(|path| path.metadata().and_then(|metadata| metadata.modified()).ok()).collect()
}
