//! [`Marks`]: one byte for every id: the queue it is in, and how many dead cells of it stand in each queue.
//!
//! Invariant: in a queue, an id has its dead cells first and its living one, if any, last; at most [`MOST_CELLS`] in
//! all. Instead of one more, the id takes its youngest dead cell over: it then is a little older than it should be.

use hashbrown::HashMap;

use super::Place;

/// Ids of a table.
const TABLE: usize = 4096;
/// Cells of one id in one queue.
const MOST_CELLS: u8 = 3;

/// bits 0-1: the queue (0 none); bits 2-3, 4-5: dead cells in small, in main.
#[derive(Default)]
pub(super) struct Marks {
    tables: HashMap<u32, Box<[u8; TABLE]>>,
}

impl Marks {
    /// The queue an id is in.
    pub(super) fn place(&self, id: u32) -> Option<Place> {
        match self.get(id) & 3 {
            1 => Some(Place::Small),
            2 => Some(Place::Main),
            _ => None,
        }
    }

    /// Whether there is no cell of an id.
    pub(super) fn is_unknown(&self, id: u32) -> bool {
        self.get(id) == 0
    }

    /// The id enters a queue, with a new cell.
    pub(super) fn settle(&mut self, id: u32, place: Place) {
        let mark = self.at(id);
        *mark = (*mark & !3) | place_bits(place);
    }

    /// The id enters a queue; answers whether it takes a dead cell over and needs no new one.
    pub(super) fn adopt(&mut self, id: u32, place: Place) -> bool {
        self.settle(id, place);
        let mark = self.at(id);
        let full = dead(*mark, place) == MOST_CELLS;
        if full {
            *mark -= one_dead(place);
        }
        full
    }

    /// The id leaves its queue with its cell.
    pub(super) fn leave(&mut self, id: u32) {
        *self.at(id) &= !3;
    }

    /// The id leaves its queue, its cell stays behind dead.
    pub(super) fn bury(&mut self, id: u32, place: Place) {
        let mark = self.at(id);
        *mark = (*mark & !3) + one_dead(place);
    }

    /// A cell of the id is met on the way from the front of a queue: whether it lives. A dead one is counted off.
    pub(super) fn meet(&mut self, id: u32, place: Place) -> bool {
        let mark = self.at(id);
        if dead(*mark, place) == 0 {
            return true;
        }
        *mark -= one_dead(place);
        false
    }

    pub(super) fn memory(&self) -> usize {
        self.tables.len() * TABLE + self.tables.allocation_size()
    }

    fn get(&self, id: u32) -> u8 {
        let (table, at) = split(id);
        self.tables.get(&table).map_or(0, |marks| marks[at])
    }

    fn at(&mut self, id: u32) -> &mut u8 {
        let (table, at) = split(id);
        &mut self.tables.entry(table).or_insert_with(|| Box::new([0; TABLE]))[at]
    }
}

fn split(id: u32) -> (u32, usize) {
    (id / TABLE as u32, id as usize % TABLE)
}

fn place_bits(place: Place) -> u8 {
    match place {
        Place::Small => 1,
        Place::Main => 2,
    }
}

fn one_dead(place: Place) -> u8 {
    match place {
        Place::Small => 1 << 2,
        Place::Main => 1 << 4,
    }
}

fn dead(mark: u8, place: Place) -> u8 {
    (mark / one_dead(place)) & 3
}
