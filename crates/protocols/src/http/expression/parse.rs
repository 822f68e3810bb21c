//! From text to nodes, by recursive descent: a function a rule of the grammar. Invariant: every error names its place.

use http::HeaderName;

use super::{InvalidExpression, MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH, Node, Number, Order, Pattern, Text};

const FIELDS: &str = "url, host, path, tag, header.NAME, status, age, size, idle or uses";

pub(super) fn parse(text: &str) -> Result<Node, InvalidExpression> {
    let mut parser = Parser { text, at: 0, comparisons: 0 };
    if text.len() > MAX_LENGTH {
        return Err(parser.fault(format!("an expression has at most {MAX_LENGTH} bytes; shorten it")));
    }
    let node = parser.any(0)?;
    match parser.rest() {
        "" => Ok(node),
        _ => Err(parser.fault("expected `&&`, `||` or the end".to_owned())),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    comparisons: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self, depth: usize) -> Result<Node, InvalidExpression> {
        let mut nodes = vec![self.all(depth)?];
        while self.take("||") {
            nodes.push(self.all(depth)?);
        }
        Ok(joined(nodes, Node::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Node, InvalidExpression> {
        let mut nodes = vec![self.one(depth)?];
        while self.take("&&") {
            nodes.push(self.one(depth)?);
        }
        Ok(joined(nodes, Node::All))
    }

    fn one(&mut self, depth: usize) -> Result<Node, InvalidExpression> {
        if depth > MAX_DEPTH {
            return Err(
                self.fault(format!("more than {MAX_DEPTH} levels of parentheses and `!`; simplify it"))
            );
        }
        if self.take("!") {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if !self.take("(") {
            return self.comparison();
        }
        let node = self.any(depth + 1)?;
        match self.take(")") {
            true => Ok(node),
            false => Err(self.fault("expected `)`, `&&` or `||`".to_owned())),
        }
    }

    fn comparison(&mut self) -> Result<Node, InvalidExpression> {
        self.comparisons += 1;
        if self.comparisons > MAX_COMPARISONS {
            return Err(self.fault(format!("more than {MAX_COMPARISONS} comparisons; make several of it")));
        }
        let start = self.skip_blanks();
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let word = self.word(is_name);
        let unknown = |detail: String| InvalidExpression { at: start, detail };
        let text = match word {
            "url" => Some(Text::Url),
            "host" => Some(Text::Host),
            "path" => Some(Text::Path),
            "tag" => Some(Text::Tag),
            _ => match word.strip_prefix("header.") {
                Some(name) => Some(Text::Header(
                    HeaderName::from_bytes(name.as_bytes())
                        .map_err(|_| unknown("expected the name of a field behind `header.`".to_owned()))?,
                )),
                None => None,
            },
        };
        if let Some(field) = text {
            return self.text(field);
        }
        let (number, unit) = match word {
            "status" => (Number::Status, Unit::None),
            "uses" => (Number::Uses, Unit::None),
            "size" => (Number::Size, Unit::Bytes),
            "age" => (Number::Age, Unit::Time),
            "idle" => (Number::Idle, Unit::Time),
            "" => return Err(unknown(format!("expected a field: {FIELDS}"))),
            _ => return Err(unknown(format!("`{word}` is no field; there are {FIELDS}"))),
        };
        self.number(number, unit)
    }

    fn text(&mut self, field: Text) -> Result<Node, InvalidExpression> {
        let pattern = |value| Box::new(Pattern::Exactly(value));
        if self.take("==") {
            return Ok(Node::Text(field, pattern(self.quoted()?)));
        }
        if self.take("!=") {
            return Ok(Node::Not(Box::new(Node::Text(field, pattern(self.quoted()?)))));
        }
        if self.take("~") {
            return Ok(Node::Text(field, Box::new(Pattern::Like(self.quoted()?))));
        }
        Err(self.fault("expected `==`, `!=` or `~` behind a field that is text".to_owned()))
    }

    fn number(&mut self, field: Number, unit: Unit) -> Result<Node, InvalidExpression> {
        let orders = [
            ("==", Order::Equal),
            ("!=", Order::NotEqual),
            ("<=", Order::AtMost),
            (">=", Order::AtLeast),
            ("<", Order::Less),
            (">", Order::More),
        ];
        let Some((_, order)) = orders.into_iter().find(|(sign, _)| self.take(sign)) else {
            return Err(self.fault(
                "expected `==`, `!=`, `<`, `<=`, `>` or `>=` behind a field that is a number".to_owned(),
            ));
        };
        let start = self.skip_blanks();
        let digits = self.word(|c| c.is_ascii_digit());
        let suffix = self.word(|c| c.is_ascii_alphabetic());
        let number = digits.parse::<u64>().ok();
        let value = number.zip(unit.scale(suffix)).and_then(|(number, scale)| number.checked_mul(scale));
        match value {
            Some(value) => Ok(Node::Number(field, order, value)),
            None => Err(InvalidExpression { at: start, detail: format!("expected {}", unit.form()) }),
        }
    }

    /// A text in double quotes; `\"` and `\\` stand for `"` and `\`.
    fn quoted(&mut self) -> Result<Vec<u8>, InvalidExpression> {
        let start = self.skip_blanks();
        let mut bytes = self.rest().bytes();
        if bytes.next() != Some(b'"') {
            return Err(self.fault("expected a text in double quotes".to_owned()));
        }
        let mut value = Vec::new();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => {
                    self.at = self.text.len() - bytes.len();
                    return Ok(value);
                }
                b'\\' => match bytes.next() {
                    Some(escaped @ (b'"' | b'\\')) => value.push(escaped),
                    _ => {
                        self.at = self.text.len() - bytes.len() - 1;
                        return Err(self.fault("behind a `\\` expected `\"` or `\\`".to_owned()));
                    }
                },
                byte => value.push(byte),
            }
        }
        Err(InvalidExpression { at: start, detail: "this text has no `\"` at its end".to_owned() })
    }

    fn rest(&mut self) -> &'a str {
        self.skip_blanks();
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) -> usize {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.at
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_there = self.rest().starts_with(sign);
        if is_there {
            self.at += sign.len();
        }
        is_there
    }

    fn word(&mut self, is_in: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c| !is_in(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn fault(&self, detail: String) -> InvalidExpression {
        InvalidExpression { at: self.at, detail }
    }
}

#[derive(Clone, Copy)]
enum Unit {
    None,
    Bytes,
    Time,
}

impl Unit {
    fn scale(self, suffix: &str) -> Option<u64> {
        match (self, suffix) {
            (_, "") | (Self::Bytes, "B") | (Self::Time, "s") => Some(1),
            (Self::Time, "m") => Some(60),
            (Self::Time, "h") => Some(60 * 60),
            (Self::Time, "d") => Some(24 * 60 * 60),
            (Self::Time, "w") => Some(7 * 24 * 60 * 60),
            (Self::Bytes, "KB") => Some(1000),
            (Self::Bytes, "MB") => Some(1_000_000),
            (Self::Bytes, "GB") => Some(1_000_000_000),
            (Self::Bytes, "TB") => Some(1_000_000_000_000),
            (Self::Bytes, "KiB") => Some(1 << 10),
            (Self::Bytes, "MiB") => Some(1 << 20),
            (Self::Bytes, "GiB") => Some(1 << 30),
            (Self::Bytes, "TiB") => Some(1 << 40),
            _ => None,
        }
    }

    const fn form(self) -> &'static str {
        match self {
            Self::None => "a number",
            Self::Bytes => "a number of bytes such as 4096, 10MB or 1GiB",
            Self::Time => "a time such as 30s, 15m, 1h, 7d or 2w",
        }
    }
}

fn joined(mut nodes: Vec<Node>, join: impl Fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => join(nodes),
    }
}
