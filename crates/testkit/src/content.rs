//! [`Content`]: endless reproducible bytes with access at any offset.
//!
//! A seed gives a block of pseudo-random bytes whose length is prime; the content is that block repeated. Bytes
//! that land at a wrong offset differ (but for a shift by exactly the prime), and copying and comparing run at
//! the speed of memory even in a debug build, so bodies of many GiB cost no memory and little time.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use parking_lot::Mutex;

/// Length of the repeated block: the largest prime below 1 MiB.
const PERIOD: usize = 1_048_573;

static BLOCKS: LazyLock<Mutex<HashMap<u64, Arc<[u8]>>>> = LazyLock::new(Mutex::default);

/// The first `len` bytes of the content of `seed`.
pub fn content(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    Content::new(seed).copy(0, &mut bytes);
    bytes.into()
}

/// The endless content of one seed.
#[derive(Clone, Debug)]
pub struct Content {
    block: Arc<[u8]>,
}

impl Content {
    /// The content of `seed`.
    pub fn new(seed: u64) -> Self {
        let block = Arc::clone(BLOCKS.lock().entry(seed).or_insert_with(|| generate(seed)));
        Self { block }
    }

    /// Fills `out` with the bytes from `offset` on.
    pub fn copy(&self, offset: u64, out: &mut [u8]) {
        let mut done = 0;
        while done < out.len() {
            let piece = self.piece(offset + done as u64, out.len() - done);
            out[done..done + piece.len()].copy_from_slice(piece);
            done += piece.len();
        }
    }

    /// Panics when `bytes` are not the content from `offset` on, naming the first wrong offset.
    pub fn assert_matches(&self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let piece = self.piece(offset + done as u64, bytes.len() - done);
            let got = &bytes[done..done + piece.len()];
            if got != piece {
                let wrong = got.iter().zip(piece).position(|(a, b)| a != b).unwrap_or(0);
                panic!("wrong byte at offset {}", offset + (done + wrong) as u64);
            }
            done += piece.len();
        }
    }

    /// The content from `offset` on, at most `limit` bytes, up to the end of the block.
    fn piece(&self, offset: u64, limit: usize) -> &[u8] {
        let start = (offset % PERIOD as u64) as usize;
        &self.block[start..PERIOD.min(start.saturating_add(limit))]
    }
}

/// The block of `seed`, by splitmix64.
fn generate(seed: u64) -> Arc<[u8]> {
    let mut state = seed;
    let mut block = Vec::with_capacity(PERIOD + 8);
    while block.len() < PERIOD {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        block.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    block.truncate(PERIOD);
    block.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_gives_the_same_bytes() {
        let whole = content(7, 3 * PERIOD + 11);
        let mut part = vec![0; PERIOD + 5];
        Content::new(7).copy(PERIOD as u64 - 3, &mut part);
        assert_eq!(part, whole[PERIOD - 3..2 * PERIOD + 2]);
        Content::new(7).assert_matches(0, &whole);
        assert_ne!(content(8, 64), whole[..64]);
    }

    #[test]
    #[should_panic(expected = "wrong byte at offset 1048576")]
    fn names_the_first_wrong_byte() {
        let mut bytes = content(7, 2 * PERIOD).to_vec();
        bytes[1_048_576] ^= 1;
        Content::new(7).assert_matches(0, &bytes);
    }
}
