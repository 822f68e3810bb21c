//! The connection: one at a time, made when it is wanted, given up when it is in doubt.
//!
//! A task of its own connects, so that no operation that gives up takes the attempt along. Operations wait for the
//! attempt under way, or the next one, and for no other.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Cmd;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::reply::{Outcome, describe};
use super::target::{Connection, Target};
use super::{RedisMetrics, RedisSettings};
use crate::store::StoreError;

pub(super) struct Link {
    target: Target,
    timeout: Duration,
    connect_timeout: Duration,
    wanted: Notify,
    state: watch::Sender<State>,
    metrics: Arc<RedisMetrics>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// Attempts that are over; names the connection that the last of them made.
    attempt: u64,
    problem: Option<String>,
}

impl Link {
    pub(super) fn new(target: Target, settings: &RedisSettings, metrics: Arc<RedisMetrics>) -> Self {
        let wanted = Notify::new();
        wanted.notify_one();
        Self {
            target,
            timeout: settings.timeout,
            connect_timeout: settings.connect_timeout,
            wanted,
            state: watch::Sender::default(),
            metrics,
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.state.borrow().problem.clone()
    }

    /// Connects whenever somebody wants it; ends with its runtime.
    pub(super) async fn keep_connected(self: Arc<Self>) {
        loop {
            self.wanted.notified().await;
            if self.state.borrow().connection.is_some() {
                continue;
            }
            let made = timeout(self.connect_timeout, self.target.connect()).await;
            let (connection, problem) = match made {
                Ok(Ok(connection)) => (Some(connection), None),
                Ok(Err(error)) => (None, Some(describe(&error))),
                Err(_) => (None, Some("no answer in time".to_owned())),
            };
            match connection {
                Some(_) => {
                    self.metrics.connects.up();
                    self.metrics.connected.up();
                }
                None => self.metrics.connect_failures.up(),
            }
            self.state.send_modify(|state| {
                *state = State { connection, attempt: state.attempt + 1, problem };
            });
        }
    }

    /// Sends a command and waits for its answer, within the time for both. Also says over which connection.
    pub(super) async fn ask(&self, command: &Cmd) -> (Outcome, u64) {
        self.metrics.operations.up();
        let _level = Level::rise(&self.metrics);
        let deadline = Instant::now() + self.timeout;
        let Ok(Some((mut connection, attempt))) = timeout_at(deadline, self.connection()).await else {
            return (Outcome::NotDone, 0);
        };
        let outcome = match timeout_at(deadline, connection.send(command)).await {
            Ok(result) => Outcome::of(result, self.target.is_cluster()),
            Err(_) => Outcome::Unknown,
        };
        (outcome, attempt)
    }

    /// Something went wrong on this connection. A single one is given up at once; a cluster mends its own, and is begun
    /// anew only when it is `down` altogether.
    pub(super) fn doubt(&self, attempt: u64, down: bool) {
        if self.target.is_cluster() && !down {
            return;
        }
        self.state.send_if_modified(|state| {
            let given_up = state.attempt == attempt && state.connection.take().is_some();
            if given_up {
                self.metrics.connected.down();
            }
            given_up
        });
    }

    pub(super) fn count<T>(&self, result: &Result<T, StoreError>) {
        match result {
            Ok(_) => {}
            Err(StoreError::Timeout) => self.metrics.unanswered.up(),
            Err(StoreError::Unavailable) => self.metrics.failed.up(),
            Err(StoreError::Unreadable) => self.metrics.unreadable.up(),
        }
    }

    /// The connection, or the one that the attempt under way or the next one makes.
    async fn connection(&self) -> Option<(Connection, u64)> {
        let mut state = self.state.subscribe();
        let seen = state.borrow().attempt;
        let there = |state: &State| Some((state.connection.clone()?, state.attempt));
        if let Some(there) = there(&state.borrow()) {
            return Some(there);
        }
        self.wanted.notify_one();
        let state = state.wait_for(|state| state.connection.is_some() || state.attempt != seen).await;
        there(&*state.ok()?)
    }
}

/// Counts an operation as under way, however it ends.
struct Level<'a>(&'a RedisMetrics);

impl<'a> Level<'a> {
    fn rise(metrics: &'a RedisMetrics) -> Self {
        metrics.in_flight.up();
        Self(metrics)
    }
}

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.in_flight.down();
    }
}
