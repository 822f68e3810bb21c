//! [`Content`]: the bytes of one file as the platter has them, and what is on the way there.

/// What a disk writes as a whole, in bytes.
const SECTOR: u64 = 512;

/// The bytes of one file.
pub(super) struct Content {
    durable: Vec<u8>,
    /// Made since the last sync, in order.
    changes: Vec<Change>,
}

enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

impl Content {
    pub(super) fn new(durable: Vec<u8>) -> Self {
        Self { durable, changes: Vec::new() }
    }

    pub(super) fn write(&mut self, offset: u64, bytes: Vec<u8>) {
        self.changes.push(Change::Write { offset, bytes });
    }

    pub(super) fn set_length(&mut self, length: u64) {
        self.changes.push(Change::Length(length));
    }

    /// All changes reach the platter.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            self.take(&change, &mut || true);
        }
    }

    /// Some of the changes have reached the platter, the others never will.
    pub(super) fn give_up(&mut self, random: &mut fastrand::Rng) {
        self.durable = self.survivor(random);
        self.changes.clear();
    }

    /// What may be on the platter now: of each change any of its sectors, so that later ones may be there without
    /// earlier ones, and the length may be ahead of the bytes.
    pub(super) fn survivor(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut survivor = Self { durable: self.durable.clone(), changes: Vec::new() };
        let share = [0.0, 0.5, 0.9, 1.0][random.usize(..4)];
        let mut lucky = || random.f64() < share;
        self.changes.iter().for_each(|change| survivor.take(change, &mut lucky));
        let longest = self.changes.iter().map(Change::end).max().unwrap_or(0) as usize;
        if survivor.durable.len() < longest && random.u8(..4) == 0 {
            survivor.durable.resize(longest, 0);
        }
        survivor.durable
    }

    fn take(&mut self, change: &Change, lucky: &mut impl FnMut() -> bool) {
        match change {
            Change::Length(length) if lucky() => self.durable.resize(*length as usize, 0),
            Change::Length(_) => {}
            Change::Write { offset, bytes } => {
                let mut at = 0;
                while at < bytes.len() {
                    let place = offset + at as u64;
                    let end = bytes.len().min(at + (SECTOR - place % SECTOR) as usize);
                    if lucky() {
                        self.put(place as usize, &bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[offset..end].copy_from_slice(bytes);
    }
}

impl Change {
    fn end(&self) -> u64 {
        match self {
            Change::Write { offset, bytes } => offset + bytes.len() as u64,
            Change::Length(length) => *length,
        }
    }
}
