//! [`Response`] and [`Ending`]: what came, and how it ended.

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Only the head was read.
    Unread,
    /// As the framing said: all declared bytes, the last chunk, or no body at all.
    Complete,
    /// With the connection, as a body without `Content-Length` and chunks does: nobody knows whether it is whole.
    WithConnection,
    /// The connection was closed before the end that the framing promised.
    Cut,
    /// The connection was reset.
    Reset,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status; 0 when the connection ended before a head came.
    pub status: u16,
    /// Names as written, in order.
    pub headers: Vec<(String, String)>,
    /// The bytes that came, chunks joined, codings as they are.
    pub body: Vec<u8>,
    /// How it ended.
    pub ending: Ending,
    /// Whether the answer never has a body: HEAD, 204, 304.
    pub(super) bodyless: bool,
}

impl Response {
    /// The only value of a field; panics when the field comes twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} came twice: {:?}", self.headers);
        value
    }

    /// `Content-Length`, when there is one.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length").map(|value| value.parse().expect("checked when the head was read"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether every byte that was promised has come.
    pub fn is_complete(&self) -> bool {
        self.ending == Ending::Complete
    }

    /// Whether the connection broke before the promised end.
    pub fn is_broken(&self) -> bool {
        matches!(self.ending, Ending::Cut | Ending::Reset)
    }

    /// Panics unless it is a complete answer with this status. Returns itself, for chaining.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let body: String = self.text().chars().take(300).collect();
        assert_eq!(self.status, status, "{:?}: {body:?}", self.headers);
        assert!(self.is_complete(), "{status} ended {:?} after {} bytes", self.ending, self.body.len());
        self
    }

    /// Panics unless it is a complete answer with this status and exactly this body.
    #[track_caller]
    pub fn expect_body(self, status: u16, body: impl AsRef<[u8]>) -> Self {
        let this = self.expect(status);
        let body = body.as_ref();
        if this.body != body {
            let at = this.body.iter().zip(body).position(|(a, b)| a != b);
            panic!("body of {} bytes instead of {}, first difference at {at:?}", this.body.len(), body.len());
        }
        this
    }

    /// Panics unless it is a complete answer with one of these statuses and a body of one clear line.
    #[track_caller]
    pub fn expect_refusal(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "{} {:?} {:?}", self.status, self.headers, self.text());
        assert!(self.is_complete(), "{} ended {:?}", self.status, self.ending);
        let text = self.text();
        assert!(self.bodyless || text.trim().len() > 10, "no sentence: {text:?}");
        assert!(text.trim().lines().count() <= 1, "more than a sentence: {text:?}");
        self
    }
}
