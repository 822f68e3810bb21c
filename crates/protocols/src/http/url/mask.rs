//! Hides secrets in URLs that people get to see.
//!
//! Works on any text (a URL, a request target with another URL in its query, a line of a log), at any depth of
//! percent-encoding, in one scan. It rather masks too much than too little: masked text is for eyes, never for keys.

const MASK: &str = "***";

/// Names that hold secrets, in lower case.
const SECRET_NAMES: [&[u8]; 13] = [
    b"apikey",
    b"auth",
    b"authorization",
    b"awsaccesskeyid",
    b"googleaccessid",
    b"jwt",
    b"key",
    b"pass",
    b"passwd",
    b"pwd",
    b"secret",
    b"sig",
    b"token",
];

/// Ends of names that hold secrets (`X-Amz-Signature`, `private_token`), in lower case.
const SECRET_ENDINGS: [&[u8]; 9] = [
    b"access_key",
    b"api-key",
    b"api_key",
    b"credential",
    b"password",
    b"secret",
    b"secretkey",
    b"signature",
    b"token",
];

/// Longest name that is looked at, in bytes.
const MAX_NAME: usize = 64;

/// How often a character may be percent-encoded and still be seen. Bounds the work: a byte is looked at no oftener.
const MAX_DEPTH: usize = 8;

/// The URL for people, query values that look like secrets (signatures, tokens, keys, passwords) and userinfo masked
/// as `***`. Any text will do.
pub fn masked(url: &str) -> String {
    let mut scan = Scan { text: url, at: 0, copied: 0, out: String::new() };
    let mut name = Name::default();
    while let Some(unit) = unit_at(url.as_bytes(), scan.at) {
        scan.at += unit.length;
        match unit.byte {
            b':' => {
                name.push(b':');
                scan.mask_userinfo();
            }
            b'?' | b'&' | b';' | b'#' => name = Name::default(),
            b'=' if name.is_secret() => scan.mask_value(unit.depth),
            byte => name.push(byte),
        }
    }
    scan.finish()
}

/// One character of the text, percent-decoded as often as it was encoded.
#[derive(Clone, Copy)]
struct Unit {
    byte: u8,
    /// Bytes it takes in the text.
    length: usize,
    /// How often it was encoded: `&` 0, `%26` 1, `%2526` 2.
    depth: usize,
}

fn unit_at(text: &[u8], at: usize) -> Option<Unit> {
    let plain = Unit { byte: *text.get(at)?, length: 1, depth: 0 };
    if plain.byte != b'%' {
        return Some(plain);
    }
    let mut digits = at + 1;
    let mut depth = 1;
    while depth < MAX_DEPTH && text[digits..].starts_with(b"25") {
        digits += 2;
        depth += 1;
    }
    let hex = |index: usize| text.get(index).and_then(|digit| char::from(*digit).to_digit(16));
    let Some((high, low)) = hex(digits).zip(hex(digits + 1)) else { return Some(plain) };
    let byte = u8::try_from(high * 16 + low).unwrap_or(b'%');
    Some(Unit { byte, length: digits + 2 - at, depth })
}

/// A position in the text and what has been written up to `copied`.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    copied: usize,
    out: String,
}

impl Scan<'_> {
    /// After a colon: when slashes follow, masks what stands before the last `@` of the authority.
    fn mask_userinfo(&mut self) {
        let text = self.text.as_bytes();
        let mut slashes = None;
        while let Some(unit) = unit_at(text, self.at).filter(|unit| matches!(unit.byte, b'/' | b'\\')) {
            self.at += unit.length;
            slashes = Some(unit.depth);
        }
        let Some(depth) = slashes else { return };
        let (mut at, mut userinfo_end) = (self.at, self.at);
        while let Some(unit) = unit_at(text, at) {
            if unit.depth <= depth && matches!(unit.byte, b'/' | b'\\' | b'?' | b'#') {
                break;
            }
            if unit.depth <= depth && unit.byte == b'@' {
                userinfo_end = at;
            }
            at += unit.length;
        }
        self.mask_to(userinfo_end);
    }

    /// After a secret's name and equals sign: masks up to the next separator that is not part of the value.
    fn mask_value(&mut self, depth: usize) {
        let mut end = self.at;
        while let Some(unit) = unit_at(self.text.as_bytes(), end) {
            if unit.depth <= depth && matches!(unit.byte, b'&' | b'#') {
                break;
            }
            end += unit.length;
        }
        self.mask_to(end);
    }

    fn mask_to(&mut self, end: usize) {
        if end == self.at {
            return;
        }
        self.out.push_str(&self.text[self.copied..self.at]);
        self.out.push_str(MASK);
        self.at = end;
        self.copied = end;
    }

    fn finish(self) -> String {
        self.out + &self.text[self.copied..]
    }
}

/// The name of a query parameter, in lower case.
struct Name {
    bytes: [u8; MAX_NAME],
    length: usize,
}

impl Default for Name {
    fn default() -> Self {
        Self { bytes: [0; MAX_NAME], length: 0 }
    }
}

impl Name {
    /// A name that is too long keeps its end, where a secret's name shows.
    fn push(&mut self, byte: u8) {
        if self.length == MAX_NAME {
            self.bytes.copy_within(MAX_NAME / 2.., 0);
            self.length = MAX_NAME / 2;
        }
        self.bytes[self.length] = byte.to_ascii_lowercase();
        self.length += 1;
    }

    fn is_secret(&self) -> bool {
        let name = &self.bytes[..self.length];
        SECRET_NAMES.contains(&name) || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
    }
}
