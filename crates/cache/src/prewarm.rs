//! Prewarming: a list of URLs is fetched, as if somebody had asked the fetch door for each, before somebody does.
//!
//! A list runs on a task of its own; its counts can be read and waited for, and it can be cancelled. Lists are bounded in
//! number and length, and each in how many URLs it fetches at once; fills have their own limits. Those that have ended are
//! remembered until others take their place.
//!
//! Owns the lists. Deliberately not here: what a URL means.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use protocols::http::conditional::Conditions;
use serde::Serialize;
use tokio::sync::watch;

use crate::metrics::Counted;
use crate::{Cache, Error, Method, Request, Target, WhenFull};

/// Lists that are remembered after their end.
const REMEMBERED: usize = 64;
/// Failures of a list that are told.
const MOST_FAILURES: usize = 100;

/// What is to be fetched.
pub struct Prewarm {
    /// The objects.
    pub targets: Vec<Arc<Target>>,
    /// Oldest copy that is good enough, and how long each is kept.
    pub ttl: std::time::Duration,
}

/// How far a list is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Names the list.
    pub id: String,
    /// `running`, `done` or `cancelled`.
    pub state: &'static str,
    /// URLs of the list.
    pub urls: u64,
    /// Of these, those that are there: they were before, or have been fetched.
    pub stored: u64,
    /// Of these, those that could not be had.
    pub failed: u64,
    /// Bytes of those that are there.
    pub bytes: u64,
    /// What could not be had and why, the first hundred.
    pub failures: Vec<String>,
}

/// Why a list is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrewarmRefused {
    /// As many lists are fetched as may be.
    Busy {
        /// `max_prewarms`.
        most: usize,
    },
    /// It has more URLs than a list may have.
    TooLong {
        /// `prewarm_urls`.
        most: usize,
    },
}

#[derive(Default)]
pub(crate) struct Prewarms {
    lists: Mutex<VecDeque<Arc<List>>>,
    next: AtomicU64,
}

struct List {
    progress: watch::Sender<Progress>,
    cancel: watch::Sender<bool>,
}

impl Cache {
    /// Begins to fetch a list; returns its id.
    pub fn prewarm(&self, prewarm: Prewarm) -> Result<String, PrewarmRefused> {
        let operators = &self.inner.settings.operators;
        if prewarm.targets.len() > operators.prewarm_urls {
            return Err(PrewarmRefused::TooLong { most: operators.prewarm_urls });
        }
        let (list, counted) = {
            let mut lists = self.inner.prewarms.lists.lock();
            let running = lists.iter().filter(|list| list.progress.borrow().state == RUNNING).count();
            if running >= operators.max_prewarms {
                return Err(PrewarmRefused::Busy { most: operators.max_prewarms });
            }
            let number = self.inner.prewarms.next.fetch_add(1, Ordering::Relaxed) + 1;
            let (id, urls) = (number.to_string(), prewarm.targets.len() as u64);
            let progress = Progress { id, state: RUNNING, urls, ..Progress::default() };
            let list =
                Arc::new(List { progress: watch::Sender::new(progress), cancel: watch::Sender::new(false) });
            if lists.len() >= REMEMBERED
                && let Some(ended) = lists.iter().position(|list| list.progress.borrow().state != RUNNING)
            {
                lists.remove(ended);
            }
            lists.push_back(Arc::clone(&list));
            (list, Counted::new(&self.inner.metrics.prewarming))
        };
        let id = list.progress.borrow().id.clone();
        let (cache, width) = (self.clone(), operators.prewarm_width.max(1));
        tokio::spawn(async move {
            cache.fetch_all(prewarm, width, &list).await;
            drop(counted);
        });
        Ok(id)
    }

    /// How far a list is, and how to wait for news of it; `None` when there is none of that id (any more).
    pub fn prewarm_progress(&self, id: &str) -> Option<watch::Receiver<Progress>> {
        Some(self.prewarm_list(id)?.progress.subscribe())
    }

    /// Cancels a list; fills that have begun go on. `false` when there is none of that id (any more).
    pub fn cancel_prewarm(&self, id: &str) -> bool {
        self.prewarm_list(id).is_some_and(|list| {
            list.cancel.send_replace(true);
            true
        })
    }

    fn prewarm_list(&self, id: &str) -> Option<Arc<List>> {
        self.inner.prewarms.lists.lock().iter().find(|list| list.progress.borrow().id == id).cloned()
    }

    async fn fetch_all(&self, prewarm: Prewarm, width: usize, list: &List) {
        let Prewarm { targets, ttl } = prewarm;
        let fetch = |target: Arc<Target>| async move {
            let name = Arc::clone(&target.name);
            (name, self.fetch_one(target, ttl).await)
        };
        let all = stream::iter(targets).map(fetch).buffer_unordered(width);
        let all = all.for_each(|(name, fetched)| {
            list.progress.send_modify(|progress| progress.note(&name, fetched));
            std::future::ready(())
        });
        let mut cancel = list.cancel.subscribe();
        let state = tokio::select! {
            () = all => DONE,
            _ = cancel.wait_for(|cancelled| *cancelled) => CANCELLED,
        };
        list.progress.send_modify(|progress| progress.state = state);
    }

    /// Waits until the object is complete; returns its length.
    async fn fetch_one(&self, target: Arc<Target>, ttl: std::time::Duration) -> Result<u64, Error> {
        let key = target.key;
        let request = Request {
            target,
            // Fills, and gives no body that nobody reads.
            method: Method::Head,
            conditions: Conditions::default(),
            range: None,
            max_age: ttl,
            keep: ttl,
            expected: None,
            when_full: WhenFull::Refuse,
        };
        drop(self.answer(request).await?);
        let Some(entry) = self.inner.reader.lookup(&key) else { return Ok(0) };
        let (length, _) =
            entry.body.wait_complete().await.map_err(|failure| Error::from_failure(&failure))?;
        Ok(length)
    }
}

const RUNNING: &str = "running";
const DONE: &str = "done";
const CANCELLED: &str = "cancelled";

impl Progress {
    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.state != RUNNING
    }

    fn note(&mut self, name: &str, fetched: Result<u64, Error>) {
        match fetched {
            Ok(bytes) => {
                self.stored += 1;
                self.bytes += bytes;
            }
            Err(error) => {
                self.failed += 1;
                if self.failures.len() < MOST_FAILURES {
                    self.failures.push(format!("{name}: {error}"));
                }
            }
        }
    }
}
