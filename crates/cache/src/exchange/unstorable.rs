//! [`Unstorables`]: keys whose last answer could not be stored. Nobody waits for their flights: what comes would answer one
//! request only, and the others would ask one after the other.
//!
//! Nor are pieces asked for when only a range is wanted of them. A short memory, bounded in number and time; the oldest
//! goes first. It never keeps a whole answer from being stored.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use store::Key;

use crate::{Settings, Timestamp};

pub(crate) struct Unstorables {
    most: usize,
    span: Duration,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    until: HashMap<Key, Timestamp>,
    order: VecDeque<Key>,
}

impl Unstorables {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { most: settings.negative_entries, span: settings.negative_other, memory: Mutex::default() }
    }

    pub(crate) fn remember(&self, key: Key, now: Timestamp) {
        if self.most == 0 {
            return;
        }
        let mut memory = self.memory.lock();
        if memory.until.insert(key, now.after(self.span)).is_some() {
            return;
        }
        memory.order.push_back(key);
        while memory.order.len() > self.most
            && let Some(oldest) = memory.order.pop_front()
        {
            memory.until.remove(&oldest);
        }
    }

    pub(crate) fn has(&self, key: &Key, now: Timestamp) -> bool {
        self.memory.lock().until.get(key).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_short_and_bounded() {
        let settings =
            Settings { negative_entries: 2, negative_other: Duration::from_secs(10), ..Settings::default() };
        let memory = Unstorables::new(&settings);
        let (key, now) = (|number| Key::new([number; 16]), Timestamp(0));
        for number in [1, 2, 1, 3] {
            memory.remember(key(number), now);
        }
        let known: Vec<_> = [1, 2, 3].map(|number| memory.has(&key(number), now)).into();
        assert_eq!(known, [false, true, true]);
        assert!(!memory.has(&key(3), now.after(Duration::from_secs(10))));
    }
}
