//! Replays a trace against a policy and counts hits.

use super::trace::{Request, Trace};

/// A cache without bytes.
pub(super) trait Policy {
    /// Takes a request; answers whether it was a hit. An object that changed its size is another one.
    fn ask(&mut self, request: Request) -> bool;
    /// Bytes in the cache.
    fn bytes(&self) -> u64;
}

/// What a replay gave, in percent.
#[derive(Clone, Copy, Default)]
pub(super) struct Ratios {
    /// Requests that hit.
    pub(super) objects: f64,
    /// Bytes that were asked for and hit.
    pub(super) bytes: f64,
}

/// Replays the whole trace; fails if the policy ever holds more than `capacity`.
#[expect(clippy::cast_precision_loss)]
pub(super) fn replay(trace: &Trace, capacity: u64, policy: &mut dyn Policy) -> Result<Ratios, String> {
    let (mut hits, mut hit_bytes, mut all_bytes) = (0_u64, 0_u64, 0_u64);
    for &request in &trace.requests {
        all_bytes += request.bytes;
        if policy.ask(request) {
            hits += 1;
            hit_bytes += request.bytes;
        }
        if policy.bytes() > capacity {
            return Err(format!("{}: {} bytes in a cache of {capacity}", trace.name, policy.bytes()));
        }
    }
    Ok(Ratios {
        objects: 100.0 * hits as f64 / trace.requests.len() as f64,
        bytes: 100.0 * hit_bytes as f64 / all_bytes as f64,
    })
}
