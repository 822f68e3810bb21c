//! Seals sessions before they leave for a store that is not ours, and hides their ids.
//!
//! Each key gives two: one seals sessions (AES-256-GCM-SIV: random nonces need no counting, and one that repeats
//! gives nothing away), one turns ids into names (HMAC-SHA-256, cut to 128 bits). The id is authenticated with its
//! session, so that whoever owns the store can neither read nor alter sessions, nor swap them, nor invent any; he can
//! still drop them and put old ones back.
//!
//! A sealed session: `1`, four bytes that name the key, the nonce (12), the ciphertext, the tag (16).
//!
//! # The file
//! Either 32 bytes, or text: one key a line as 64 hex digits, the newest first, at most eight. The first key seals, all
//! of them open. Names come from the key behind the word `names` if there is such a line, else from the last key. Empty
//! lines and those that begin with `#` are skipped. All servers that share a store have the same file. To rotate:
//!
//! | step | file on all servers |
//! |---|---|
//! | before | `OLD` |
//! | everyone can open with the new key | `names OLD`, `OLD`, `NEW` |
//! | everyone seals with it | `names OLD`, `NEW`, `OLD` |
//! | once the longest timeout is over | `names OLD`, `NEW` |

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac, rand};
use zeroize::{Zeroize, Zeroizing};

use super::Session;

/// Bytes of a key.
const KEY: usize = 32;
/// Most keys in a file.
const KEYS: usize = 8;
/// Most bytes of a file.
const FILE: u64 = 16 * 1024;
const VERSION: u8 = 1;
const KEY_NAME: usize = 4;
const PREFIX: usize = 1 + KEY_NAME + NONCE_LEN;
/// Bytes of a name.
const NAME: usize = 16;
/// Bytes by which a sealed session is longer.
pub(super) const OVERHEAD: usize = PREFIX + 16;

/// The keys of a store.
pub struct Keys {
    names: hmac::Key,
    /// The newest first; never empty.
    seals: Vec<Seal>,
}

struct Seal {
    name: [u8; KEY_NAME],
    key: LessSafeKey,
}

/// Why there are no keys. Says nothing of their bytes.
#[derive(Debug)]
pub enum KeysError {
    /// The file cannot be read.
    Io(io::Error),
    /// Everyone on the machine may read the file.
    Open,
    /// Line so and so (from 1) is not 64 hex digits.
    Line(usize),
    /// No key, more than eight, one of them twice, or more than one for names.
    Count,
}

impl Keys {
    /// Reads a file of keys; see the module for what is in it.
    ///
    /// # Errors
    /// It cannot be read, everyone may read it, or what is in it is something else.
    pub fn read(path: &Path) -> Result<Self, KeysError> {
        let mut file = File::open(path).map_err(KeysError::Io)?;
        if file.metadata().map_err(KeysError::Io)?.permissions().mode() & 0o007 != 0 {
            return Err(KeysError::Open);
        }
        // Never moves, so nothing unwiped stays behind.
        let mut text = Zeroizing::new(Vec::with_capacity(FILE as usize + 1));
        file.by_ref().take(FILE + 1).read_to_end(&mut text).map_err(KeysError::Io)?;
        if text.len() as u64 > FILE {
            return Err(KeysError::Count);
        }
        Self::parse(&text)
    }

