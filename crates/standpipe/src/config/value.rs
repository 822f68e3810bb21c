//! Types of configuration values: from the text a person writes to a value with a unit, and back to text
//! for people. Owns no state; bad text is answered with a sentence, never with a panic.
//!
//! Deliberately knows no key names and no sources: those are in `keys` and `raw`.

mod sessions;
mod sites;
mod words;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use sessions::{HttpsSessions, PeerAddress, SessionAddress, SocketMode};
pub(crate) use sites::{
    ConditionalStatus, ConnectTarget, FieldName, HostWord, IgnoredParameter, KeptHost, MediaType, MethodWord,
    OriginUrl, OwnHost, PathWord, RangeFillWord, SetCookieWord, SiteFlag, SiteListen, SiteName,
    StatusTtlWord, seconds,
};
pub(crate) use words::{
    AccessLog, AccessRule, FieldValue, ListenAddress, LogFormat, LogLevel, OriginRule, Resolver,
    TrustedProxy, WhenFull,
};

/// The TOML shapes a value may have in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A string.
    Text,
    /// An integer.
    Number,
    /// A string with a unit, or an integer without.
    Measure,
    /// A boolean.
    Truth,
    /// An array of strings; a single string is a list of one.
    List,
}

/// A value of one key.
pub(crate) trait Value: Sized {
    /// How the file may write it.
    const SHAPE: Shape;

    /// What a correct value looks like, for messages and for the reference: "a duration such as `30s`".
    fn expects() -> String;

    /// Parses what was given: exactly one text, or any number for [`Shape::List`].
    fn parse(texts: &[String]) -> Result<Self, String>;
}

/// A value written as one word.
pub(crate) trait Word: Sized {
    const SHAPE: Shape = Shape::Text;
    fn wanted() -> String;
    fn read(text: &str) -> Result<Self, String>;
}

impl<T: Word> Value for T {
    const SHAPE: Shape = <T as Word>::SHAPE;

    fn expects() -> String {
        T::wanted()
    }

    fn parse(texts: &[String]) -> Result<Self, String> {
        match texts {
            [one] => T::read(one),
            _ => Err("is given more than once".to_owned()),
        }
    }
}

impl<T: Word> Value for Vec<T> {
    const SHAPE: Shape = Shape::List;

    fn expects() -> String {
        format!("a list; each item is {}", T::wanted())
    }

