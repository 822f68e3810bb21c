//! [`Lines`]: an event as a line of text.
//!
//! Runs on the writer's thread. Whatever a client sent is escaped: no field can end its line, imitate another one, or
//! reach the terminal as a command (4c 82).

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::Format;
use crate::service::event::{Ending, Event};

const SECONDS_A_DAY: u64 = 86_400;

/// Formats lines into one buffer.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: String,
}

impl Lines {
    /// The line, with its end.
    pub(super) fn format(&mut self, event: &Event, format: Format) -> &str {
        // The request only noted the monotonic clock; how long ago that was gives the time of day.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let begun = now.saturating_sub(event.started.elapsed());
        self.line.clear();
        // Writing to a string cannot fail.
        let _ = match format {
            Format::Human => human(&mut self.line, event, begun),
            Format::Json => json(&mut self.line, event, begun),
        };
        self.line.push('\n');
        &self.line
    }
}

/// `2026-11-20 12:34:56.789 127.0.0.1 GET 200 hit fresh 1048576 B 0.8 ms https://…`
fn human(line: &mut String, event: &Event, begun: Duration) -> std::fmt::Result {
    let Date { year, month, day, hour, minute, second, microsecond } = Date::from_epoch(begun);
    let millisecond = microsecond / 1000;
    write!(line, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millisecond:03} ")?;
    write!(line, "{} ", event.client)?;
    escape(line, event.method.as_str(), Format::Human)?;
    write!(line, " {} ", event.status.as_u16())?;
    match event.outcome {
        Some(outcome) => write!(line, "{outcome} ")?,
        None => write!(line, "{} ", event.door)?,
    }
    write!(line, "{} {} B {:.1} ms ", event.reason, event.bytes, milliseconds(event.duration))?;
    escape(line, &event.target, Format::Human)?;
    if event.ending == Ending::Broken {
        line.push_str(" (broken)");
    }
    Ok(())
}

/// Name and form of the time are those of the server's other log lines, which go to the same place.
fn json(line: &mut String, event: &Event, begun: Duration) -> std::fmt::Result {
    let Date { year, month, day, hour, minute, second, microsecond } = Date::from_epoch(begun);
    write!(line, "{{\"timestamp\":\"{year:04}-{month:02}-{day:02}T")?;
    write!(line, "{hour:02}:{minute:02}:{second:02}.{microsecond:06}Z\"")?;
    write!(line, ",\"client\":\"{}\",\"method\":\"", event.client)?;
    escape(line, event.method.as_str(), Format::Json)?;
    line.push_str("\",\"target\":\"");
    escape(line, &event.target, Format::Json)?;
    write!(line, "\",\"status\":{},\"bytes\":{}", event.status.as_u16(), event.bytes)?;
    write!(line, ",\"door\":\"{}\",\"outcome\":", event.door)?;
    match event.outcome {
        Some(outcome) => write!(line, "\"{outcome}\"")?,
        None => line.push_str("null"),
    }
    write!(line, ",\"reason\":\"{}\"", event.reason)?;
    let first_byte = event.first_byte.unwrap_or(event.duration);
    write!(line, ",\"first_byte_ms\":{:.3}", milliseconds(first_byte))?;
    write!(line, ",\"duration_ms\":{:.3}", milliseconds(event.duration))?;
    write!(line, ",\"ending\":\"{}\"}}", event.ending.as_str())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Appends text with everything escaped that could act rather than be read.
fn escape(line: &mut String, text: &str, format: Format) -> std::fmt::Result {
    for c in text.chars() {
        match (c, format) {
            ('\\', _) => line.push_str("\\\\"),
            ('"', Format::Json) => line.push_str("\\\""),
            (c, Format::Json) if acts(c) => write!(line, "\\u{:04x}", u32::from(c))?,
            (c, Format::Human) if acts(c) => write!(line, "\\u{{{:x}}}", u32::from(c))?,
            (c, _) => line.push(c),
        }
    }
    Ok(())
}

/// Control characters, line ends, and marks that turn the direction of writing; all below U+10000.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    microsecond: u32,
}

impl Date {
    /// The civil calendar counted in years that begin in March, so that the leap day is the last one.
    fn from_epoch(since: Duration) -> Self {
        let seconds = since.as_secs();
        let days = seconds / SECONDS_A_DAY + 719_468;
        let era_day = days % 146_097;
        let era_year = (era_day - era_day / 1460 + era_day / 36_524 - era_day / 146_096) / 365;
        let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
        let march_month = (5 * year_day + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let time = seconds % SECONDS_A_DAY;
        Self {
            year: days / 146_097 * 400 + era_year + u64::from(month <= 2),
            month,
            day: year_day - (153 * march_month + 2) / 5 + 1,
            hour: time / 3600,
            minute: time / 60 % 60,
            second: time % 60,
            microsecond: since.subsec_micros(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(seconds: u64) -> (u64, u64, u64, u64, u64, u64) {
        let date = Date::from_epoch(Duration::from_secs(seconds));
        (date.year, date.month, date.day, date.hour, date.minute, date.second)
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), (1970, 1, 1, 0, 0, 0));
        assert_eq!(date(951_782_399), (2000, 2, 28, 23, 59, 59));
        assert_eq!(date(951_782_400), (2000, 2, 29, 0, 0, 0));
        assert_eq!(date(1_709_251_199), (2024, 2, 29, 23, 59, 59));
        assert_eq!(date(1_735_689_599), (2024, 12, 31, 23, 59, 59));
        assert_eq!(date(4_107_542_400), (2100, 3, 1, 0, 0, 0));
    }

    // 4c 82
    #[test]
    fn what_could_act_on_a_terminal_or_end_a_line_is_escaped() {
        let hostile = "a\n\r\t\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{2028}\\\"é";
        let escaped = |format| {
            let mut line = String::new();
            escape(&mut line, hostile, format).expect("strings take everything");
            line
        };
        let json = escaped(Format::Json);
        assert_eq!(serde_json::from_str::<String>(&format!("\"{json}\"")).expect("JSON"), hostile);
        assert!(!json.contains(acts));
        let human = escaped(Format::Human);
        assert!(!human.contains(acts));
        assert!(human.starts_with("a\\u{a}\\u{d}\\u{9}\\u{1b}[2J") && human.ends_with('é'), "{human}");
    }
}
