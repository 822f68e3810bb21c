//! [`Limits`]: how many exchanges with one host and port run and wait at once.
//!
//! Owns the table of hosts. A host is in it exactly as long as an exchange with it runs or waits, so the table is
//! bounded by those, and by a limit of its own. A [`Permit`] is held until the answer's body ends, but its place is lent on
//! when somebody waits for one and nobody takes the bytes that are there: clients that do not read must not keep a site's
//! other objects away. It deliberately counts exchanges, not connections: over HTTP/2 many share one.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cache::{Error, Kind};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::Settings;
use crate::connect::Endpoint;
use crate::metrics::{Live, Metrics};

/// How long bytes lie before the place of their exchange is lent on.
const LENT_AFTER: Duration = Duration::from_secs(1);

/// The limits of all hosts.
pub(crate) struct Limits {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    hosts: Mutex<HashMap<Endpoint, Host>>,
}

struct Host {
    turns: Arc<Semaphore>,
    /// Exchanges that run or wait.
    users: usize,
    /// Those that run, and some that have ended.
    running: Vec<Weak<Turn>>,
}

/// The right to one exchange.
pub(crate) struct Permit {
    turn: Arc<Turn>,
    _live: Live,
    _seat: Seat,
}

/// A place at a host.
struct Turn {
    /// `None`: lent on.
    place: Mutex<Option<OwnedSemaphorePermit>>,
    /// Since when bytes lie that nobody takes.
    lying: Mutex<Option<Instant>>,
}

impl Permit {
    /// Bytes were handed over: whether there will be more is up to who has them.
    pub(crate) fn lies(&self) {
        *self.turn.lying.lock() = Some(Instant::now());
    }

    /// More is wanted.
    pub(crate) fn goes_on(&self) {
        *self.turn.lying.lock() = None;
    }
}

/// A place in the table, given back on drop.
struct Seat {
    limits: Arc<Limits>,
    endpoint: Endpoint,
}

