//! How a request's head is framed, for the fuzz targets.

use super::raw_head::{Framing, RawHead};

/// Whether the head of a request that came in these pieces says by chunks alone where it ends.
pub fn is_chunked(pieces: &[&[u8]]) -> bool {
    let head = RawHead::default();
    pieces.iter().for_each(|piece| head.note(piece));
    head.framing() == Framing::Chunked
}
