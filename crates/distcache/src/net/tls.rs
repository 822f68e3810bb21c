//! TLS for `TLS:` addresses: rustls configurations, given by the caller.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
pub use rustls::{ClientConfig, ServerConfig};

use crate::address::HostPort;

/// What a TLS connection to this host needs.
pub(crate) fn client(
    config: Option<&Arc<ClientConfig>>,
    at: &HostPort,
) -> io::Result<(Arc<ClientConfig>, ServerName<'static>)> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let config = config.ok_or_else(|| invalid("TLS: needs a configuration"))?;
    let host = at.host.clone().ok_or_else(|| invalid("an address without a host"))?;
    let name = ServerName::try_from(host).map_err(|_| invalid("a host that no certificate can name"))?;
    Ok((Arc::clone(config), name))
}
