//! Pins: promises that entries, those that are there and those to come, are not evicted until a time.
//!
//! Owns the list, which is kept by the store under the name `pins`, and tells the store which entries it covers
//! ([`matcher`]). Invariants: a change is durable before it is said to be done; a pin past its time promises nothing,
//! and is taken off the list by the sweeper. Does not keep anybody from deleting an object, nor from letting it expire.

mod matcher;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocols::http::url::CanonicalUrl;
use serde::{Deserialize, Serialize};
use store::Failure;

use self::matcher::Matcher;
use crate::{Cache, Timestamp};

/// The name under which the store keeps the list.
const KEPT: &str = "pins";

/// Longest URL or prefix, in bytes; the whole list must stay small.
const LONGEST_URL: usize = 2048;
/// Longest tag and longest name, in bytes.
const LONGEST_WORD: usize = 256;

/// A promise that matching entries are not evicted until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Names the pin: 16 hexadecimal digits.
    pub id: String,
    /// Which entries.
    #[serde(flatten)]
    pub subject: Subject,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it ends, in seconds since 1970.
    pub until: u64,
}

/// Which entries a pin is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Those of this URL, in its canonical form without secrets.
    Url(String),
    /// Those whose URL, in that form, begins so.
    Prefix(String),
    /// Those with this tag in `Cache-Tag`, `Surrogate-Key` or `xkey`.
    Tag(String),
}

/// What somebody wants to be pinned.
#[derive(Clone, Debug)]
pub struct PinRequest {
    /// Which entries.
    pub subject: Subject,
    /// For how long.
    pub ttl: Duration,
    /// What people shall call it.
    pub name: Option<String>,
}

/// Why a pin was not made or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinError {
    /// The request says something impossible; a sentence that says what.
    Invalid(String),
    /// There are as many as there may be.
    Full {
        /// `max_pins`.
        most: usize,
    },
    /// The store could not keep the list; nothing has changed.
    NotKept(Failure),
}

/// The list, and the right to change it.
#[derive(Default)]
pub(crate) struct Pins {
    list: Mutex<Arc<Vec<Pin>>>,
    /// Held over the whole of a change.
    changing: tokio::sync::Mutex<()>,
}

/// The list as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    pins: Vec<Pin>,
}

const VERSION: u32 = 1;

impl Subject {
    /// The entries of a URL.
    pub fn url(url: &str) -> Result<Self, PinError> {
        canonical("url", url).map(Self::Url)
    }

    /// The entries whose URL begins so: scheme and host, and as much of the path as is wanted.
    pub fn prefix(prefix: &str) -> Result<Self, PinError> {
        canonical("prefix", prefix).map(Self::Prefix)
    }

    /// The entries with this tag.
    pub fn tag(tag: &str) -> Result<Self, PinError> {
        let is_word = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        if tag.is_empty() || tag.len() > LONGEST_WORD || !tag.bytes().all(is_word) {
            let detail =
                format!("tag must be 1 to {LONGEST_WORD} visible ASCII characters without comma and blank");
            return Err(PinError::Invalid(detail));
        }
        Ok(Self::Tag(tag.to_owned()))
    }
}

/// In the form in which entries carry it.
fn canonical(member: &str, text: &str) -> Result<String, PinError> {
    if text.len() > LONGEST_URL {
        return Err(PinError::Invalid(format!("{member} has more than {LONGEST_URL} bytes")));
    }
    match CanonicalUrl::parse(text) {
        Ok(url) => Ok(url.display.to_string()),
        Err(error) => {
            Err(PinError::Invalid(format!("{member} is no URL that could be fetched: {}", error.detail)))
        }
    }
}

impl Cache {
    /// Takes up the pins of earlier runs. Called once: a store that awaits pins evicts nothing before.
    pub async fn restore_pins(&self) {
        let _changing = self.inner.pins.changing.lock().await;
        let pins = self.kept_pins().await;
        self.install_pins(pins);
    }

