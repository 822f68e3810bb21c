//! TLS sessions of our own HTTPS listeners, shared through a store when that is wanted.
//!
//! One realm, and so one thread and one local tier, for each site that is some listener's root, and one for all other
//! listeners: a session of one site is none of another's, whoever sends the client there. On all nodes these have the same
//! names. rustls itself resumes only for the host name that the session was made for.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use distcache::client::ClientSettings;
use distcache::rustls::{SharedSessions, SharedSettings, Through};
use distcache::store::RemoteSettings;
use distcache::{Address, SessionStore};
use doors::listen::Listener;
use doors::session::{SessionDoor, register_https};
use prometheus_client::registry::Registry;

use super::session;
use crate::config::{HttpsSessions, Values};
use crate::session::harden;
use crate::session::tls::Files;

/// Nothing may keep a thread from its other connections longer than this many waits in 100 ms.
const WAITS: u32 = 4;

/// Where the sessions are.
enum Place {
    Store(Arc<dyn SessionStore>),
    Server(Address, RemoteSettings),
}

/// Makes all listeners with TLS share their sessions, if they are to.
pub(super) fn share(
    listeners: Vec<Listener>,
    values: &Values,
    door: Option<&SessionDoor>,
    registry: &mut Registry,
) -> Result<Vec<Listener>, String> {
    let problem = |problem: String| format!("session.https: {problem}");
    let Some(place) = place(values, door).map_err(problem)? else { return Ok(listeners) };
    for refused in harden() {
        tracing::warn!("{refused}");
    }
    let mut realms: HashMap<String, Arc<SharedSessions>> = HashMap::new();
    let mut sharing = Vec::with_capacity(listeners.len());
    for listener in listeners {
        if !listener.is_tls() {
            sharing.push(listener);
            continue;
        }
        let realm = realm(listener.site());
        let shared = match realms.get(&realm) {
            Some(shared) => Arc::clone(shared),
            None => place.open(&realm, values.session_https_wait.0).map_err(|e| problem(e.to_string()))?,
        };
        realms.insert(realm, Arc::clone(&shared));
        sharing.push(listener.with_sessions(shared));
    }
    if realms.is_empty() {
        tracing::warn!("session.https: no listener speaks TLS, so there are no sessions to share");
    }
    register_https(registry, realms.into_values().collect());
    Ok(sharing)
}

fn place(values: &Values, door: Option<&SessionDoor>) -> Result<Option<Place>, String> {
    match &values.session_https {
        HttpsSessions::Off => Ok(None),
        HttpsSessions::Own => {
            let door = door.ok_or("`own` is the store of a door that is not there")?;
            Ok(Some(Place::Store(door.store())))
        }
        HttpsSessions::Redis(url) => {
            let kept = session::choice_of(values, Some(url.clone())).read()?.open()?;
            Ok(Some(Place::Store(kept.store)))
        }
        HttpsSessions::Server(address) => {
            let defaults = RemoteSettings::default();
            let tls = match address {
                Address::Tls(_) => files(values).client()?,
                _ => None,
            };
            let client = ClientSettings { tls, ..defaults.client };
            Ok(Some(Place::Server(address.clone(), RemoteSettings { client, ..defaults })))
        }
    }
}

/// For connecting to a session server.
fn files(values: &Values) -> Files<'_> {
    Files {
        certificate: values.session_tls_certificate.as_deref(),
        key: values.session_tls_key.as_deref(),
        authority: values.session_https_ca.as_deref(),
    }
}

fn realm(site: Option<&str>) -> String {
    site.map_or_else(|| "standpipe-https".to_owned(), |site| format!("standpipe-https/{site}"))
}

impl Place {
    fn open(&self, realm: &str, wait: Duration) -> io::Result<Arc<SharedSessions>> {
        let through = match self {
            Self::Store(store) => Through::Store(Arc::clone(store)),
            // Each realm has connections of its own: they live on its thread.
            Self::Server(address, remote) => Through::Server(address.clone(), remote.clone()),
        };
        let settings = SharedSettings { wait, share: wait * WAITS, ..SharedSettings::new(realm) };
        SharedSessions::open(through, &settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::default_values;

    #[test]
    fn nothing_is_shared_unless_it_is_wanted_and_the_limits_are_those_of_the_crate() {
        let values = default_values();
        assert!(place(&values, None).is_ok_and(|place| place.is_none()));
        let theirs = SharedSettings::new("");
        assert_eq!(values.session_https_wait.0, theirs.wait);
        assert_eq!(values.session_https_wait.0 * WAITS, theirs.share);
    }

    #[test]
    fn a_site_has_a_realm_that_no_other_listener_has() {
        assert_ne!(realm(None), realm(Some("docs")));
        assert_ne!(realm(Some("docs")), realm(Some("mirror")));
    }
}
