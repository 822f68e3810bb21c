//! [`Evictor`]: which entry goes next when room is needed. S3-FIFO by bytes: a *small* queue where entries are on
//! probation, a *main* queue with second chances, *ghosts* that remember who left lately.
//!
//! Owns the order of the queues, the bytes in them and the ghosts; nothing else. What an entry is (its size, how often it
//! was hit, whether it may go) is asked from a [`Ledger`]. Everybody who has it exclusively may call; callers that
//! share it put it behind one lock. The same calls give the same answers.
//!
//! # Invariants
//! 1. An id is in at most one queue. It leaves by [`Evictor::victim`] or by [`Evictor::removed`], once.
//! 2. `usage` is the sum of the weights of the ids that are queued, at any time.
//! 3. [`Hold::Held`] and [`Hold::Young`] entries are never victims.
//! 4. One call of `victim` looks at no more entries than `Settings::looks`.
//!
//! # How it decides
//! A new entry goes to the small queue, to the main queue if a ghost knows it. While the small queue has more than its
//! share of all bytes, its oldest is judged: hit often enough, it moves to main; else it goes, and its ghost remembers
//! it. Otherwise the oldest of main is judged: if it was hit, it is queued again with one hit less, else it goes.
//!
//! Beyond the published algorithm (Yang et al., SOSP 2023), each because the traces in `benches/results` ask for it:
//! - *The share learns.* An entry that comes back soon after it left a queue would have been a hit, had that queue been
//!   a little longer: the share moves by the entry's bytes towards that queue.
//! - *The first fill is spread.* Until something had to go, the small queue takes its share and main the rest.
//! - *Huge objects must come twice* once they would push others out ([`Evictor::admits`]).
//!
//! An id that is removed leaves its *cell* behind in the queue, a tombstone. The [`marks`] count an id's tombstones, so
//! that an id can be used again at once: the youngest cell is the living one. When more cells are dead than alive, a
//! queue is swept, a few cells at a time.
//!
//! Deliberately not here: clocks, files, locks, deciding when room is needed.

mod ghost;
mod heat;
mod marks;
mod order;
mod queue;
#[cfg(all(test, not(loom)))]
mod tests;

pub use heat::Heat;

use ghost::Ghost;
use marks::Marks;
use queue::Queue;

/// Most hits that are counted for an entry between two judgements.
pub const MOST_HITS: u8 = 3;

/// How an [`Evictor`] works. The defaults are what the traces in `benches/results` speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that all entries together may have; the small queue's ghost remembers nine tenths as many.
    pub capacity: u64,
    /// The small queue's share of the bytes at first, in percent.
    pub small_share: u8,
    /// The least it may become by learning.
    pub least_small_share: u8,
    /// The most it may become by learning.
    pub most_small_share: u8,
    /// What is *soon* for an entry that comes back: as many bytes left the queue after it as this part of the capacity,
    /// in percent. 0: nothing is learned, and main has no ghost.
    pub soon: u8,
    /// Hits in the small queue that move an entry to main.
    pub promote_at: u8,
    /// An object longer than the capacity divided by this is huge.
    pub huge_part: u64,
    /// Every entry weighs at least this many bytes, so that tiny ones are not free.
    pub least_weight: u64,
    /// Most entries that the small queue's ghost remembers; 4 bytes of memory each, taken as the number of entries
    /// grows. Main's ghost has an eighth.
    pub ghost_slots: usize,
    /// Most entries that one call of [`Evictor::victim`] looks at.
    pub looks: usize,
}

impl Settings {
    /// The defaults for a store of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self {
            capacity,
            small_share: 10,
            least_small_share: 1,
            most_small_share: 60,
            soon: 10,
            promote_at: 1,
            huge_part: 8,
            least_weight: 1 << 10,
            ghost_slots: 4 << 20,
            looks: 256,
        }
    }
}

