//! The order of eviction as [`Evictor::recall`] needs it after a restart: all at once, or a few cells at a time for an
//! evictor that others use meanwhile. Changes nothing that can be seen.

use super::queue::Queue;
use super::{Evictor, Heat, Place};

impl Evictor {
    /// Every queued id and where it stands, oldest first, the small queue first: what [`Evictor::recall`] needs
    /// after a restart. Takes time in proportion to the number of entries.
    pub fn order(&mut self) -> impl Iterator<Item = (u32, Heat)> {
        let Self { small, main, marks, .. } = self;
        small.compact(|id| marks.meet(id, Place::Small));
        main.compact(|id| marks.meet(id, Place::Main));
        with_heat(Place::Small, small).chain(with_heat(Place::Main, main))
    }

    /// The like of [`Evictor::order`] for a shared evictor, a few cells at a time: calls `visit` with those ids among the
    /// next `most` cells from `from` on that `is_wanted` wants, in order, and says where to go on. What moves between two
    /// calls may be met twice or not at all.
    pub fn page(
        &self,
        from: usize,
        most: usize,
        is_wanted: impl Fn(u32) -> bool,
        mut visit: impl FnMut(u32, Heat),
    ) -> Option<usize> {
        let (small, main) = (self.small.length(), self.main.length());
        let to = from.saturating_add(most).min(small + main);
        for at in from..to {
            let (place, queue, position) = match at.checked_sub(small) {
                None => (Place::Small, &self.small, at),
                Some(position) => (Place::Main, &self.main, position),
            };
            let Some(id) = queue.cell(position).filter(|id| is_wanted(*id)) else { continue };
            if self.marks.place(id) == Some(place) {
                visit(id, Heat::at(place, position, queue.length()));
            }
        }
        (to < small + main).then_some(to)
    }
}

fn with_heat(place: Place, queue: &Queue) -> impl Iterator<Item = (u32, Heat)> {
    let entries = queue.level.entries;
    queue.cells().enumerate().map(move |(position, id)| (id, Heat::at(place, position, entries)))
}
