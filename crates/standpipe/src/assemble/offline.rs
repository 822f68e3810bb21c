//! What the commands need that work on a store without a server: they hold its lock instead.

use std::sync::Arc;

use cache::{Cache, Http, KeyHasher, Origin, SystemClock};
use prometheus_client::registry::Registry;

use super::{secret, settings};
use crate::config::Values;

/// A cache on the configured store.
pub(crate) struct Offline {
    /// Answers, and fills the store.
    pub(crate) cache: Cache,
    /// Makes keys.
    pub(crate) hasher: KeyHasher,
    /// To be closed at the end.
    pub(crate) store: store::Writer<Http>,
}

/// A cache whose bytes come from `origin`. Must be called in a runtime.
pub(crate) async fn cache(values: &Values, origin: Arc<dyn Origin>) -> Result<Offline, String> {
    let mut registry = Registry::default();
    let store =
        store::open::<Http>(settings::store(values), &mut registry).map_err(|error| error.to_string())?;
    let hasher = KeyHasher::new(secret::load_or_create(&values.store_directory)?);
    let parts = cache::Parts {
        store: store.clone(),
        origin,
        clock: Arc::new(SystemClock::new()),
        settings: settings::cache(values),
    };
    let cache = Cache::new(parts, &mut registry);
    // What comes in must not push out what is promised to stay.
    cache.restore_pins().await;
    store.loaded().await;
    Ok(Offline { cache, hasher, store })
}

/// Opens and closes the store: what has no body is forgotten, what no entry names is deleted. Nothing is evicted.
pub(crate) fn tidy(values: &Values) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}"))?;
    let config = store::Config {
        quota: u64::MAX,
        max_entries: u64::MAX,
        await_pins: false,
        ..settings::store(values)
    };
    runtime.block_on(async {
        let store =
            store::open::<Http>(config, &mut Registry::default()).map_err(|error| error.to_string())?;
        store.loaded().await;
        store.close().await.map_err(|failure| failure.detail.to_string())
    })
}