    /// The same, from memory.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &[u8]) -> Result<Self, KeysError> {
        if let Ok(key) = <&[u8; KEY]>::try_from(text) {
            return Self::derive(None, &[Zeroizing::new(*key)]);
        }
        let (mut names, mut keys) = (None, Vec::with_capacity(KEYS));
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let of_names = line.strip_prefix(b"names ").map(<[u8]>::trim_ascii_start);
            let key = unhex(of_names.unwrap_or(line)).ok_or(KeysError::Line(number + 1))?;
            if of_names.is_none() && keys.len() < KEYS {
                keys.push(key);
            } else if of_names.is_none() || names.replace(key).is_some() {
                return Err(KeysError::Count);
            }
        }
        Self::derive(names, &keys)
    }

    fn derive(names: Option<Zeroizing<[u8; KEY]>>, keys: &[Zeroizing<[u8; KEY]>]) -> Result<Self, KeysError> {
        let Some(last) = keys.last() else { return Err(KeysError::Count) };
        let names = extract(names.as_ref().unwrap_or(last));
        let names = hmac::Key::from(expand(&names, &[b"names"], hmac::HMAC_SHA256));
        let seals: Vec<_> = keys.iter().map(|key| Seal::derive(key)).collect();
        let twice = |seal: &Seal| seals.iter().filter(|other| other.name == seal.name).count() > 1;
        if seals.iter().any(twice) {
            return Err(KeysError::Count);
        }
        Ok(Self { names, seals })
    }

    /// What an id is called outside: the same on all servers with these keys, and of use to nobody else.
    pub(super) fn name(&self, id: &[u8]) -> [u8; NAME] {
        let tag = hmac::sign(&self.names, id);
        let mut name = [0; NAME];
        name.copy_from_slice(&tag.as_ref()[..NAME]);
        name
    }

    /// Seals a session for this id. `None`: the system has no random bytes.
    pub(super) fn seal(&self, id: &[u8], session: &[u8]) -> Option<Vec<u8>> {
        let seal = self.seals.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(session.len() + OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&seal.name);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(session);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let result = seal.key.seal_in_place_separate_tag(nonce, Aad::from(id), &mut sealed[PREFIX..]);
        let Ok(tag) = result else {
            sealed.zeroize();
            return None;
        };
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// The session that was sealed for this id; `None` when it was not, or not with one of these keys.
    pub(super) fn open(&self, id: &[u8], mut sealed: Vec<u8>) -> Option<Session> {
        let (prefix, _) = sealed.split_at_checked(PREFIX)?;
        let (VERSION, name, nonce) = (prefix[0], &prefix[1..=KEY_NAME], &prefix[1 + KEY_NAME..]) else {
            return None;
        };
        let seal = self.seals.iter().find(|seal| seal.name == name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = seal.key.open_in_place(nonce, Aad::from(id), &mut sealed[PREFIX..]);
        let length = opened.ok()?.len();
        let mut session = Session::new(sealed);
        session.copy_within(PREFIX..PREFIX + length, 0);
        session[length..].zeroize();
        session.truncate(length);
        Some(session)
    }
}

impl Seal {
    fn derive(key: &[u8; KEY]) -> Self {
        let extracted = extract(key);
        let name = hmac::Key::from(expand(&extracted, &[b"key name"], hmac::HMAC_SHA256));
        let tag = hmac::sign(&name, b"");
        let mut name = [0; KEY_NAME];
        name.copy_from_slice(&tag.as_ref()[..KEY_NAME]);
        let key = LessSafeKey::new(UnboundKey::from(expand(&extracted, &[b"seal"], &AES_256_GCM_SIV)));
        Self { name, key }
    }
}

fn extract(key: &[u8; KEY]) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"distcache sessions 1").extract(key)
}

fn expand<'a, T: hkdf::KeyType>(key: &'a hkdf::Prk, what: &'a [&'a [u8]], kind: T) -> hkdf::Okm<'a, T> {
    key.expand(what, kind).expect("keys are far shorter than what HKDF can give")
}

fn unhex(digits: &[u8]) -> Option<Zeroizing<[u8; KEY]>> {
    let mut key = Zeroizing::new([0; KEY]);
    if digits.len() != 2 * KEY {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(16 * value(pair[0])? + value(pair[1])?).ok()?;
    }
    Some(key)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("count", &self.seals.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Open => f.write_str("everyone may read it; chmod o= it"),
            Self::Line(number) => write!(f, "line {number} is not a key of 64 hex digits"),
            Self::Count => write!(f, "expected 1 to {KEYS} different keys, and one for names at most"),
        }
    }
}

impl std::error::Error for KeysError {}