/// What the owner of the entries knows about them. Called from [`Evictor::victim`] only.
pub trait Ledger {
    /// An entry as it is now; `None` if it is being removed and [`Evictor::removed`] will follow.
    fn look(&self, id: u32) -> Option<Look>;
    /// Lowers the count of hits: the entry was judged. A hit that comes between and is lost does no harm.
    fn set_frequency(&self, id: u32, frequency: u8);
}

/// An entry in the eyes of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its size, as it was given last to the [`Evictor`].
    pub bytes: u64,
    /// Any eight bytes of its key, evenly spread: what the ghost remembers.
    pub fingerprint: u64,
    /// Hits since it was queued or judged, at most [`MOST_HITS`].
    pub frequency: u8,
    /// Whether it may go.
    pub hold: Hold,
}

/// Whether an entry may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It may.
    Free,
    /// Not yet: it was used too lately. Those queued after it in the small queue are taken to be young too.
    Young,
    /// Not while somebody wants it to stay: pinned, leased, growing.
    Held,
}

/// The answer of [`Evictor::victim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This entry goes. It is in no queue any more; an owner who cannot let it go after all gives it to
    /// [`Evictor::keep`].
    Evict(u32),
    /// As much as one call may do was done without an answer: let others have their turn, then call again.
    Again,
    /// Nothing may go. Asking again helps only after entries came, were released or grew old.
    Nothing,
}

/// One of the two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Small,
    Main,
}

/// What one queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Entries.
    pub entries: usize,
    /// Their weights: bytes, at least [`Settings::least_weight`] an entry.
    pub bytes: u64,
}

/// What an [`Evictor`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries on probation.
    pub small: Level,
    /// Entries with second chances.
    pub main: Level,
    /// Entries that the ghosts can remember at present.
    pub ghost_slots: usize,
    /// Bytes that the small queue should have of a full store.
    pub small_target: u64,
    /// Memory of queues, marks and ghosts, in bytes.
    pub memory: usize,
}

/// Orders entries for eviction. Ids are the owner's; small memory needs them in clusters (4096 ids share a table).
pub struct Evictor {
    settings: Settings,
    small: Queue,
    main: Queue,
    marks: Marks,
    /// Who left the small queue.
    small_ghost: Ghost,
    /// Who left main a moment ago.
    main_ghost: Ghost,
    /// Bytes that the small queue should have when all entries together have `capacity`.
    small_target: u64,
    /// Something had to go once: from now on, room is made by evicting.
    was_full: bool,
    /// The search for a victim so far: entries of main that were looked at in a row and may not go.
    stuck: usize,
    /// The search so far: the oldest of the small queue is young.
    small_waits: bool,
}

