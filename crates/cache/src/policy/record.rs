//! [`Freshness`]: all that a hit must know of what a response said about its own freshness.
//!
//! Computed once, when a head is stored, and kept with it:
//!
//! ```text
//! bits (basis 4, stale_if_error is there 1, unvalidated is not empty 1, demands) | lifetime
//!     | stale_while_revalidate | stale_if_error, if there | number of fields and their names, if any
//! ```
//!
//! Numbers are LEB128: 3 to 7 bytes for what is usual, at most 17 without names. Invariant: what was written
//! once is read by every later version; [`Basis`] and [`Demand`] only grow at their ends.

use std::time::Duration;

use http::HeaderName;

use crate::varint;

/// What a response says about its freshness. Times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// How old the response may become (RFC 9111 section 4.2.1).
    pub lifetime: u32,
    /// Where the lifetime comes from.
    pub basis: Basis,
    /// How long after its lifetime the response may be sent while it is validated; 0 when it may not (RFC 5861 section 3).
    pub stale_while_revalidate: u32,
    /// How long after its lifetime the response may stand in for errors; `None` when neither origin nor rule say anything
    /// about that (RFC 5861 section 4).
    pub stale_if_error: Option<u32>,
    /// What else is demanded.
    pub demands: Demands,
    /// The fields that `no-cache="…"` lists: not in an answer that was not validated (RFC 9111 section 5.2.2.4).
    pub unvalidated: Box<[HeaderName]>,
}

/// Where a lifetime comes from. Only to be added to at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// Nowhere; it is 0.
    #[default]
    Nothing,
    /// `s-maxage`.
    SMaxAge,
    /// `max-age`.
    MaxAge,
    /// `Expires` and `Date`.
    Expires,
    /// `Last-Modified` and `Date` (RFC 9111 section 4.2.2).
    Heuristic,
    /// A rule's lifetime that goes before the origin's.
    RuleTtl,
    /// A rule's lifetime for responses that name none.
    RuleDefault,
    /// A rule's lifetime for errors that name none.
    RuleError,
}

/// Something a stored response demands. Only to be added to at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Never sent without validation (`no-cache`).
    NoCache,
    /// Never sent stale (`must-revalidate`).
    MustRevalidate,
    /// Never sent stale (`proxy-revalidate`).
    ProxyRevalidate,
    /// Never sent stale, since `s-maxage` means `proxy-revalidate` as well (RFC 9111 section 5.2.2.10).
    SMaxAge,
    /// Not validated while fresh (RFC 8246).
    Immutable,
}

/// A set of [`Demand`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands(u8);

const DEMANDS: [Demand; 5] =
    [Demand::NoCache, Demand::MustRevalidate, Demand::ProxyRevalidate, Demand::SMaxAge, Demand::Immutable];

const BASES: [Basis; 8] = [
    Basis::Nothing,
    Basis::SMaxAge,
    Basis::MaxAge,
    Basis::Expires,
    Basis::Heuristic,
    Basis::RuleTtl,
    Basis::RuleDefault,
    Basis::RuleError,
];

/// Places in the first number.
const STALE_IF_ERROR_AT: u32 = 4;
const UNVALIDATED_AT: u32 = 5;
const DEMANDS_AT: u32 = 6;

impl Basis {
    /// Lower-case word for explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::SMaxAge => "s_maxage",
            Self::MaxAge => "max_age",
            Self::Expires => "expires",
            Self::Heuristic => "heuristic",
            Self::RuleTtl => "rule_ttl",
            Self::RuleDefault => "rule_default_ttl",
            Self::RuleError => "rule_error_ttl",
        }
    }

    /// Whether the origin named the lifetime itself (RFC 9111 section 4.2.1).
    pub const fn is_explicit(self) -> bool {
        matches!(self, Self::SMaxAge | Self::MaxAge | Self::Expires)
    }
}

impl Demands {
    /// These and one more.
    #[must_use]
    pub const fn with(self, demand: Demand) -> Self {
        Self(self.0 | 1 << demand as u8)
    }

    /// Whether it is demanded.
    pub const fn has(self, demand: Demand) -> bool {
        self.0 & 1 << demand as u8 != 0
    }
}

impl Freshness {
    /// Whether a response of this age is fresh (RFC 9111 section 4.2).
    pub const fn is_fresh(&self, age: Duration) -> bool {
        self.lifetime as u64 > age.as_secs()
    }

    /// How long ago a response of this age became stale; zero when it is fresh or just became stale.
    pub const fn staleness(&self, age: Duration) -> Duration {
        age.saturating_sub(Duration::from_secs(self.lifetime as u64))
    }

    /// Seconds for which a response of this age stays fresh, as people count them; negative when it is stale (RFC 9211
    /// section 2.4).
    pub fn ttl(&self, age: Duration) -> i64 {
        i64::from(self.lifetime).saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
    }

