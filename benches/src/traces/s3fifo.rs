//! [`S3Fifo`]: the store's own eviction, driven as the store drives it.

use std::cell::Cell;

use store::eviction::{Evictor, Hold, Ledger, Look, MOST_HITS, Settings, Verdict};

use super::simulator::Policy;
use super::synthetic::spread;
use super::trace::Request;

/// The store's eviction over dense keys; a key is its own id.
pub(super) struct S3Fifo {
    capacity: u64,
    used: u64,
    evictor: Evictor,
    objects: Objects,
}

#[derive(Clone, Default)]
struct Object {
    bytes: u64,
    frequency: Cell<u8>,
    is_here: bool,
}

struct Objects(Vec<Object>);

impl Ledger for Objects {
    fn look(&self, id: u32) -> Option<Look> {
        let object = &self.0[id as usize];
        Some(Look {
            bytes: object.bytes,
            fingerprint: spread(u64::from(id)),
            frequency: object.frequency.get(),
            hold: Hold::Free,
        })
    }

    fn set_frequency(&self, id: u32, frequency: u8) {
        self.0[id as usize].frequency.set(frequency);
    }
}

impl S3Fifo {
    pub(super) fn new(settings: Settings, objects: usize) -> Self {
        Self {
            capacity: settings.capacity,
            used: 0,
            evictor: Evictor::new(settings),
            objects: Objects(vec![Object::default(); objects]),
        }
    }

    fn make_room(&mut self, bytes: u64) {
        while self.used + bytes > self.capacity {
            match self.evictor.victim(&self.objects) {
                Verdict::Evict(id) => {
                    let object = &mut self.objects.0[id as usize];
                    object.is_here = false;
                    self.used -= object.bytes;
                }
                Verdict::Again => {}
                Verdict::Nothing => return,
            }
        }
    }
}

impl Policy for S3Fifo {
    fn ask(&mut self, request: Request) -> bool {
        let object = &mut self.objects.0[request.key as usize];
        if object.is_here && object.bytes == request.bytes {
            object.frequency.set((object.frequency.get() + 1).min(MOST_HITS));
            return true;
        }
        if object.is_here {
            object.is_here = false;
            self.used -= object.bytes;
            self.evictor.removed(request.key, object.bytes);
        }
        let fingerprint = spread(u64::from(request.key));
        if request.bytes > self.capacity || !self.evictor.admits(fingerprint, request.bytes) {
            return false;
        }
        self.make_room(request.bytes);
        self.objects.0[request.key as usize] =
            Object { bytes: request.bytes, frequency: Cell::new(0), is_here: true };
        self.used += request.bytes;
        self.evictor.insert(request.key, fingerprint, request.bytes);
        false
    }

    fn bytes(&self) -> u64 {
        self.used
    }
}
