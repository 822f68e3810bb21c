//! [`Outcome`]: the one word that says how a request was answered.

/// How a request was answered. The same word appears in `Cache-Status`, `X-Cache`, access log and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A complete stored object, fresh enough for this request.
    Hit,
    /// An object that another request's fill is still writing.
    Follow,
    /// This request started the fill.
    Miss,
    /// The origin confirmed the stored object (304).
    Revalidated,
    /// A stored object past its time, because the origin could not be asked.
    Stale,
    /// Some of the asked bytes were stored, the rest was fetched.
    Partial,
    /// Passed by the store.
    Bypass,
    /// A remembered refusal.
    Negative,
    /// No object; the reason says why.
    Error,
}

impl Outcome {
    /// Every outcome, for metrics that are registered up front.
    pub const ALL: [Self; 9] = [
        Self::Hit,
        Self::Follow,
        Self::Miss,
        Self::Revalidated,
        Self::Stale,
        Self::Partial,
        Self::Bypass,
        Self::Negative,
        Self::Error,
    ];

    /// Lower-case word for logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Follow => "follow",
            Self::Miss => "miss",
            Self::Revalidated => "revalidated",
            Self::Stale => "stale",
            Self::Partial => "partial",
            Self::Bypass => "bypass",
            Self::Negative => "negative",
            Self::Error => "error",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
