//! Byte ranges (RFC 9110 section 14): `Range` in, what exists of it, `Content-Range` both ways.
//!
//! Positions are bytes. Numbers beyond 64 bits saturate, so that a first position out of reach is unsatisfiable and a
//! last one is clamped. What is resolved costs at most about the whole object: see [`RangeSet::resolve`].

use std::fmt;
use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

use super::field::{saturating_number, singleton, trim};

/// Most ranges of one request; a field with more is ignored.
pub const MAX_RANGES: usize = 256;

/// Bytes that the framing of one part of a multipart answer costs, about (RFC 9110 section 15.3.7.2).
const PART_OVERHEAD: u64 = 80;

/// From this number of ranges on, an answer in parts must be smaller than the whole.
const MANY_RANGES: usize = 16;

/// A parsed `Range: bytes=…` of at most 256 ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet {
    /// As the client wrote them; at least one.
    pub specs: Vec<RangeSpec>,
}

/// One range as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `first-` or `first-last` (inclusive).
    From {
        /// Position of the first byte.
        first: u64,
        /// Position of the last byte, not before `first`; the end when `None`.
        last: Option<u64>,
    },
    /// `-length`.
    Suffix {
        /// Number of bytes up to the end.
        length: u64,
    },
}

/// Ranges that exist, half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// At least one is satisfiable: in the client's order, overlapping and adjacent ones merged when that is needed to refuse abuse.
    Ranges(Vec<Range<u64>>),
    /// None is: 416 with the total.
    Unsatisfiable,
    /// Answer with the whole: many tiny ranges that would cost more than the whole, or a suffix of an empty object.
    Ignore,
}

impl RangeSet {
    /// The `Range` of a request. Two such fields are none (RFC 9110 section 14.2 lets a server ignore it).
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(singleton(headers, &RANGE)?.as_bytes())
    }

    /// `None` when the field is malformed or not `bytes`: it is then ignored (RFC 9110 14.2). More than 256 ranges: `None` as well.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, set) = trim(value).split_at_checked(b"bytes=".len())?;
        unit.eq_ignore_ascii_case(b"bytes=").then_some(())?;
        let mut specs = Vec::new();
        for member in set.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty()) {
            if specs.len() == MAX_RANGES {
                return None;
            }
            specs.push(RangeSpec::parse(member)?);
        }
        (!specs.is_empty()).then_some(Self { specs })
    }

    /// Against a known total in bytes.
    ///
    /// Every resolved range lies within the total and is not empty. Overlapping and adjacent ranges are merged, at
    /// the place of the first of them, when more than two ranges overlap or all together are longer than the total
    /// (RFC 9110 sections 14.2 and 15.3.7.2).
    pub fn resolve(&self, total: u64) -> Resolved {
        let mut ranges: Vec<_> = self.specs.iter().filter_map(|spec| spec.resolve(total)).collect();
        if ranges.is_empty() {
            // A suffix that is not empty is satisfiable even on nothing (RFC 9110 section 14.1.2), but no
            // Content-Range can say so.
            let suffix = self.specs.iter().any(|spec| matches!(spec, RangeSpec::Suffix { length: 1.. }));
            return if suffix { Resolved::Ignore } else { Resolved::Unsatisfiable };
        }
        if ranges.len() > 1 && is_abuse(&ranges, total) {
            ranges = merged(&ranges);
        }
        if ranges.len() > MANY_RANGES
            && sum(&ranges) + u128::from(PART_OVERHEAD) * ranges.len() as u128 > u128::from(total)
        {
            return Resolved::Ignore;
        }
        Resolved::Ranges(ranges)
    }

    /// Whether the total must be known before this can be resolved (suffix, open end).
    pub fn needs_total(&self) -> bool {
        self.specs.iter().any(|spec| !matches!(spec, RangeSpec::From { last: Some(_), .. }))
    }
}

