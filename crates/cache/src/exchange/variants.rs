//! Several objects under one URL, told apart by request fields that `Vary` nominates (RFC 9111 section 4.1).
//!
//! ```text
//! URL's key ─► head with Variants ─► for each set of nominated fields: hash of what the request says in them ─► object
//! ```
//!
//! Every object lives under a key of its own, made of the URL's key and of those values, so that looking one up is all
//! that there is to matching. The URL's key has the list of sets, and of the objects, which are bounded in number: the
//! oldest goes. An object that the fetch door has stored under the URL's key says which requests it answers.

use http::HeaderMap;
use protocols::http::vary::{Nominated, Vary};
use store::Key;

/// Most sets of nominated fields of one URL: an origin names one, and another after an upgrade.
const MOST_SETS: usize = 4;

/// Which requests an object answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selecting {
    /// Key of the variant.
    key: Key,
    nominated: Nominated,
}

/// What there is of a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variants {
    /// Sets of nominated fields; the latest first. An empty set nominates nothing.
    sets: Vec<Nominated>,
    /// Keys of the objects, the oldest first.
    keys: Vec<Key>,
}

impl Selecting {
    /// Of an answer to a request with these fields.
    pub(crate) fn new(of_url: Key, nominated: Nominated, request: &HeaderMap) -> Self {
        Self { key: key(of_url, &nominated, request), nominated }
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Whether it also answers a request with these fields.
    pub(crate) fn matches(&self, of_url: Key, request: &HeaderMap) -> bool {
        key(of_url, &self.nominated, request) == self.key
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.key.as_bytes());
        encode_names(&self.nominated, into);
    }

    pub(crate) fn decode(input: &mut &[u8]) -> Option<Self> {
        let key = decode_key(input)?;
        Some(Self { key, nominated: decode_names(input)? })
    }
}

impl Variants {
    /// Keys under which an object for a request with these fields may be; one that is fetched now belongs under the first.
    pub(crate) fn candidates(&self, of_url: Key, request: &HeaderMap) -> impl Iterator<Item = Key> {
        self.sets.iter().map(move |nominated| key(of_url, nominated, request))
    }

    /// Adds a variant; returns one that has to go, when there are more than `most`.
    pub(crate) fn add(&mut self, selecting: &Selecting, most: usize) -> Option<Key> {
        self.sets.retain(|set| *set != selecting.nominated);
        self.sets.insert(0, selecting.nominated.clone());
        self.sets.truncate(MOST_SETS);
        self.keys.retain(|key| *key != selecting.key);
        self.keys.push(selecting.key);
        (self.keys.len() > most.max(1)).then(|| self.keys.remove(0))
    }

    /// Whether [`add`](Self::add) would change nothing that matters.
    pub(crate) fn has(&self, selecting: &Selecting) -> bool {
        self.sets.first() == Some(&selecting.nominated) && self.keys.contains(&selecting.key)
    }

    /// Keys of all objects.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        into.push(self.sets.len() as u8);
        for set in &self.sets {
            encode_names(set, into);
        }
        into.extend_from_slice(&(self.keys.len() as u32).to_le_bytes());
        for key in &self.keys {
            into.extend_from_slice(key.as_bytes());
        }
    }

    pub(crate) fn decode(input: &mut &[u8]) -> Option<Self> {
        let (count, rest) = input.split_first()?;
        *input = rest;
        let sets = (0..*count).map(|_| decode_names(input)).collect::<Option<Vec<_>>>()?;
        let (count, rest) = input.split_first_chunk::<4>()?;
        *input = rest;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        if count > input.len() / 16 {
            return None;
        }
        let keys = (0..count).map(|_| decode_key(input)).collect::<Option<Vec<_>>>()?;
        Some(Self { sets, keys })
    }
}

/// The key of the variant that answers a request with these fields. The URL's key is a keyed hash itself, and makes this
/// one keyed.
fn key(of_url: Key, nominated: &Nominated, request: &HeaderMap) -> Key {
    let mut secret = [0; 32];
    secret[..16].copy_from_slice(of_url.as_bytes());
    let mut hash = blake3::Hasher::new_keyed(&secret);
    nominated.feed(request, |bytes| {
        hash.update(bytes);
    });
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    Key::new(key)
}