    /// Appends it in the form of the store's log.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let bits = self.basis as u64
            | u64::from(self.stale_if_error.is_some()) << STALE_IF_ERROR_AT
            | u64::from(!self.unvalidated.is_empty()) << UNVALIDATED_AT
            | u64::from(self.demands.0) << DEMANDS_AT;
        varint::put(bits, into);
        varint::put(self.lifetime.into(), into);
        varint::put(self.stale_while_revalidate.into(), into);
        if let Some(seconds) = self.stale_if_error {
            varint::put(seconds.into(), into);
        }
        if !self.unvalidated.is_empty() {
            varint::put(self.unvalidated.len() as u64, into);
        }
        for name in &self.unvalidated {
            varint::put(name.as_str().len() as u64, into);
            into.extend_from_slice(name.as_str().as_bytes());
        }
    }

    /// Reads what [`Self::encode`] wrote and leaves what stands behind it; `None` when the bytes make no sense or come
    /// from a later version.
    pub fn decode(input: &mut &[u8]) -> Option<Self> {
        let bits = varint::take(input)?;
        let has = |place: u32| bits >> place & 1 != 0;
        let basis = *BASES.get((bits & 0xf) as usize)?;
        let demands =
            u8::try_from(bits >> DEMANDS_AT).ok().filter(|demands| demands >> DEMANDS.len() == 0)?;
        let lifetime = seconds(input)?;
        let stale_while_revalidate = seconds(input)?;
        let stale_if_error = if has(STALE_IF_ERROR_AT) { Some(seconds(input)?) } else { None };
        let unvalidated = if has(UNVALIDATED_AT) { names(input)? } else { Box::default() };
        Some(Self {
            lifetime,
            basis,
            stale_while_revalidate,
            stale_if_error,
            demands: Demands(demands),
            unvalidated,
        })
    }
}

fn seconds(input: &mut &[u8]) -> Option<u32> {
    u32::try_from(varint::take(input)?).ok()
}

fn names(input: &mut &[u8]) -> Option<Box<[HeaderName]>> {
    let count = usize::try_from(varint::take(input)?).ok()?;
    // A name takes two bytes: what claims more names than there can be is not believed.
    if count == 0 || count > input.len() / 2 {
        return None;
    }
    let name = |_| {
        let length = usize::try_from(varint::take(input)?).ok()?;
        let (name, rest) = input.split_at_checked(length)?;
        *input = rest;
        HeaderName::from_bytes(name).ok()
    };
    (0..count).map(name).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_freshness() -> impl Strategy<Value = Freshness> {
        let names = proptest::collection::vec("[a-z][a-z-]{0,20}", 0..4);
        let names = names.prop_map(|names| names.iter().map(|name| name.parse().expect(name)).collect());
        let seconds = || prop_oneof![Just(0), 0..100_000_u32, Just(1 << 31), any::<u32>()];
        let demands = proptest::sample::subsequence(DEMANDS.to_vec(), 0..=DEMANDS.len());
        (seconds(), 0..BASES.len(), seconds(), proptest::option::of(seconds()), demands, names).prop_map(
            |(lifetime, basis, stale_while_revalidate, stale_if_error, demands, unvalidated)| Freshness {
                lifetime,
                basis: BASES[basis],
                stale_while_revalidate,
                stale_if_error,
                demands: demands.into_iter().fold(Demands::default(), Demands::with),
                unvalidated,
            },
        )
    }

    fn encoded(freshness: &Freshness) -> Vec<u8> {
        let mut bytes = Vec::new();
        freshness.encode(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_usual_takes_few_bytes_and_nothing_takes_many() {
        assert_eq!(encoded(&Freshness::default()), [0, 0, 0]);
        let usual = Freshness { lifetime: 3600, basis: Basis::MaxAge, ..Freshness::default() };
        assert_eq!(encoded(&usual).len(), 4);
        let greatest = Freshness {
            lifetime: u32::MAX,
            basis: Basis::RuleError,
            stale_while_revalidate: u32::MAX,
            stale_if_error: Some(u32::MAX),
            demands: DEMANDS.into_iter().fold(Demands::default(), Demands::with),
            unvalidated: Box::default(),
        };
        assert_eq!(encoded(&greatest).len(), 17);
    }

    #[test]
    fn rfc9111_4_2_fresh_means_that_the_lifetime_exceeds_the_age() {
        let freshness = Freshness { lifetime: 10, ..Freshness::default() };
        for (millis, fresh, stale_millis, ttl) in
            [(0, true, 0, 10), (9_999, true, 0, 1), (10_000, false, 0, 0), (12_500, false, 2_500, -2)]
        {
            let age = Duration::from_millis(millis);
            assert_eq!(freshness.is_fresh(age), fresh, "{millis}");
            assert_eq!(freshness.staleness(age), Duration::from_millis(stale_millis), "{millis}");
            assert_eq!(freshness.ttl(age), ttl, "{millis}");
        }
        assert!(freshness.ttl(Duration::MAX) < 0);
    }

    #[test]
    fn bytes_of_a_later_version_are_refused() {
        // A basis and a demand that do not exist yet.
        for bytes in [&[0x08, 0, 0][..], &[0x80, 0x10, 0, 0], &[0x80, 0x80, 0x80, 0x10, 0, 0]] {
            assert_eq!(Freshness::decode(&mut &bytes[..]), None, "{bytes:?}");
        }
        // Names that are said to be there and are not.
        assert_eq!(Freshness::decode(&mut &[0x20, 0, 0, 0][..]), None);
        assert_eq!(Freshness::decode(&mut &[0x20, 0, 0, 0xff, 0xff, 0xff, 0x7f, 1, b'a'][..]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_what_follows_is_left(freshness in any_freshness(), after: Vec<u8>) {
            let mut bytes = encoded(&freshness);
            bytes.extend_from_slice(&after);
            let mut input = &bytes[..];
            prop_assert_eq!(Freshness::decode(&mut input), Some(freshness));
            prop_assert_eq!(input, &after[..]);
        }

        #[test]
        fn what_is_cut_short_is_refused(freshness in any_freshness(), cut: prop::sample::Index) {
            let bytes = encoded(&freshness);
            prop_assert_eq!(Freshness::decode(&mut &bytes[..cut.index(bytes.len())]), None);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            Freshness::decode(&mut &bytes[..]);
        }
    }
}
