//! [`Pieces`]: the bytes of a small body in memory, as they came.
//!
//! A plain value; its [`Body`](crate::Body) owns and locks it. Invariant: a few dozen pieces at most, however the bytes
//! come: short neighbours are joined like the digits of a binary counter.

use bytes::{Bytes, BytesMut};

/// Pieces that are never joined.
const FEW: usize = 16;

/// The bytes of a small body so far.
pub(crate) struct Pieces {
    capacity: u64,
    pieces: Vec<Bytes>,
}

impl Pieces {
    /// No bytes yet, `capacity` at most.
    pub(crate) fn new(capacity: u64) -> Self {
        Self { capacity, pieces: Vec::new() }
    }

    /// What is counted against the memory budget.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.pieces.push(bytes);
        while let [.., before, last] = &self.pieces[..]
            && self.pieces.len() > FEW
            && before.len() <= last.len()
        {
            let joined = concat(&[before.clone(), last.clone()]);
            self.pieces.truncate(self.pieces.len() - 2);
            self.pieces.push(joined);
        }
    }

    /// The bytes from `offset` on, up to `end`, as far as they lie in one piece; `offset` must be before the last byte.
    pub(crate) fn slice(&self, offset: u64, end: u64) -> Bytes {
        let mut start = 0;
        for piece in &self.pieces {
            let stop = start + piece.len() as u64;
            if offset < stop {
                return piece.slice((offset - start) as usize..(end.min(stop) - start) as usize);
            }
            start = stop;
        }
        Bytes::new()
    }

    /// All bytes in one allocation of their own.
    pub(crate) fn join(&self) -> Bytes {
        concat(&self.pieces)
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self { capacity: bytes.len() as u64, pieces: vec![bytes] }
    }
}

fn concat(pieces: &[Bytes]) -> Bytes {
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
    joined.freeze()
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use bytes::Bytes;

    use super::Pieces;

    #[test]
    fn a_body_that_comes_byte_by_byte_stays_a_few_pieces() {
        let bytes: Vec<u8> = (0..4096).map(|at| at as u8).collect();
        let mut pieces = Pieces::new(4096);
        for byte in &bytes {
            pieces.push(Bytes::copy_from_slice(&[*byte]));
            assert!(pieces.pieces.len() < 32);
        }
        assert_eq!(pieces.join(), bytes);
    }

    #[test]
    fn a_slice_lies_in_one_piece() {
        let mut pieces = Pieces::new(9);
        ["abc", "def", "ghi"].into_iter().for_each(|piece| pieces.push(Bytes::from_static(piece.as_bytes())));
        assert_eq!(pieces.slice(0, 9), "abc");
        assert_eq!(pieces.slice(4, 9), "ef");
        assert_eq!(pieces.slice(4, 5), "e");
        assert_eq!(pieces.slice(8, 9), "i");
    }
}
