#![no_main]
//! Patterns of hosts and paths: they fit what a plain definition says they fit.

use doors::exchange::pattern::{HostPattern, PathPattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    if let Ok(host) = HostPattern::parse(pattern) {
        let written = match &host {
            HostPattern::Any => "*".to_owned(),
            HostPattern::Name(name) => name.to_string(),
            HostPattern::Below(end) => format!("*{end}"),
        };
        assert_eq!(HostPattern::parse(&written).as_ref(), Ok(&host));
        let name = written.strip_prefix("*.").unwrap_or(&written);
        assert_eq!(host.matches(&format!("a.{name}")), written.starts_with('*'));
        assert_eq!(host.matches(name), !written.starts_with("*."));
    }
    // The definition takes its time.
    if pattern.len() + text.len() < 32
        && let Ok(path) = PathPattern::parse(pattern)
    {
        assert_eq!(path.matches(text), fits(pattern.as_bytes(), text.as_bytes()));
    }
});

fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return path.is_empty() };
    if *first != b'*' {
        return path.split_first().is_some_and(|(byte, path)| byte == first && fits(rest, path));
    }
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let most = match stars {
        1 => path.iter().take_while(|byte| **byte != b'/').count(),
        _ => path.len(),
    };
    (0..=most).any(|taken| fits(&pattern[stars..], &path[taken..]))
}