impl Limits {
    pub(crate) fn new(settings: Arc<Settings>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { settings, metrics, hosts: Mutex::default() })
    }

    /// Waits for the host's turn.
    ///
    /// # Errors
    /// [`Kind::OriginQueueFull`] when too many wait already, or this one has waited too long.
    pub(crate) async fn acquire(self: &Arc<Self>, endpoint: &Endpoint) -> Result<Permit, Error> {
        let (turns, seat) = self.sit_down(endpoint)?;
        let place = match Arc::clone(&turns).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.wait(turns, endpoint).await?,
        };
        let turn = Arc::new(Turn { place: Mutex::new(Some(place)), lying: Mutex::default() });
        self.note(endpoint, &turn);
        Ok(Permit { turn, _live: Live::count(&self.metrics.exchanges), _seat: seat })
    }

    fn note(&self, endpoint: &Endpoint, turn: &Arc<Turn>) {
        let mut hosts = self.hosts.lock();
        let Some(host) = hosts.get_mut(endpoint) else { return };
        if host.running.len() >= 2 * host.users {
            host.running.retain(|turn| turn.strong_count() > 0);
        }
        host.running.push(Arc::downgrade(turn));
    }

    /// Takes the places of those whose bytes lie.
    fn lend_on(&self, endpoint: &Endpoint) {
        let lying = |turn: &Arc<Turn>| turn.lying.lock().is_some_and(|since| since.elapsed() >= LENT_AFTER);
        let mut hosts = self.hosts.lock();
        let Some(host) = hosts.get_mut(endpoint) else { return };
        for turn in host.running.iter().filter_map(Weak::upgrade).filter(lying) {
            if turn.place.lock().take().is_some() {
                self.metrics.lent.inc();
            }
        }
    }

    fn sit_down(self: &Arc<Self>, endpoint: &Endpoint) -> Result<(Arc<Semaphore>, Seat), Error> {
        let full = |detail: String| Err(Error::new(Kind::OriginQueueFull, detail));
        let max_running = self.settings.max_connections_per_host.max(1);
        let max_users = max_running.saturating_add(self.settings.max_queue_per_host);
        let mut hosts = self.hosts.lock();
        if !hosts.contains_key(endpoint) && hosts.len() >= self.settings.max_hosts {
            return full(format!("{} hosts are being fetched from already (origin.max-hosts)", hosts.len()));
        }
        let host = hosts.entry(endpoint.clone()).or_insert_with(|| Host {
            turns: Arc::new(Semaphore::new(max_running)),
            users: 0,
            running: Vec::new(),
        });
        if host.users >= max_users {
            let waiting = self.settings.max_queue_per_host;
            return full(format!("{waiting} requests wait for {endpoint} already (origin.queue-per-host)"));
        }
        host.users += 1;
        let seat = Seat { limits: Arc::clone(self), endpoint: endpoint.clone() };
        Ok((Arc::clone(&host.turns), seat))
    }

    async fn wait(&self, turns: Arc<Semaphore>, endpoint: &Endpoint) -> Result<OwnedSemaphorePermit, Error> {
        let _queued = Live::count(&self.metrics.queue);
        let limit = self.settings.queue_timeout;
        let queued = async {
            // One future: who gave it up would lose its place in the queue.
            let mut place = pin!(turns.acquire_owned());
            loop {
                self.lend_on(endpoint);
                if let Ok(place) = tokio::time::timeout(LENT_AFTER, &mut place).await {
                    return place;
                }
            }
        };
        match tokio::time::timeout(limit, queued).await {
            Ok(Ok(turn)) => Ok(turn),
            // Nobody closes the semaphore; were it so, waiting on would be for ever.
            Ok(Err(_)) | Err(_) => {
                let running = self.settings.max_connections_per_host;
                let detail = format!(
                    "waited {limit:?} for one of {running} places at {endpoint} (origin.max-connections-per-host)"
                );
                Err(Error::new(Kind::OriginQueueFull, detail))
            }
        }
    }

    #[cfg(test)]
    fn hosts(&self) -> usize {
        self.hosts.lock().len()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut hosts = self.limits.hosts.lock();
        if let Some(host) = hosts.get_mut(&self.endpoint) {
            host.users -= 1;
            if host.users == 0 {
                hosts.remove(&self.endpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::registry::Registry;

    use super::*;

    fn limits(settings: Settings) -> Arc<Limits> {
        Limits::new(Arc::new(settings), Metrics::register(&mut Registry::default()))
    }

    fn settings(running: usize, waiting: usize) -> Settings {
        Settings {
            max_connections_per_host: running,
            max_queue_per_host: waiting,
            queue_timeout: Duration::from_secs(5),
            ..Settings::default()
        }
    }

    fn kind<T>(result: Result<T, Error>) -> Option<Kind> {
        result.err().map(|error| error.kind)
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_the_queue_takes_is_refused_at_once() {
        let limits = limits(settings(1, 1));
        let here = Endpoint::new("a", 80);
        let running = limits.acquire(&here).await.expect("first");
        let waiting = tokio::spawn({
            let (limits, here) = (Arc::clone(&limits), here.clone());
            async move { limits.acquire(&here).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert_eq!(limits.metrics.queue.get(), 1);
        assert_eq!(kind(limits.acquire(&here).await), Some(Kind::OriginQueueFull));
        drop(running);
        waiting.await.expect("no panic").expect("its turn");
        assert_eq!(limits.metrics.queue.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_and_other_hosts_do_not_wait() {
        let limits = limits(settings(1, 9));
        let _running = limits.acquire(&Endpoint::new("a", 80)).await.expect("first");
        assert!(limits.acquire(&Endpoint::new("a", 81)).await.is_ok());
        assert!(limits.acquire(&Endpoint::new("b", 80)).await.is_ok());
        assert_eq!(kind(limits.acquire(&Endpoint::new("a", 80)).await), Some(Kind::OriginQueueFull));
    }

    #[tokio::test(start_paused = true)]
    async fn the_place_of_who_takes_nothing_is_lent_on() {
        let limits = limits(settings(1, 9));
        let here = Endpoint::new("a", 80);
        let slow = limits.acquire(&here).await.expect("first");
        slow.lies();
        slow.goes_on();
        assert_eq!(kind(limits.acquire(&here).await), Some(Kind::OriginQueueFull), "it waits for the origin");
        slow.lies();
        let other = limits.acquire(&here).await.expect("the place of the slow one");
        drop(slow);
        assert_eq!(limits.metrics.lent.get(), 1);
        assert_eq!(
            kind(limits.acquire(&here).await),
            Some(Kind::OriginQueueFull),
            "it had no place to give back"
        );
        drop(other);
        assert!(limits.acquire(&here).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longest_comes_first() {
        let limits = limits(settings(1, 9));
        let here = Endpoint::new("a", 80);
        let running = limits.acquire(&here).await.expect("first");
        let waits = |limits: Arc<Limits>, here| tokio::spawn(async move { limits.acquire(&here).await });
        let first = waits(Arc::clone(&limits), here.clone());
        tokio::time::sleep(LENT_AFTER / 2).await;
        let second = waits(Arc::clone(&limits), here.clone());
        tokio::time::sleep(LENT_AFTER * 3 / 4).await;
        drop(running);
        let _place = first.await.expect("no panic").expect("its turn");
        assert!(!second.is_finished());
    }

    #[tokio::test]
    async fn the_table_forgets_idle_hosts_and_is_bounded() {
        let limits = limits(Settings { max_hosts: 2, ..settings(1, 1) });
        let first = limits.acquire(&Endpoint::new("a", 80)).await.expect("first");
        let _second = limits.acquire(&Endpoint::new("b", 80)).await.expect("second");
        assert_eq!(kind(limits.acquire(&Endpoint::new("c", 80)).await), Some(Kind::OriginQueueFull));
        drop(first);
        assert_eq!(limits.hosts(), 1);
        assert!(limits.acquire(&Endpoint::new("c", 80)).await.is_ok());
    }
}
