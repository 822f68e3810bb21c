//! [`Arc`]: the adaptive replacement cache (Megiddo and Modha, FAST 2003), by bytes.
//!
//! Where the paper counts pages, this counts bytes; where it moves its target by one page, or by the ratio of the ghosts
//! if that is more, this moves it by the bytes asked for, times that ratio.

use super::list::Lists;
use super::simulator::Policy;
use super::trace::Request;

/// Seen once lately.
const RECENT: usize = 0;
/// Seen more than once.
const FREQUENT: usize = 1;
/// Left `RECENT` lately.
const RECENT_GHOST: usize = 2;
/// Left `FREQUENT` lately.
const FREQUENT_GHOST: usize = 3;

/// Balances recency and frequency by what its ghosts see.
pub(super) struct Arc {
    capacity: u64,
    /// Bytes that `RECENT` should have.
    target: u64,
    lists: Lists<4>,
}

impl Arc {
    pub(super) fn new(capacity: u64, objects: usize) -> Self {
        Self { capacity, target: 0, lists: Lists::new(objects) }
    }

    /// Bytes that `RECENT` should have.
    #[cfg(test)]
    pub(super) fn target(&self) -> u64 {
        self.target
    }

    /// Moves the target towards the queue whose ghost was right.
    fn learn(&mut self, ghost: usize, bytes: u64) {
        let (recent, frequent) =
            (self.lists.bytes(RECENT_GHOST).max(1), self.lists.bytes(FREQUENT_GHOST).max(1));
        let times = |more: u64, less: u64| {
            let step = u128::from(bytes) * u128::from(more) / u128::from(less);
            u64::try_from(step).unwrap_or(u64::MAX).max(bytes)
        };
        if ghost == RECENT_GHOST {
            self.target = self.target.saturating_add(times(frequent, recent)).min(self.capacity);
        } else {
            self.target = self.target.saturating_sub(times(recent, frequent));
        }
    }

    /// Makes room in the cache; what goes is remembered.
    fn replace(&mut self, bytes: u64, was_frequent: bool) {
        while self.bytes() + bytes > self.capacity {
            let recent = self.lists.bytes(RECENT);
            let over = recent > self.target || (was_frequent && recent == self.target);
            let from = match (recent > 0 && over, self.lists.oldest(FREQUENT)) {
                (false, Some(_)) => FREQUENT,
                _ => RECENT,
            };
            let Some(oldest) = self.lists.oldest(from) else { return };
            self.lists.remove(oldest.key);
            self.lists.push(from + RECENT_GHOST, oldest);
        }
    }

    /// Shortens the ghosts: recent with its ghost at most the capacity, everything at most twice that.
    fn forget(&mut self, bytes: u64) {
        let all = |lists: &Lists<4>| (0..4).map(|list| lists.bytes(list)).sum::<u64>();
        while self.lists.bytes(RECENT) + self.lists.bytes(RECENT_GHOST) + bytes > self.capacity {
            let Some(oldest) = self.lists.oldest(RECENT_GHOST) else { break };
            self.lists.remove(oldest.key);
        }
        // Recent has the whole cache: its oldest goes without being remembered.
        while self.lists.bytes(RECENT) + bytes > self.capacity {
            let Some(oldest) = self.lists.oldest(RECENT) else { break };
            self.lists.remove(oldest.key);
        }
        while all(&self.lists) + bytes > 2 * self.capacity {
            let Some(oldest) = self.lists.oldest(FREQUENT_GHOST) else { break };
            self.lists.remove(oldest.key);
        }
    }
}

impl Policy for Arc {
    fn ask(&mut self, request: Request) -> bool {
        let found = self.lists.find(request.key).filter(|(_, bytes)| *bytes == request.bytes);
        if request.bytes > self.capacity {
            self.lists.remove(request.key);
            return false;
        }
        match found {
            Some((RECENT | FREQUENT, _)) => {
                self.lists.remove(request.key);
                self.lists.push(FREQUENT, request);
                true
            }
            Some((ghost, _)) => {
                self.learn(ghost, request.bytes);
                self.lists.remove(request.key);
                self.replace(request.bytes, ghost == FREQUENT_GHOST);
                self.lists.push(FREQUENT, request);
                false
            }
            None => {
                self.lists.remove(request.key);
                self.forget(request.bytes);
                self.replace(request.bytes, false);
                self.lists.push(RECENT, request);
                false
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.lists.bytes(RECENT) + self.lists.bytes(FREQUENT)
    }
}