impl Evictor {
    /// An evictor without entries.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            small_ghost: Ghost::new(percent(settings.capacity, 90), settings.ghost_slots),
            main_ghost: Ghost::new(percent(settings.capacity, settings.soon), settings.ghost_slots / 8),
            small_target: percent(settings.capacity, settings.small_share),
            settings,
            small: Queue::default(),
            main: Queue::default(),
            marks: Marks::default(),
            was_full: false,
            stuck: 0,
            small_waits: false,
        }
    }

    /// Changes how many bytes all entries together may have.
    pub fn set_capacity(&mut self, bytes: u64) {
        let share =
            u128::from(self.small_target) * u128::from(bytes) / u128::from(self.settings.capacity.max(1));
        self.settings.capacity = bytes;
        self.small_target = u64::try_from(share).unwrap_or(u64::MAX);
        self.learn(0, 0);
        self.small_ghost.set_window(percent(bytes, 90));
        self.main_ghost.set_window(percent(bytes, self.settings.soon));
    }

    /// Whether an object is worth the room it needs. Not if it is huge, others would have to go for it, and it was not
    /// asked for lately: it then is remembered, and is welcome the next time. Whoever asks is free to store it
    /// nevertheless.
    pub fn admits(&mut self, fingerprint: u64, bytes: u64) -> bool {
        let is_huge = bytes > self.settings.capacity / self.settings.huge_part.max(1);
        let free = self.settings.capacity.saturating_sub(self.bytes());
        if !is_huge || bytes <= free || self.small_ghost.knows(fingerprint) {
            return true;
        }
        self.small_ghost.remember(fingerprint, bytes);
        false
    }

    /// Queues a new entry. An id that is queued already stays where it is.
    pub fn insert(&mut self, id: u32, fingerprint: u64, bytes: u64) {
        if self.marks.place(id).is_some() {
            return;
        }
        let weight = self.weight(bytes);
        let is_back = self.is_back(fingerprint, weight);
        let first_fill = !self.was_full && self.small.level.bytes >= self.small_target;
        let place = if is_back || first_fill { Place::Main } else { Place::Small };
        self.push(place, id, weight);
        self.fit_ghosts();
    }

    /// Whether a ghost knows a new entry; what there is to learn from that is learned.
    fn is_back(&mut self, fingerprint: u64, weight: u64) -> bool {
        let soon = percent(self.settings.capacity, self.settings.soon);
        if let Some(since) = self.small_ghost.take(fingerprint) {
            if since <= soon {
                self.learn(weight, 0);
            }
            return true;
        }
        let is_back = soon > 0 && self.main_ghost.take(fingerprint).is_some();
        if is_back {
            self.learn(0, weight);
        }
        is_back
    }

    /// Moves the small queue's share by these bytes.
    fn learn(&mut self, more: u64, less: u64) {
        let least = percent(self.settings.capacity, self.settings.least_small_share);
        let most = percent(self.settings.capacity, self.settings.most_small_share);
        let target = self.small_target.saturating_add(more).saturating_sub(less);
        self.small_target = target.min(most).max(least);
    }

    /// Queues an entry that was to go and stays after all, as the youngest of main.
    pub fn keep(&mut self, id: u32, bytes: u64) {
        if self.marks.place(id).is_none() {
            self.push(Place::Main, id, self.weight(bytes));
        }
    }

    /// Queues an entry of an earlier run, in front of all that were inserted in this one (but for those that were there
    /// when most of a queue was removed): before `insert` or `removed` hear of its id, and in the order of age among those
    /// with the same [`Heat`].
    pub fn recall(&mut self, id: u32, heat: Heat, bytes: u64) {
        if !self.marks.is_unknown(id) {
            return;
        }
        let place = heat.place();
        self.marks.settle(id, place);
        let weight = self.weight(bytes);
        self.queue(place).recall(id, heat.rank(), weight);
        self.fit_ghosts();
    }

    /// Takes an entry out because it is gone. An id that is not queued is none of our business: no effect.
    pub fn removed(&mut self, id: u32, bytes: u64) {
        let Some(place) = self.marks.place(id) else { return };
        self.marks.bury(id, place);
        self.search_anew();
        let weight = self.weight(bytes);
        let (queue, marks) = self.queue_and_marks(place);
        queue.bury(weight, |id| marks.meet(id, place));
    }

    /// The size of a queued entry changed.
    pub fn resized(&mut self, id: u32, before: u64, after: u64) {
        let Some(place) = self.marks.place(id) else { return };
        let (before, after) = (self.weight(before), self.weight(after));
        let level = &mut self.queue(place).level;
        level.bytes = level.bytes.saturating_sub(before) + after;
    }

    /// Who goes next.
    pub fn victim(&mut self, ledger: &impl Ledger) -> Verdict {
        self.was_full = true;
        for _ in 0..self.settings.looks.max(1) {
            let main_is_stuck = self.stuck >= self.main.level.entries;
            let small_may = !self.small_waits && self.small.level.entries > 0;
            let goes = if small_may && (main_is_stuck || self.small_has_its_share()) {
                self.judge_small(ledger)
            } else if !main_is_stuck {
                self.judge_main(ledger)
            } else {
                self.search_anew();
                return Verdict::Nothing;
            };
            if let Some(id) = goes {
                self.search_anew();
                return Verdict::Evict(id);
            }
        }
        Verdict::Again
    }

    fn search_anew(&mut self) {
        self.stuck = 0;
        self.small_waits = false;
    }

    /// Judges the oldest of the small queue; answers its id if it goes.
    fn judge_small(&mut self, ledger: &impl Ledger) -> Option<u32> {
        let marks = &mut self.marks;
        let id = self.small.front(|id| marks.meet(id, Place::Small))?;
        let Some(look) = ledger.look(id) else {
            self.small.rotate();
            self.small_waits = true;
            return None;
        };
        if look.frequency >= self.settings.promote_at {
            ledger.set_frequency(id, 0);
            self.promote(id, look.bytes);
            return None;
        }
        match look.hold {
            Hold::Free => {
                self.pop(Place::Small, id, look.bytes);
                self.small_ghost.remember(look.fingerprint, self.weight(look.bytes));
                Some(id)
            }
            Hold::Young => {
                self.small_waits = true;
                None
            }
            // What must stay is not on probation.
            Hold::Held => {
                self.promote(id, look.bytes);
                None
            }
        }
    }

    /// Judges the oldest of main; answers its id if it goes.
    fn judge_main(&mut self, ledger: &impl Ledger) -> Option<u32> {
        let marks = &mut self.marks;
        let id = self.main.front(|id| marks.meet(id, Place::Main))?;
        match ledger.look(id).filter(|look| look.hold == Hold::Free) {
            Some(look) if look.frequency == 0 => {
                self.pop(Place::Main, id, look.bytes);
                self.main_ghost.remember(look.fingerprint, self.weight(look.bytes));
                Some(id)
            }
            Some(look) => {
                ledger.set_frequency(id, look.frequency.min(MOST_HITS) - 1);
                self.stuck = 0;
                self.main.rotate();
                None
            }
            None => {
                self.stuck += 1;
                self.main.rotate();
                None
            }
        }
    }

    /// What is in the queues and what they cost.
    pub fn usage(&self) -> Usage {
        Usage {
            small: self.small.level,
            main: self.main.level,
            ghost_slots: self.small_ghost.slots() + self.main_ghost.slots(),
            small_target: self.small_target,
            memory: self.small.memory()
                + self.main.memory()
                + self.marks.memory()
                + self.small_ghost.memory()
                + self.main_ghost.memory(),
        }
    }

    /// In proportion, because all bytes may be far from the capacity: bodies are shared, quotas are lowered.
    fn small_has_its_share(&self) -> bool {
        let all = u128::from(self.bytes()) * u128::from(self.small_target);
        u128::from(self.small.level.bytes) * u128::from(self.settings.capacity) >= all
    }

    fn bytes(&self) -> u64 {
        self.small.level.bytes + self.main.level.bytes
    }

    fn fit_ghosts(&mut self) {
        let entries = self.small.level.entries + self.main.level.entries;
        self.small_ghost.fit(entries);
        self.main_ghost.fit(entries / 8);
    }

    fn weight(&self, bytes: u64) -> u64 {
        bytes.max(self.settings.least_weight)
    }

    fn queue(&mut self, place: Place) -> &mut Queue {
        self.queue_and_marks(place).0
    }

    fn queue_and_marks(&mut self, place: Place) -> (&mut Queue, &mut Marks) {
        match place {
            Place::Small => (&mut self.small, &mut self.marks),
            Place::Main => (&mut self.main, &mut self.marks),
        }
    }

    fn push(&mut self, place: Place, id: u32, weight: u64) {
        if place == Place::Main {
            // A search that has been through main has not seen this one.
            self.stuck = 0;
        }
        let has_cell = self.marks.adopt(id, place);
        let queue = self.queue(place);
        if has_cell {
            queue.revive(weight);
        } else {
            queue.push(id, weight);
        }
    }

    /// Takes out the id at the front.
    fn pop(&mut self, place: Place, id: u32, bytes: u64) {
        self.marks.leave(id);
        let weight = self.weight(bytes);
        self.queue(place).pop(weight);
    }

    fn promote(&mut self, id: u32, bytes: u64) {
        self.pop(Place::Small, id, bytes);
        self.push(Place::Main, id, self.weight(bytes));
    }
}

fn percent(bytes: u64, percent: u8) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}
