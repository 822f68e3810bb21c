//! What `TLS:` addresses need, from PEM files.
//!
//! A server of sessions lets nobody in without a certificate: whoever can ask for a session can read the connections
//! that were made with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgMatches;
use distcache::Address;
use distcache::net::tls::{ClientConfig, ServerConfig};
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Certificate, key, and who may connect, as switches or keys name them.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    /// The certificate chain to show.
    pub(crate) certificate: Option<&'a Path>,
    /// Its key.
    pub(crate) key: Option<&'a Path>,
    /// What the other side's certificate must come from.
    pub(crate) authority: Option<&'a Path>,
}

impl<'a> Files<'a> {
    /// `authority` is the switch that names the authority.
    pub(super) fn of(arguments: &'a ArgMatches, authority: &str) -> Self {
        let file = |name: &str| arguments.get_one::<PathBuf>(name).map(PathBuf::as_path);
        Self { certificate: file("tls-certificate"), key: file("tls-key"), authority: file(authority) }
    }

    /// For listening. `None` without files.
    pub(crate) fn server(self) -> Result<Option<Arc<ServerConfig>>, String> {
        let Some(own) = self.own()? else { return Ok(None) };
        let authority = self.authority.ok_or("a TLS certificate needs a client CA too: who may connect?")?;
        let roots = Arc::new(roots(authority)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| format!("{}: {error}", authority.display()))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier)
            .with_single_cert(own.0, own.1)
            .map_err(|error| format!("the TLS certificate and its key: {error}"))?;
        Ok(Some(Arc::new(config)))
    }

    /// For connecting to this address, which must have an authority when it is a `TLS:` one.
    pub(super) fn client_of(self, server: &Address) -> Result<Option<Arc<ClientConfig>>, String> {
        if matches!(server, Address::Tls(_)) && self.authority.is_none() {
            return Err(format!("{server} needs --tls-ca: which servers are trusted?"));
        }
        self.client()
    }

    /// For connecting. `None` without an authority.
    pub(crate) fn client(self) -> Result<Option<Arc<ClientConfig>>, String> {
        let own = self.own()?;
        let Some(authority) = self.authority else { return Ok(None) };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots(authority)?);
        let config = match own {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the TLS certificate and its key: {error}"))?,
        };
        Ok(Some(Arc::new(config)))
    }

    fn own(self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, String> {
        match (self.certificate, self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| format!("{}: {error}", key.display()))?;
                Ok(Some((certificates(certificate)?, key)))
            }
            _ => Err("a TLS certificate and its key are given together".to_owned()),
        }
    }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| problem(&error))?;
    if found.is_empty() {
        return Err(problem(&"no certificate in it"));
    }
    Ok(found)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_needed_is_refused() {
        let files = |certificate, key, authority| Files { certificate, key, authority };
        assert!(files(None, None, None).server().is_ok_and(|config| config.is_none()));
        assert!(files(None, None, None).client().is_ok_and(|config| config.is_none()));
        let path = Some(Path::new("/nowhere"));
        assert!(files(path, None, path).server().is_err_and(|problem| problem.contains("together")));
        assert!(files(path, path, path).client().is_err_and(|problem| problem.contains("/nowhere")));
    }

    #[test]
    fn a_server_needs_an_authority_for_its_clients() {
        let directory = tempfile::tempdir().expect("a directory");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let files = Files { certificate: Some(&certificate), key: Some(&key), authority: None };
        assert!(files.server().is_err_and(|problem| problem.contains("client CA")));
        let files = Files { authority: Some(&certificate), ..files };
        assert!(files.server().is_ok_and(|config| config.is_some()));
        assert!(files.client().is_ok_and(|config| config.is_some()));
    }

    #[test]
    fn a_tls_server_needs_an_authority_and_no_other_does() {
        let files = Files { certificate: None, key: None, authority: None };
        let of = |server: &str| files.client_of(&server.parse().expect("an address"));
        assert!(of("TLS:localhost:1").is_err_and(|problem| problem.contains("--tls-ca")));
        assert!(of("IP:localhost:1").is_ok_and(|config| config.is_none()));
    }
}
