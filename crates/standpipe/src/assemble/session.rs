//! The door for TLS sessions, when there is to be one.

use distcache::ServerSettings;
use distcache::net::ListenSettings;
use distcache::store::MemorySettings;
use distcache::stunnel::SessiondSettings;
use doors::session::{Parts, SessionDoor};
use prometheus_client::registry::Registry;

use crate::config::{HttpsSessions, Values};
use crate::session::tls::Files;
use crate::session::{harden, store};

/// Binds the door. Must be called in the runtime. `None` when nobody wants it.
pub(super) fn open(values: &Values, registry: &mut Registry) -> Result<Option<SessionDoor>, String> {
    if values.session_listen.is_empty() {
        return Ok(None);
    }
    for refused in harden() {
        tracing::warn!("{refused}");
    }
    let files = Files {
        certificate: values.session_tls_certificate.as_deref(),
        key: values.session_tls_key.as_deref(),
        authority: values.session_tls_client_ca.as_deref(),
    };
    let listen = ListenSettings {
        mode: Some(values.session_socket_mode.0),
        tls: files.server().map_err(|problem| format!("session.tls-certificate: {problem}"))?,
        ..ListenSettings::default()
    };
    let place = choice(values).read().map_err(|problem| format!("session.store: {problem}"))?;
    let kept = place.open().map_err(|problem| format!("session.store: {problem}"))?;
    let addresses = values.session_listen.iter().map(|address| address.0.clone()).collect();
    let sessiond = values.session_sessiond.map(|address| (address.0, sessiond(values)));
    let parts = Parts { kept, settings: settings(values), addresses, listen, sessiond };
    SessionDoor::open(parts, registry)
        .map(Some)
        .map_err(|error| format!("cannot listen (session.listen): {error}"))
}

/// What the door's store is. A key that is there for the store of the HTTPS listeners is no mistake beside memory.
fn choice(values: &Values) -> store::Choice {
    let mut choice = choice_of(values, values.session_store.clone());
    if choice.url.is_none() && matches!(values.session_https, HttpsSessions::Redis(_)) {
        choice.remote.key = None;
    }
    choice
}

/// A store that is used as the keys say.
pub(super) fn choice_of(values: &Values, url: Option<String>) -> store::Choice {
    store::Choice {
        url,
        remote: store::Remote {
            key: values.session_store_key.clone(),
            prefix: Some(values.session_store_prefix.clone()),
            timeout: Some(values.session_store_timeout.0),
            ca: values.session_store_ca.clone(),
            certificate: values.session_store_certificate.clone(),
            certificate_key: values.session_store_certificate_key.clone(),
        },
        memory: MemorySettings {
            sessions: values.session_sessions.count(),
            bytes: usize::try_from(values.session_max_bytes.0).unwrap_or(usize::MAX),
        },
    }
}

fn sessiond(values: &Values) -> SessiondSettings {
    let allow = values.session_sessiond_allow.iter().map(|address| address.0).collect();
    SessiondSettings { allow: Some(allow), in_flight: values.session_sessiond_in_flight.count() }
}

fn settings(values: &Values) -> ServerSettings {
    let uids = values.session_allow_uid.iter().map(|uid| uid.small()).collect::<Vec<_>>();
    ServerSettings {
        connections: values.session_max_connections.count(),
        idle: Some(values.session_idle_timeout).filter(|idle| !idle.is_zero()),
        partial: values.session_request_timeout.0,
        stalled: values.session_write_timeout.0,
        output: values.session_output.count(),
        in_flight: values.session_in_flight.count(),
        min_ttl_ms: u32::try_from(values.session_min_ttl.as_millis()).unwrap_or(u32::MAX),
        allow_uids: Some(uids).filter(|uids| !uids.is_empty()),
        drain: values.server_grace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::default_values;

    #[test]
    fn there_is_no_door_unless_it_is_wanted_and_its_defaults_are_those_of_the_crate() {
        let values = default_values();
        assert!(open(&values, &mut Registry::default()).is_ok_and(|door| door.is_none()));
        let (ours, theirs) =
            (settings(&values), ServerSettings { drain: values.server_grace, ..Default::default() });
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        assert_eq!(format!("{:?}", sessiond(&values)), format!("{:?}", SessiondSettings::default()));
    }
}
