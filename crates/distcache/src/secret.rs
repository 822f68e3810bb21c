//! Buffers that hold secrets: wiped when emptied, wiped when they move.

use zeroize::Zeroize;

/// Wipes and empties a buffer; its memory stays for the next use.
pub(crate) fn empty(buffer: &mut Vec<u8>) {
    buffer.as_mut_slice().zeroize();
    buffer.clear();
}

/// Wipes and drops the first `count` bytes.
pub(crate) fn drop_front(buffer: &mut Vec<u8>, count: usize) {
    if count == buffer.len() {
        return empty(buffer);
    }
    buffer.copy_within(count.., 0);
    let left = buffer.len() - count;
    buffer[left..].zeroize();
    buffer.truncate(left);
}

/// Appends, and wipes the old memory when the buffer has to move.
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    reserve(buffer, bytes.len());
    buffer.extend_from_slice(bytes);
}

/// Makes room for so many bytes more, and wipes the old memory when the buffer has to move.
pub(crate) fn reserve(buffer: &mut Vec<u8>, more: usize) {
    let needed = buffer.len() + more;
    if needed <= buffer.capacity() {
        return;
    }
    let mut larger = Vec::with_capacity(needed.max(2 * buffer.capacity()));
    larger.extend_from_slice(buffer);
    buffer.zeroize();
    *buffer = larger;
}