    /// All wrong items are reported together.
    fn parse(texts: &[String]) -> Result<Self, String> {
        let (mut items, mut problems) = (Self::new(), Vec::new());
        for text in texts {
            match T::read(text) {
                Ok(item) => items.push(item),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(items) } else { Err(problems.join("; also: ")) }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// Most bytes a size may name: more is surely a mistake, and sums must not overflow.
const LARGEST_SIZE: u64 = 1 << 60;

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl Word for Size {
    const SHAPE: Shape = Shape::Measure;

    fn wanted() -> String {
        "a size such as `20GB`, `512MiB` or `1.5TB`, at most 1048576TiB".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let factor = SIZE_UNITS
            .iter()
            .find(|(name, _)| unit.is_empty() && *name == "B" || name.eq_ignore_ascii_case(unit))
            .map(|(_, factor)| *factor)
            .ok_or_else(|| not(&Self::wanted(), text))?;
        match scaled(number, factor).map(u64::try_from) {
            Some(Ok(bytes)) if bytes <= LARGEST_SIZE => Ok(Self(bytes)),
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZE_UNITS
            .into_iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Longest duration that may be configured: ten years, so that moments never overflow.
const LONGEST_MS: u64 = 3650 * 86_400_000;

const DURATION_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

impl Word for Duration {
    fn wanted() -> String {
        "a duration with its unit such as `10d`, `12h`, `5min`, `30s` or `500ms`, at most 3650d".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        // `m` alone is left out on purpose: minutes for some, milliseconds or months for others.
        let factor = DURATION_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor)
            .ok_or_else(|| not(&Self::wanted(), text))?;
        match scaled(number, factor).map(u64::try_from) {
            Some(Ok(ms)) if ms <= LONGEST_MS => Ok(Self::from_millis(ms)),
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

/// Splits `1.5GB` into `1.5` and `GB`.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

/// `number` (decimal, perhaps with a fraction) times `factor`; `None` when it is no number or not whole.
fn scaled(number: &str, factor: u64) -> Option<u128> {
    let number = number.replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let denominator = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let whole = whole.parse::<u64>().ok()?;
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let product = (u128::from(whole) * denominator + u128::from(fraction)).checked_mul(u128::from(factor))?;
    product.is_multiple_of(denominator).then_some(product / denominator)
}

/// A whole number between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Number<MIN, MAX> {
    /// As a share of a hundred.
    pub(crate) fn percent(self) -> u8 {
        u8::try_from(self.0).unwrap_or(100).min(100)
    }

    /// As a count of things in memory.
    pub(crate) fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// As a small count.
    pub(crate) fn small(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Word for Number<MIN, MAX> {
    const SHAPE: Shape = Shape::Number;

    fn wanted() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn read(text: &str) -> Result<Self, String> {
        match text.trim().replace('_', "").parse() {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

/// A number of bytes between two bounds, for buffers in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffer<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Buffer<MIN, MAX> {
    /// In memory.
    pub(crate) fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Word for Buffer<MIN, MAX> {
    const SHAPE: Shape = Shape::Measure;

    fn wanted() -> String {
        format!("a size from `{}` to `{}`", Size(MIN), Size(MAX))
    }

    fn read(text: &str) -> Result<Self, String> {
        match Size::read(text) {
            Ok(Size(bytes)) if (MIN..=MAX).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

/// A duration between two bounds, in milliseconds. By default anything but zero: a wait would end before it began,
/// and what repeats would never pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait<const MIN: u64 = 1, const MAX: u64 = LONGEST_MS>(pub(crate) Duration);

impl<const MIN: u64, const MAX: u64> Word for Wait<MIN, MAX> {
    fn wanted() -> String {
        let shown = |ms| {
            let units = DURATION_UNITS.iter();
            let fits =
                units.filter(|(name, _)| *name != "w").find(|(_, factor)| u64::is_multiple_of(ms, *factor));
            fits.map_or_else(|| format!("{ms}ms"), |(name, factor)| format!("{}{name}", ms / factor))
        };
        format!(
            "a duration with its unit such as `2h`, `5min`, `30s` or `500ms`, from `{}` to `{}`",
            shown(MIN),
            shown(MAX)
        )
    }

    fn read(text: &str) -> Result<Self, String> {
        let bounds = Duration::from_millis(MIN)..=Duration::from_millis(MAX);
        match Duration::read(text) {
            Ok(duration) if bounds.contains(&duration) => Ok(Self(duration)),
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

impl Word for bool {
    const SHAPE: Shape = Shape::Truth;

    fn wanted() -> String {
        "`true` or `false`".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        match text.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(not(&Self::wanted(), text)),
        }
    }
}

impl Word for String {
    fn wanted() -> String {
        "a text without control characters".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err(not(&Self::wanted(), text));
        }
        Ok(text.trim().to_owned())
    }
}

impl Word for PathBuf {
    fn wanted() -> String {
        "a path".to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') {
            return Err(not(&Self::wanted(), text));
        }
        Ok(Self::from(text))
    }
}

/// Empty text means "none".
impl<T: Word> Word for Option<T> {
    const SHAPE: Shape = <T as Word>::SHAPE;

    fn wanted() -> String {
        format!("{}, or nothing", T::wanted())
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() { Ok(None) } else { T::read(text).map(Some) }
    }
}

/// "expected X, found `Y`", with `Y` cut and made safe to print.
pub(crate) fn not(expected: &str, found: &str) -> String {
    let mut shown: String = found.chars().take(60).collect();
    if shown.len() < found.len() {
        shown.push('…');
    }
    format!("expected {expected}; found `{}`", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Result<u64, String> {
        Size::read(text).map(|size| size.0)
    }

    fn duration(text: &str) -> Result<Duration, String> {
        Duration::read(text)
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        assert_eq!(size("20GB"), Ok(20_000_000_000));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("1.5 kB"), Ok(1500));
        assert_eq!(size("64kb"), Ok(64_000));
        assert_eq!(size("4_096"), Ok(4096));
        assert_eq!(size("0"), Ok(0));
    }

    #[test]
    fn wrong_sizes_are_explained() {
        for text in [
            "",
            "GB",
            "-1GB",
            "1.2.3GB",
            "1.",
            ".5GB",
            "1G",
            "20 G B",
            "0.5B",
            "99999999999TB",
            "1e3",
            "１GB",
        ] {
            let message = size(text).expect_err(text);
            assert!(message.contains("`20GB`"), "{text}: {message}");
        }
    }

    #[test]
    fn sizes_are_shown_as_they_can_be_written() {
        for text in ["20GB", "512MiB", "1500B", "0B", "64KiB", "1TiB"] {
            assert_eq!(Size(size(text).expect(text)).to_string(), text);
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("10d"), Ok(Duration::from_secs(864_000)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5min"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for text in ["10", "", "d", "5m", "-1s", "3651d", "18446744073709551616ms", "0.5ms"] {
            let message = duration(text).expect_err(text);
            assert!(message.contains("`10d`"), "{text}: {message}");
        }
    }

    #[test]
    fn numbers_keep_their_bounds() {
        assert_eq!(Number::<1, 8>::read("8").map(Number::count), Ok(8));
        for text in ["0", "9", "-1", "1.0", "x", "99999999999999999999999"] {
            assert!(Number::<1, 8>::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn waits_and_buffers_keep_their_bounds() {
        assert_eq!(<Wait>::read("1ms"), Ok(Wait(Duration::from_millis(1))));
        assert!(<Wait>::read("0s").is_err());
        let message = Wait::<1_000, 86_400_000>::read("25h").expect_err("too long");
        assert!(message.contains("from `1s` to `1d`"), "{message}");
        assert_eq!(Buffer::<8192, 65536>::read("8KiB").map(Buffer::count), Ok(8192));
        assert!(Buffer::<8192, 65536>::read("8191").is_err());
        assert!(Buffer::<8192, 65536>::read("65537").is_err());
    }

    #[test]
    fn messages_never_print_control_characters() {
        assert_eq!(not("x", "\u{1b}[31m\n"), "expected x; found `\\u{1b}[31m\\n`");
    }
}
