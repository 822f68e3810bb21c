//! [`Lru`]: what was not used for the longest time goes.

use super::list::Lists;
use super::simulator::Policy;
use super::trace::Request;

/// Least recently used, by bytes.
pub(super) struct Lru {
    capacity: u64,
    lists: Lists<1>,
}

impl Lru {
    pub(super) fn new(capacity: u64, objects: usize) -> Self {
        Self { capacity, lists: Lists::new(objects) }
    }
}

impl Policy for Lru {
    fn ask(&mut self, request: Request) -> bool {
        let hit = self.lists.find(request.key).is_some_and(|(_, bytes)| bytes == request.bytes);
        self.lists.remove(request.key);
        while self.lists.bytes(0) + request.bytes > self.capacity {
            let Some(oldest) = self.lists.oldest(0) else { return hit };
            self.lists.remove(oldest.key);
        }
        self.lists.push(0, request);
        hit
    }

    fn bytes(&self) -> u64 {
        self.lists.bytes(0)
    }
}
