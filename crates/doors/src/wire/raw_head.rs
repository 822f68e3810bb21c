//! [`RawHead`]: the head of a request as it came, for the one question that hyper does not let us ask.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` loses the former on its way through hyper, so that it looks
//! right (RFC 9112 section 6.1 allows that; we refuse it). Only heads that do not begin like GET and HEAD are kept: those
//! have no content here anyway, and hits pay nothing.

use parking_lot::Mutex;

/// Most bytes kept; nobody's head is longer by default.
const MOST: usize = 64 * 1024;

/// The bytes since the last request, if they may be a head with content behind.
#[derive(Debug, Default)]
pub(crate) struct RawHead(Mutex<Kept>);

#[derive(Debug, Default)]
enum Kept {
    /// Nothing has come.
    #[default]
    Nothing,
    /// It begins like a request without content.
    Uninteresting,
    /// This has come.
    Bytes(Vec<u8>),
}

/// How a request with `Transfer-Encoding` says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its chunks.
    Chunked,
    /// In two ways, or its head was not seen: it came in one piece with the request before.
    Doubtful,
}

impl RawHead {
    /// Bytes came while no request was under way.
    pub(super) fn note(&self, bytes: &[u8]) {
        let mut kept = self.0.lock();
        match &mut *kept {
            Kept::Uninteresting => {}
            Kept::Bytes(all) => {
                let room = MOST - all.len().min(MOST);
                all.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Kept::Nothing => {
                let is_read = matches!(bytes.first(), None | Some(b'G' | b'H'));
                *kept = if is_read {
                    Kept::Uninteresting
                } else {
                    Kept::Bytes(bytes[..bytes.len().min(MOST)].to_vec())
                };
            }
        }
    }

    /// A request has begun.
    pub(super) fn forget(&self) {
        let mut kept = self.0.lock();
        if !matches!(*kept, Kept::Nothing) {
            *kept = Kept::Nothing;
        }
    }

    /// What the head of the request that has just begun says of its framing.
    pub(crate) fn framing(&self) -> Framing {
        match &*self.0.lock() {
            // Of a longer head not all is known.
            Kept::Bytes(bytes) if bytes.len() < MOST && says_chunked_alone(bytes) => Framing::Chunked,
            _ => Framing::Doubtful,
        }
    }
}

fn says_chunked_alone(bytes: &[u8]) -> bool {
    let names = |name: &'static [u8]| {
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .skip_while(|line| is_empty(line))
            .take_while(|line| !is_empty(line));
        lines
            .filter(move |line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
            .count()
    };
    names(b"transfer-encoding:") == 1 && names(b"content-length:") == 0
}

fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"" | b"\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(pieces: &[&str]) -> Framing {
        let head = RawHead::default();
        pieces.iter().for_each(|piece| head.note(piece.as_bytes()));
        head.framing()
    }

    #[test]
    fn both_framings_in_one_head_are_seen_in_any_order_case_and_cut() {
        let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(framing(&[chunked, "\r\n"]), Framing::Chunked);
        assert_eq!(framing(&["\r\n", chunked, "\r\n"]), Framing::Chunked);
        // What looks like a field behind the head is content.
        assert_eq!(framing(&[chunked, "\r\n", "Content-Length: 5\r\n"]), Framing::Chunked);
        assert_eq!(framing(&[chunked, "CONTENT-LENGTH: 5\r\n\r\n"]), Framing::Doubtful);
        assert_eq!(
            framing(&["POST / HTTP/1.1\r\nContent-L", "ength:5\nTransfer-Encoding: chunked\r\n\r\n"]),
            Framing::Doubtful
        );
        assert_eq!(framing(&["GET / HTTP/1.1\r\n\r\n", chunked, "\r\n"]), Framing::Doubtful);
        assert_eq!(framing(&[]), Framing::Doubtful);
        let long = format!("X-A: {}\r\n", "a".repeat(MOST));
        assert_eq!(framing(&[chunked, &long, "Content-Length: 5\r\n\r\n"]), Framing::Doubtful);
    }

    #[test]
    fn a_request_that_has_begun_is_forgotten_by_the_next() {
        let head = RawHead::default();
        head.note(b"GET / HTTP/1.1\r\n\r\n");
        head.forget();
        head.note(b"PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(head.framing(), Framing::Chunked);
    }
}
