//! Patterns of hosts and paths, as rules write them.
//!
//! Hosts: `name`, `*.name` (all below it) or `*`. Paths: `*` is any run of characters within a segment, `**` any run at
//! all; everything else is itself, byte for byte and not decoded. Matching a path takes at most pattern × path steps,
//! whatever the pattern.

/// A pattern of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// This host, in lower case.
    Name(Box<str>),
    /// All hosts that end so (`.name`), in lower case.
    Below(Box<str>),
}

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    /// `*`
    WithinSegment,
    /// `**`
    Anything,
}

/// Most wildcards of a path pattern.
const MAX_WILDCARDS: usize = 16;

impl HostPattern {
    /// Reads a pattern; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Ok(Self::Any);
        }
        let text = text.trim_end_matches('.');
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_foreign = |c: char| matches!(c, '*' | '/' | '@') || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.contains(is_foreign) {
            return Err(format!("`{}` is no host; write a name, `*.name` or `*`", text.escape_debug()));
        }
        Ok(if name.len() < text.len() { Self::Below(text[1..].into()) } else { Self::Name(text.into()) })
    }

    /// Whether `host`, a canonical one (lower case, without port), fits; with a dot at its end it is the same host.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        match self {
            Self::Any => true,
            Self::Name(name) => **name == *host,
            Self::Below(end) => host.len() > end.len() && host.ends_with(&**end),
        }
    }
}

impl PathPattern {
    /// Reads a pattern, which begins with `/` or `*`; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with(['/', '*']) {
            return Err(format!("`{}` is no path pattern; begin it with `/` or `*`", text.escape_debug()));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (part, length) = next_part(rest);
            parts.push(part);
            rest = &rest[length..];
        }
        let wildcards = parts.iter().filter(|part| !matches!(part, Part::Text(_))).count();
        if wildcards > MAX_WILDCARDS {
            return Err(format!("`{}` has more than {MAX_WILDCARDS} wildcards", text.escape_debug()));
        }
        Ok(Self(parts.into()))
    }

    /// Whether the path fits as a whole.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.as_bytes();
        // Where the parts so far may have ended: one bit a place.
        let mut ends = vec![false; path.len() + 1];
        ends[0] = true;
        for part in &self.0 {
            ends = part.advance(path, &ends);
        }
        ends[path.len()]
    }
}

fn next_part(text: &str) -> (Part, usize) {
    if text.starts_with("**") {
        return (Part::Anything, text.len() - text.trim_start_matches('*').len());
    }
    if text.starts_with('*') {
        return (Part::WithinSegment, 1);
    }
    let length = text.find('*').unwrap_or(text.len());
    (Part::Text(text.as_bytes()[..length].into()), length)
}

impl Part {
    /// Where this part may end when it begins at one of `begins`.
    fn advance(&self, path: &[u8], begins: &[bool]) -> Vec<bool> {
        let mut ends = vec![false; begins.len()];
        match self {
            Self::Text(text) => {
                for at in (0..path.len()).filter(|at| begins[*at]) {
                    if path[at..].starts_with(text) {
                        ends[at + text.len()] = true;
                    }
                }
            }
            Self::WithinSegment | Self::Anything => {
                let mut is_open = false;
                for at in 0..begins.len() {
                    is_open |= begins[at];
                    ends[at] = is_open;
                    if *self == Self::WithinSegment && path.get(at) == Some(&b'/') {
                        is_open = false;
                    }
                }
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_fit_by_name_and_by_what_they_are_below() {
        let fits = |pattern: &str, host| HostPattern::parse(pattern).expect(pattern).matches(host);
        assert!(fits("A.Example.", "a.example"));
        assert!(!fits("a.example", "b.a.example"));
        assert!(fits("*.a.example", "b.a.example") && fits("*.a.example", "c.b.a.example"));
        assert!(fits("a.example", "a.example.") && fits("*.a.example", "b.a.example."));
        assert!(!fits("*.a.example", "a.example") && !fits("*.a.example", "xa.example"));
        assert!(fits("*", "anything"));
        for text in ["", "*.", "a*b", "*.*.c", "a/b", "u@h", "a b", "a\t.", "a\u{a0}.", "a\0"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_star_stays_within_a_segment_and_two_do_not() {
        let fits = |pattern: &str, path| PathPattern::parse(pattern).expect(pattern).matches(path);
        let fitting = [
            ("/", "/"),
            ("/a/*", "/a/b"),
            ("/a/*", "/a/"),
            ("/a/*/c", "/a/b/c"),
            ("/a/**", "/a/b/c"),
            ("/a**c", "/abc/c"),
            ("**.iso", "/x/y.iso"),
            ("*/b", "/b"),
            ("/*.js", "/a.b.js"),
            ("/a*b*c", "/abbc"),
            ("/é*", "/éé"),
            ("***", "/x/y"),
        ];
        for (pattern, path) in fitting {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        let others = [
            ("/", ""),
            ("/a/*", "/a/b/c"),
            ("/a/*", "/a"),
            ("/*.js", "/a/b.js"),
            ("/a", "/A"),
            ("/a%2f*", "/a/"),
        ];
        for (pattern, path) in others {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_meant_are_refused() {
        for text in ["", "a", " /a", &"/*".repeat(MAX_WILDCARDS + 1)] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }
}
