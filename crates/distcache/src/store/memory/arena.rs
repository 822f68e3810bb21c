//! Memory for secrets: pieces of 128 bytes, chained.
//!
//! A session takes as many pieces as it needs, from anywhere: no size classes, no fragmentation, one free list. The
//! regions the pieces come from are anonymous mappings, locked in memory and left out of core dumps where the system
//! allows it; they are kept until the store goes. A piece that is given back is wiped first.
//!
//! Piece numbers are handed out by `store` and valid until `wipe`; nobody else changes them.

use std::io;

use memmap2::{Advice, MmapMut};
use zeroize::Zeroize;

use crate::secret;

/// Bytes of a piece.
pub(super) const PIECE: usize = 128;
/// The number of the next piece, at the start of each.
const LINK: usize = 4;
const DATA: usize = PIECE - LINK;
/// Bytes of a region.
const REGION: usize = 128 * 1024;
const PIECES: usize = REGION / PIECE;

/// How many pieces so many bytes take.
pub(super) const fn pieces(bytes: usize) -> usize {
    bytes.div_ceil(DATA)
}

/// See the module.
#[derive(Default)]
pub(super) struct Arena {
    regions: Vec<MmapMut>,
    /// First of the pieces given back, when there are any.
    given_back: u32,
    given_back_count: usize,
    /// Pieces never used yet are those from here on.
    fresh: u32,
    unlocked: usize,
}

impl Arena {
    /// Stores id and session in a row; returns their first piece.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn store(&mut self, id: &[u8], session: &[u8]) -> io::Result<u32> {
        let mut left = pieces(id.len() + session.len());
        self.reserve(left)?;
        let first = self.take();
        let (mut piece, mut at) = (first, LINK);
        for mut part in [id, session] {
            while !part.is_empty() {
                if at == PIECE {
                    left -= 1;
                    let next = self.take();
                    self.piece_mut(piece)[..LINK].copy_from_slice(&next.to_le_bytes());
                    (piece, at) = (next, LINK);
                }
                let count = part.len().min(PIECE - at);
                self.piece_mut(piece)[at..at + count].copy_from_slice(&part[..count]);
                at += count;
                part = &part[count..];
            }
        }
        debug_assert_eq!(left, 1, "as many pieces as were reserved");
        Ok(first)
    }

    /// The first bytes from this piece on; an id always fits one piece.
    pub(super) fn start(&self, first: u32, length: u8) -> &[u8] {
        &self.piece(first)[LINK..LINK + usize::from(length)]
    }

    /// Appends `length` bytes after the first `skip` to `out`.
    pub(super) fn copy(&self, first: u32, skip: usize, length: usize, out: &mut Vec<u8>) {
        secret::reserve(out, length);
        let (mut bytes, mut skip, mut left) = (self.piece(first), skip, length);
        loop {
            let data = &bytes[LINK + skip..];
            let count = data.len().min(left);
            out.extend_from_slice(&data[..count]);
            left -= count;
            if left == 0 {
                return;
            }
            bytes = self.piece(link(bytes));
            skip = 0;
        }
    }

    /// Wipes so many pieces from this one on and gives them back.
    pub(super) fn wipe(&mut self, first: u32, count: usize) {
        let mut number = first;
        for _ in 0..count {
            let given_back = self.given_back;
            let piece = self.piece_mut(number);
            let next = link(piece);
            piece[LINK..].zeroize();
            piece[..LINK].copy_from_slice(&given_back.to_le_bytes());
            self.given_back = number;
            number = next;
        }
        self.given_back_count += count;
    }

    /// Bytes of all regions.
    pub(super) fn reserved(&self) -> usize {
        self.regions.len() * REGION
    }

    /// Bytes of the regions that could not be locked.
    pub(super) fn unlocked(&self) -> usize {
        self.unlocked
    }

    /// Everything that any secret can lie in.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.regions.iter().flat_map(|region| region.iter().copied())
    }

    fn reserve(&mut self, count: usize) -> io::Result<()> {
        while self.given_back_count + self.regions.len() * PIECES - (self.fresh as usize) < count {
            let region = MmapMut::map_anon(REGION)?;
            if region.lock().is_err() {
                self.unlocked += REGION;
            }
            // Old kernels without it dump more; that must not keep sessions from being stored.
            let _ = region.advise(Advice::DontDump);
            self.regions.push(region);
        }
        Ok(())
    }

    /// A piece, after `reserve`.
    fn take(&mut self) -> u32 {
        if self.given_back_count == 0 {
            self.fresh += 1;
            return self.fresh - 1;
        }
        let number = self.given_back;
        self.given_back = link(self.piece(number));
        self.given_back_count -= 1;
        number
    }

    fn piece(&self, number: u32) -> &[u8] {
        let (region, at) = place(number);
        &self.regions[region][at..at + PIECE]
    }

    fn piece_mut(&mut self, number: u32) -> &mut [u8] {
        let (region, at) = place(number);
        &mut self.regions[region][at..at + PIECE]
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.regions.iter_mut().for_each(|region| region.zeroize());
    }
}

fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    (number / PIECES, number % PIECES * PIECE)
}

fn link(piece: &[u8]) -> u32 {
    piece.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
