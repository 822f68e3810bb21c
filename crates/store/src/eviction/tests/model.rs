//! The same decisions as a naive reference: with what we added switched off, S3-FIFO as published (Yang et al., SOSP
//! 2023; the first fill as in the authors' simulator); with it, the whole.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// S3-FIFO with lists and no thought of memory or time.
struct Reference {
    settings: Settings,
    /// `(key, size, hits)`, oldest first.
    small: VecDeque<(u32, u64, u8)>,
    main: VecDeque<(u32, u64, u8)>,
    /// `(key, bytes remembered before it)`, and the bytes remembered in all.
    small_ghost: (Vec<(u32, u64)>, u64),
    main_ghost: (Vec<(u32, u64)>, u64),
    small_target: u64,
    was_full: bool,
}

fn sum(queue: &VecDeque<(u32, u64, u8)>) -> u64 {
    queue.iter().map(|(_, size, _)| size).sum()
}

fn remember(ghost: &mut (Vec<(u32, u64)>, u64), key: u32, size: u64, window: u64) {
    if size <= window {
        ghost.0.push((key, ghost.1));
        ghost.1 += size;
    }
}

/// How many bytes ago the key was remembered, if that is within the window.
fn take(ghost: &mut (Vec<(u32, u64)>, u64), key: u32, window: u64) -> Option<u64> {
    let at = ghost.0.iter().position(|(known, since)| *known == key && ghost.1 - since <= window)?;
    Some(ghost.1 - ghost.0.remove(at).1)
}

impl Reference {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            small: VecDeque::new(),
            main: VecDeque::new(),
            small_ghost: (Vec::new(), 0),
            main_ghost: (Vec::new(), 0),
            small_target: settings.capacity * u64::from(settings.small_share) / 100,
            was_full: false,
        }
    }

    fn windows(&self) -> (u64, u64) {
        (self.settings.capacity * 90 / 100, self.settings.capacity * u64::from(self.settings.soon) / 100)
    }

    fn hit(&mut self, key: u32) -> bool {
        let mut all = self.small.iter_mut().chain(&mut self.main);
        let Some(found) = all.find(|(known, ..)| *known == key) else { return false };
        found.2 = (found.2 + 1).min(3);
        true
    }

    fn evict(&mut self) -> Option<u32> {
        self.was_full = true;
        let (small_window, soon) = self.windows();
        loop {
            let (small, main) = (sum(&self.small), sum(&self.main));
            let small_has_its_share = small * self.settings.capacity >= (small + main) * self.small_target;
            if !self.small.is_empty() && (small_has_its_share || self.main.is_empty()) {
                let (key, size, hits) = self.small.pop_front()?;
                if hits >= self.settings.promote_at {
                    self.main.push_back((key, size, 0));
                    continue;
                }
                remember(&mut self.small_ghost, key, size, small_window);
                return Some(key);
            }
            let (key, size, hits) = self.main.pop_front()?;
            if hits > 0 {
                self.main.push_back((key, size, hits - 1));
                continue;
            }
            remember(&mut self.main_ghost, key, size, soon);
            return Some(key);
        }
    }

    fn insert(&mut self, key: u32, size: u64) {
        let (small_window, soon) = self.windows();
        let from_small = take(&mut self.small_ghost, key, small_window);
        let from_main =
            if from_small.is_none() && soon > 0 { take(&mut self.main_ghost, key, soon) } else { None };
        let percent = |share: u8| self.settings.capacity * u64::from(share) / 100;
        let (least, most) =
            (percent(self.settings.least_small_share), percent(self.settings.most_small_share));
        match (from_small, from_main) {
            (Some(since), _) if since <= soon => {
                self.small_target = (self.small_target + size).clamp(least, most)
            }
            (_, Some(_)) => self.small_target = self.small_target.saturating_sub(size).clamp(least, most),
            _ => {}
        }
        let first_fill = !self.was_full && sum(&self.small) >= self.small_target;
        if from_small.is_some() || from_main.is_some() || first_fill {
            self.main.push_back((key, size, 0));
        } else {
            self.small.push_back((key, size, 0));
        }
    }

    fn purge(&mut self, key: u32) {
        self.small.retain(|(known, ..)| *known != key);
        self.main.retain(|(known, ..)| *known != key);
    }
}

