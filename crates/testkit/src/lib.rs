//! What the tests of the other crates and the scenarios share; never part of the server.
//!
//! - [`origin`]: an origin that speaks raw bytes, honest or not, by script.
//! - [`client`]: a client that shows exactly what came and checks the framing.
//! - [`node`]: the built binary, started on a free port with a store of its own.
//! - [`clock`]: a clock that stands still until told.
//! - [`content`]: big reproducible bodies that need no memory.
//!
//! Nothing here sleeps (but an origin that is told to trickle): a test waits for an event, and a guard of [`GUARD`]
//! turns a hang into a failure.
//! Everything panics with a sentence when the world is not as the test said.
#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod content;
pub mod node;
pub mod origin;

use std::time::Duration;

/// Longest wait for an event before a test fails; far above what any correct run needs.
pub const GUARD: Duration = Duration::from_secs(60);

/// Waits for `event` at most [`GUARD`]; panics naming `what` did not happen.
pub async fn guarded<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(GUARD, event).await {
        Ok(value) => value,
        Err(_) => panic!("nothing for {} s while waiting for {what}", GUARD.as_secs()),
    }
}