impl RangeSpec {
    fn parse(member: &[u8]) -> Option<Self> {
        let dash = member.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (&member[..dash], &member[dash + 1..]);
        if first.is_empty() {
            return Some(Self::Suffix { length: saturating_number(last)? });
        }
        let first = saturating_number(first)?;
        if last.is_empty() {
            return Some(Self::From { first, last: None });
        }
        let last = saturating_number(last)?;
        (first <= last).then_some(Self::From { first, last: Some(last) })
    }

    /// `None` when nothing of it exists.
    fn resolve(self, total: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first, last: None } => first..total,
            Self::From { first, last: Some(last) } => first..total.min(last.saturating_add(1)),
            Self::Suffix { length } => total.saturating_sub(length)..total,
        };
        (!range.is_empty()).then_some(range)
    }
}

impl fmt::Display for RangeSet {
    /// As a field value, `bytes=0-9,20-`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, spec) in self.specs.iter().enumerate() {
            f.write_str(if index == 0 { "bytes=" } else { "," })?;
            match spec {
                RangeSpec::From { first, last: None } => write!(f, "{first}-")?,
                RangeSpec::From { first, last: Some(last) } => write!(f, "{first}-{last}")?,
                RangeSpec::Suffix { length } => write!(f, "-{length}")?,
            }
        }
        Ok(())
    }
}

/// Bytes of all together; more than a total can be when they overlap.
fn sum(ranges: &[Range<u64>]) -> u128 {
    ranges.iter().map(|range| u128::from(range.end - range.start)).sum()
}

fn is_abuse(ranges: &[Range<u64>], total: u64) -> bool {
    sum(ranges) > u128::from(total) || overlapping(ranges) > 2
}

/// How many ranges share bytes with another one.
fn overlapping(ranges: &[Range<u64>]) -> usize {
    let mut sorted: Vec<_> = ranges.iter().collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let (mut count, mut run, mut end) = (0, 0, 0);
    for range in sorted {
        run = if range.start < end { run + 1 } else { 1 };
        count += match run {
            1 => 0,
            // The first of the run counts as soon as there is a second.
            2 => 2,
            _ => 1,
        };
        end = end.max(range.end);
    }
    count
}

/// Overlapping and adjacent ranges made one, at the place of the first of them.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.iter().cloned().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, range)| range.start);
    let mut merged: Vec<(usize, Range<u64>)> = Vec::with_capacity(sorted.len());
    for (place, range) in sorted {
        match merged.last_mut() {
            Some((first, last)) if range.start <= last.end => {
                *first = place.min(*first);
                last.end = last.end.max(range.end);
            }
            _ => merged.push((place, range)),
        }
    }
    merged.sort_unstable_by_key(|(place, _)| *place);
    merged.into_iter().map(|(_, range)| range).collect()
}

/// A parsed `Content-Range: bytes …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Inclusive first and last; `None` for `bytes */total`.
    pub range: Option<(u64, u64)>,
    /// `None` for `*`.
    pub total: Option<u64>,
}

impl ContentRange {
    /// `None` when malformed, not `bytes`, beyond 64 bits or contradictory: `first <= last < total` must hold
    /// (RFC 9110 section 14.4).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, value) = trim(value).split_at_checked(b"bytes ".len())?;
        unit.eq_ignore_ascii_case(b"bytes ").then_some(())?;
        let slash = value.iter().position(|byte| *byte == b'/')?;
        let (range, total) = (&value[..slash], &value[slash + 1..]);
        let total = if total == b"*" { None } else { Some(number(total)?) };
        if range == b"*" {
            return total.map(|total| Self { range: None, total: Some(total) });
        }
        let dash = range.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (number(&range[..dash])?, number(&range[dash + 1..])?);
        let consistent = first <= last && total.is_none_or(|total| last < total);
        consistent.then_some(Self { range: Some((first, last)), total })
    }
}

/// Here a number too great must not pass for another one.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().all(u8::is_ascii_digit).then_some(())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.range {
            Some((first, last)) => write!(f, "bytes {first}-{last}/")?,
            None => f.write_str("bytes */")?,
        }
        match self.total {
            Some(total) => write!(f, "{total}"),
            None => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests;