/// Drives an evictor as a cache over keys; every stay of a key has an id of its own.
struct Cache {
    evictor: Evictor,
    book: Book,
    ids: HashMap<u32, u32>,
    next: u32,
}

impl Cache {
    fn id_of(&self, key: u32) -> Option<u32> {
        self.ids.get(&key).copied()
    }

    fn evict(&mut self) -> Option<u32> {
        let id = victim(&mut self.evictor, &self.book)?;
        let key =
            self.ids.iter().find(|(_, known)| **known == id).map(|(key, _)| *key).expect("it was there");
        self.ids.remove(&key);
        Some(key)
    }

    fn insert(&mut self, key: u32, bytes: u64) {
        let known = Known { bytes, fingerprint: fingerprint(key), frequency: 0, hold: Hold::Free };
        self.book.entries.borrow_mut().insert(self.next, known);
        self.ids.insert(key, self.next);
        self.evictor.insert(self.next, known.fingerprint, bytes);
        self.next += 1;
    }
}

/// One in eight requests is a purge.
fn compare(settings: Settings, requests: &[(u32, u8)], size: impl Fn(u32) -> u64) {
    let mut reference = Reference::new(settings);
    let (evictor, book) = (Evictor::new(settings), Book::default());
    let mut cache = Cache { evictor, book, ids: HashMap::new(), next: 0 };
    for &(key, kind) in requests {
        let size = size(key);
        if kind == 0 {
            reference.purge(key);
            if let Some(id) = cache.ids.remove(&key) {
                cache.evictor.removed(id, size);
            }
            continue;
        }
        assert_eq!(reference.hit(key), cache.id_of(key).is_some());
        if let Some(id) = cache.id_of(key) {
            cache.book.change(id, |known| known.frequency = (known.frequency + 1).min(MOST_HITS));
            continue;
        }
        while sum(&reference.small) + sum(&reference.main) + size > settings.capacity {
            let gone = reference.evict();
            assert_eq!(cache.evict(), gone);
            if gone.is_none() {
                break;
            }
        }
        reference.insert(key, size);
        cache.insert(key, size);
        let usage = cache.evictor.usage();
        assert_eq!(usage.small_target, reference.small_target);
        assert_eq!((usage.small.bytes, usage.main.bytes), (sum(&reference.small), sum(&reference.main)));
    }
}

/// As published: nothing is learned.
fn published(capacity: u64, promote_at: u8) -> Settings {
    Settings { soon: 0, least_small_share: 10, most_small_share: 10, promote_at, ..tiny(capacity) }
}

fn requests() -> impl Strategy<Value = Vec<(u32, u8)>> {
    // Some keys are asked for much more often than others.
    let key = prop_oneof![3 => 0..20_u32, 2 => 0..80_u32, 1 => 0..500_u32];
    vec((key, 0..8_u8), 1..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn unit_weights_give_s3_fifo_as_published(capacity in 1..100_u64, promote_at in 1..3_u8, requests in requests()) {
        compare(published(capacity, promote_at), &requests, |_| 1);
    }

    #[test]
    fn other_weights_give_the_same_by_bytes(capacity in 10..400_u64, requests in requests()) {
        compare(published(capacity, 1), &requests, |key| u64::from(key % 7 + 1));
    }

    #[test]
    fn the_share_learns_as_the_reference_does(capacity in 10..400_u64, requests in requests()) {
        compare(tiny(capacity), &requests, |key| u64::from(key % 7 + 1));
    }
}