    async fn kept_pins(&self) -> Vec<Pin> {
        let Some(bytes) = self.inner.store.kept(KEPT).await else { return Vec::new() };
        match serde_json::from_slice(&bytes) {
            Ok(Kept { version: VERSION, pins }) => return pins,
            Ok(Kept { version, .. }) => {
                tracing::error!(version, "the list of pins is of a later version: nothing is pinned");
            }
            Err(error) => tracing::error!(%error, "the list of pins cannot be read: nothing is pinned"),
        }
        Vec::new()
    }

    /// The pins that are not past their time, oldest first.
    pub fn pins(&self) -> Vec<Pin> {
        let now = self.inner.clock.now();
        self.inner.pins.list.lock().iter().filter(|pin| pin.lasts(now)).cloned().collect()
    }

    /// Pins; the answer is durable. Objects that are there already are kept once
    /// [`pins_applied`](Self::pins_applied) has answered.
    pub async fn pin(&self, request: PinRequest) -> Result<Pin, PinError> {
        let PinRequest { subject, ttl, name } = request;
        if name.as_ref().is_some_and(|name| name.len() > LONGEST_WORD || name.contains(char::is_control)) {
            let detail = format!("name must have at most {LONGEST_WORD} bytes and no control characters");
            return Err(PinError::Invalid(detail));
        }
        let _changing = self.inner.pins.changing.lock().await;
        let mut pins = self.pins();
        let most = self.inner.settings.max_pins;
        if pins.len() >= most {
            return Err(PinError::Full { most });
        }
        let now = self.inner.clock.now();
        let until = now.after(ttl).0.div_ceil(1000);
        let id = loop {
            let id = format!("{:016x}", fastrand::u64(..));
            if pins.iter().all(|pin| pin.id != id) {
                break id;
            }
        };
        let pin = Pin { id, subject, name, created: now.seconds(), until };
        pins.push(pin.clone());
        self.change(pins).await?;
        Ok(pin)
    }

    /// Waits until the pins hold for all objects that are there. Those that came after them are kept from the start.
    pub async fn pins_applied(&self) {
        self.inner.store.pins_compared().await;
    }

    /// Whether the pins hold for all objects that are there.
    pub fn are_pins_applied(&self) -> bool {
        self.inner.store.are_pins_compared()
    }

    /// Takes a pin away and returns it; `None` when there is none of that name.
    pub async fn unpin(&self, id: &str) -> Result<Option<Pin>, PinError> {
        let _changing = self.inner.pins.changing.lock().await;
        let mut pins = self.pins();
        let Some(place) = pins.iter().position(|pin| pin.id == id) else { return Ok(None) };
        let pin = pins.remove(place);
        self.change(pins).await?;
        Ok(Some(pin))
    }

    /// Takes pins off the list that are past their time. When that cannot be kept, the next call tries again.
    pub(crate) async fn expire_pins(&self) {
        let _changing = self.inner.pins.changing.lock().await;
        let pins = self.pins();
        if pins.len() == self.inner.pins.list.lock().len() {
            return;
        }
        if let Err(PinError::NotKept(failure)) = self.change(pins).await {
            tracing::warn!(%failure, "the list of pins could not be kept");
        }
    }

    async fn change(&self, pins: Vec<Pin>) -> Result<(), PinError> {
        let kept = Kept { version: VERSION, pins };
        // Strings and numbers always serialise.
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        self.inner.store.keep(KEPT, bytes).await.map_err(PinError::NotKept)?;
        self.install_pins(kept.pins);
        Ok(())
    }

    pub(crate) fn install_pins(&self, pins: Vec<Pin>) {
        self.inner.metrics.pins.set(i64::try_from(pins.len()).unwrap_or(i64::MAX));
        let matcher = Matcher::new(pins.iter().map(|pin| &pin.subject));
        *self.inner.pins.list.lock() = Arc::new(pins);
        self.inner.store.pin(Arc::new(move |name, head| matcher.covers(name, head)));
    }
}

impl Pin {
    fn lasts(&self, now: Timestamp) -> bool {
        now.seconds() < self.until
    }
}