/// The names in one line, its length before it.
fn encode_names(nominated: &Nominated, into: &mut Vec<u8>) {
    let names: Vec<_> = nominated.names().iter().map(http::HeaderName::as_str).collect();
    let line = names.join(",");
    into.extend_from_slice(&(line.len() as u32).to_le_bytes());
    into.extend_from_slice(line.as_bytes());
}

fn decode_names(input: &mut &[u8]) -> Option<Nominated> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    let (line, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *input = rest;
    match Vary::from_lines([line], usize::MAX) {
        Vary::None => Some(Nominated::default()),
        Vary::Fields(nominated) => Some(nominated),
        Vary::Any => None,
    }
}

fn decode_key(input: &mut &[u8]) -> Option<Key> {
    let (key, rest) = input.split_first_chunk::<16>()?;
    *input = rest;
    Some(Key::new(*key))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const URL: Key = Key::new([7; 16]);

    fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn nominated(line: &'static str) -> Nominated {
        match Vary::from_lines([line.as_bytes()], 16) {
            Vary::Fields(nominated) => nominated,
            Vary::None => Nominated::default(),
            Vary::Any => panic!("{line} nominates anything"),
        }
    }

    #[test]
    fn rfc9111_4_1_a_variant_answers_requests_that_say_the_same() {
        let german = Selecting::new(
            URL,
            nominated("Accept-Language"),
            &fields(&[("accept-language", "de, en;q=0.5")]),
        );
        assert!(german.matches(URL, &fields(&[("accept-language", "en;q=0.5,de"), ("x", "y")])));
        assert!(!german.matches(URL, &fields(&[("accept-language", "en")])));
        assert!(!german.matches(URL, &fields(&[])));
        assert!(!german.matches(Key::new([8; 16]), &fields(&[("accept-language", "de, en;q=0.5")])));
    }

    #[test]
    fn variants_are_bounded_and_the_oldest_goes() {
        let mut variants = Variants::default();
        let of = |value| Selecting::new(URL, nominated("x"), &fields(&[("x", value)]));
        assert_eq!(variants.add(&of("1"), 2), None);
        assert_eq!(variants.add(&of("2"), 2), None);
        assert_eq!(variants.add(&of("1"), 2), None, "known already");
        assert_eq!(variants.add(&of("3"), 2), Some(of("2").key()));
        assert_eq!(variants.keys(), [of("1").key(), of("3").key()]);
        assert!(variants.has(&of("3")) && !variants.has(&of("2")));
    }

    #[test]
    fn several_sets_are_tried_the_latest_first() {
        let mut variants = Variants::default();
        let request = fields(&[("x", "1"), ("y", "2")]);
        let of = |line| Selecting::new(URL, nominated(line), &request);
        for line in ["x", "", "x, y"] {
            variants.add(&of(line), 8);
        }
        let found: Vec<_> = variants.candidates(URL, &request).collect();
        assert_eq!(found, [of("x, y").key(), of("").key(), of("x").key()]);
    }

    #[test]
    fn both_survive_the_store() {
        let request = fields(&[("x", "1")]);
        let (one, other) =
            (Selecting::new(URL, nominated("x, y"), &request), Selecting::new(URL, nominated(""), &request));
        let mut variants = Variants::default();
        variants.add(&one, 8);
        variants.add(&other, 8);
        let mut bytes = Vec::new();
        one.encode(&mut bytes);
        variants.encode(&mut bytes);
        let input = &mut &bytes[..];
        assert_eq!(Selecting::decode(input), Some(one));
        assert_eq!(Variants::decode(input), Some(variants));
        assert!(input.is_empty());
        for length in 0..bytes.len() {
            let mut cut = &bytes[..length];
            assert!(Selecting::decode(&mut cut).and_then(|_| Variants::decode(&mut cut)).is_none());
        }
    }
}
