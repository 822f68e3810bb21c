//! [`Item`]: one URL of the crash test: what its origin says, what a client may therefore see, and what must have
//! survived a crash.
//!
//! Every answer of the origin has a number, its *version*, in the field `X-Version`, also a 304. The versions' contents
//! are remembered, so any answer of the server can be checked alone: its version names the bytes that must follow, and
//! tells whether something newer was lost.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use scenarios::outcome;
use testkit::client::{Client, Ending, Response};
use testkit::content::Content;
use testkit::node::fetch_target;
use testkit::origin::{Framing, Origin, Script};

/// Lengths around all borders: nothing, memory or file, window, page, and some megabytes.
const LENGTHS: [u64; 12] =
    [0, 1, 137, 4_095, 20_000, 65_536, 65_537, 262_144, 262_145, 300_001, 700_000, 1_500_000];

/// Contents that exist: few, so that different URLs often have equal bytes.
const CONTENTS: u64 = 24;

/// Events of a story.
const EVENTS: usize = 24;

/// What an origin has under one URL in one edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edition {
    seed: u64,
    length: u64,
}

/// The origin's side of an item.
pub(crate) struct Truth {
    place: u64,
    /// Which edition the origin gives now.
    edition: AtomicU64,
    /// What was said under each version.
    versions: Mutex<Vec<Edition>>,
}

/// One URL, and what is known of it.
pub(crate) struct Item {
    url: String,
    truth: Arc<Truth>,
    /// Newest version that a complete answer of the present process had.
    seen: Option<u64>,
    /// Version that is on disk: this or a newer one must be there.
    committed: Option<u64>,
    /// Deleted, and the deletion is on disk.
    absent: bool,
    /// Deleted by the present process.
    deleted: bool,
    /// A client left while a fill may have been under way: nobody knows what becomes of it until all fills have ended.
    in_background: bool,
    /// The present process was not asked for it yet.
    untouched: bool,
    /// What happened lately, for the message of a failure.
    story: VecDeque<String>,
}

/// Whether what is committed must still be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing may be lost.
    Forbidden,
    /// Eviction may take what it wants.
    Allowed,
}

/// The server has gone.
pub(crate) struct Gone;

/// A connection to a server that is going to be killed.
pub(crate) struct Link {
    client: Client,
    address: std::net::SocketAddr,
    /// Set just before the kill: a connection that breaks while this is false was broken by the server itself.
    is_killed: Arc<AtomicBool>,
    loss: Loss,
}

impl Link {
    pub(crate) async fn open(
        address: std::net::SocketAddr,
        is_killed: Arc<AtomicBool>,
        loss: Loss,
    ) -> Result<Self, Gone> {
        let client = Client::try_connect(address).await.ok_or(Gone)?;
        Ok(Self { client, address, is_killed, loss })
    }

    async fn renew(&mut self) -> Result<(), Gone> {
        self.client = Client::try_connect(self.address).await.ok_or(Gone)?;
        Ok(())
    }

    /// The connection broke: because of the kill; else only because a body of unknown length has found the small
    /// quota full of what is just growing, and then another connection is made.
    async fn broken(&mut self, place: &str, url: &str) -> Result<(), Gone> {
        if self.is_killed.load(Ordering::SeqCst) {
            return Err(Gone);
        }
        assert_eq!(self.loss, Loss::Allowed, "the server broke a connection {place} of {url}");
        self.renew().await
    }
}

impl Truth {
    fn now(&self) -> Edition {
        let edition = self.edition.load(Ordering::SeqCst);
        // Two neighbours share all their editions.
        let number = self.place / 2 * 5 + edition;
        Edition { seed: number % CONTENTS, length: LENGTHS[(number % LENGTHS.len() as u64) as usize] }
    }

    /// The origin's next answer.
    fn answer(&self) -> Script {
        let edition = self.now();
        let version = {
            let mut versions = self.versions.lock();
            versions.push(edition);
            versions.len() - 1
        };
        let object =
            Script::generated(edition.seed, edition.length).header("X-Version", &version.to_string());
        let is_chunked = self.place % 3 == 2;
        if is_chunked { object.framing(Framing::Chunked).into() } else { object.into() }
    }
}

impl Item {
    pub(crate) fn new(origin: &Origin, place: u64) -> Self {
        let truth = Arc::new(Truth { place, edition: AtomicU64::new(0), versions: Mutex::default() });
        let path = format!("/{place}");
        let answering = truth.clone();
        origin.route_with(&path, move |_, _| answering.answer());
        Self {
            url: origin.url(&path),
            truth,
            seen: None,
            committed: None,
            absent: false,
            deleted: false,
            in_background: false,
            untouched: true,
            story: VecDeque::new(),
        }
    }

    fn note(&mut self, event: String) {
        if self.story.len() == EVENTS {
            self.story.pop_front();
        }
        self.story.push_back(event);
    }

    /// A new process: what the old one had not committed is unknown.
    pub(crate) fn process_ended(&mut self) {
        self.note("new process".to_owned());
        (self.seen, self.deleted, self.in_background, self.untouched) = (None, false, false, true);
    }

    /// Everything that the present process has acknowledged is on disk, and nothing is under way.
    pub(crate) fn all_committed(&mut self) {
        self.note("all committed".to_owned());
        self.committed = self.seen.or(self.committed);
        self.absent = self.deleted || self.absent && self.seen.is_none();
        self.in_background = false;
    }

    /// Whether it is known to be on disk.
    pub(crate) const fn is_committed(&self) -> bool {
        self.committed.is_some()
    }

    /// One random thing that a client does. Counts in `tally`.
    pub(crate) async fn turn(
        &mut self,
        link: &mut Link,
        random: &mut fastrand::Rng,
        tally: &Tally,
    ) -> Result<(), Gone> {
        if self.untouched {
            return self.get(link, "", None, tally).await;
        }
        match random.u8(..16) {
            0..6 => self.get(link, "", None, tally).await,
            6..8 => {
                let part = self.part(random);
                self.get(link, "", part, tally).await
            }
            8..11 => self.get(link, "&revalidate=always", None, tally).await,
            11..13 => {
                self.truth.edition.fetch_add(1, Ordering::SeqCst);
                self.get(link, "&revalidate=always", None, tally).await
            }
            13 => self.leave(link).await,
            _ => self.delete(link).await,
        }
    }

    fn part(&self, random: &mut fastrand::Rng) -> Option<Range<u64>> {
        let length = self.truth.now().length;
        let first = random.u64(..length.max(1));
        (length > 0).then(|| first..random.u64(first..length) + 1)
    }

    /// Asks, and checks everything about the answer.
    async fn get(
        &mut self,
        link: &mut Link,
        more: &str,
        part: Option<Range<u64>>,
        tally: &Tally,
    ) -> Result<(), Gone> {
        self.note(format!("get{more} {part:?}"));
        let range = part.as_ref().map(|part| format!("bytes={}-{}", part.start, part.end - 1));
        let fields: Vec<_> = range.iter().map(|range| ("Range", range.as_str())).collect();
        link.client.start("GET", &fetch_target(&self.url, more), &fields).await;
        let head = link.client.head("GET").await;
        if head.status == 0 {
            self.in_background = true;
            return link.broken("before the head", &self.url).await;
        }
        // No room among what is just growing; or a range past the end of another edition than it was made for.
        if head.status == 507 && link.loss == Loss::Allowed || head.status == 416 {
            return self.refused(link, &head).await;
        }
        assert!([200, 206].contains(&head.status), "{}: {head:?}", self.url);
        let (version, edition) = self.edition_of(&head);
        let span = span(&head, edition.length);
        let (content, mut at) = (Content::new(edition.seed), span.start);
        let ending = link
            .client
            .body(&head, |bytes| {
                content.assert_matches(at, bytes);
                at += bytes.len() as u64;
            })
            .await;
        assert!(at <= span.end, "{}: {} bytes too many", self.url, at - span.end);
        if ending != Ending::Complete {
            self.in_background = true;
            return link.broken("inside a body", &self.url).await;
        }
        assert_eq!(at, span.end, "{}: a clean end on a short body", self.url);
        self.judge(&head, version, link.loss, tally);
        if head.header("connection") == Some("close") {
            link.renew().await?;
        }
        Ok(())
    }

    async fn refused(&mut self, link: &mut Link, head: &Response) -> Result<(), Gone> {
        self.in_background = true;
        match link.client.body(head, |_| {}).await {
            Ending::Complete => Ok(()),
            _ => link.broken("inside a refusal", &self.url).await,
        }
    }

    /// What the answer claims to be. Its validator must be that of the bytes that belong to its version.
    fn edition_of(&self, head: &Response) -> (u64, Edition) {
        let version: u64 = head.header("x-version").and_then(|text| text.parse().ok()).expect("X-Version");
        let edition = self.truth.versions.lock()[version as usize];
        let etag = format!("\"{:x}-{:x}\"", edition.seed, edition.length);
        assert_eq!(head.header("etag"), Some(etag.as_str()), "{}: {head:?}", self.url);
        (version, edition)
    }

    /// Compares a complete answer with what must have survived, and learns from it.
    fn judge(&mut self, head: &Response, version: u64, loss: Loss, tally: &Tally) {
        let outcome = outcome(head);
        self.note(format!("{outcome} version {version}"));
        let is_stored = ["HIT", "REVALIDATED"].contains(&outcome.as_str());
        if self.untouched && loss == Loss::Forbidden {
            let (committed, absent) = (self.committed, self.absent);
            let story = &self.story;
            assert!(committed.is_none() || is_stored, "{} was committed and is lost: {story:#?}", self.url);
            assert!(!absent || !is_stored, "{} was deleted and is back: {story:#?}", self.url);
        }
        if let Some(committed) = self.committed.filter(|_| loss == Loss::Forbidden) {
            let story = &self.story;
            assert!(version >= committed, "{}: version {committed} became {version}: {story:#?}", self.url);
        }
        if self.untouched && outcome == "HIT" {
            // It can only have come from the disk.
            self.committed = Some(version);
            tally.survived.fetch_add(1, Ordering::Relaxed);
        }
        tally.answers.fetch_add(1, Ordering::Relaxed);
        (self.untouched, self.absent, self.deleted) = (false, false, false);
        self.seen = Some(version);
    }

    /// Starts a request and goes away.
    async fn leave(&mut self, link: &mut Link) -> Result<(), Gone> {
        self.note("leave".to_owned());
        (self.in_background, self.deleted, self.absent) = (true, false, false);
        link.client.start("GET", &fetch_target(&self.url, "&revalidate=always"), &[]).await;
        link.renew().await
    }

    async fn delete(&mut self, link: &mut Link) -> Result<(), Gone> {
        self.note("delete".to_owned());
        // From here on nobody knows until the answer is there.
        (self.seen, self.committed) = (None, None);
        let target = fetch_target(&self.url, "").replace("/fetch?", "/delete?");
        link.client.start("POST", &target, &[("Content-Length", "0")]).await;
        let answer = link.client.response("POST").await;
        if answer.ending != Ending::Complete {
            return link.broken("instead of the answer to a deletion", &self.url).await;
        }
        assert!([200, 404].contains(&answer.status), "{}: {answer:?}", self.url);
        self.deleted = !self.in_background;
        Ok(())
    }
}

/// The bytes that an answer declares to hold.
fn span(head: &Response, length: u64) -> Range<u64> {
    let Some(field) = head.header("content-range") else {
        assert_eq!(head.status, 200, "{head:?}");
        return 0..length;
    };
    let (first, last) = field
        .strip_prefix("bytes ")
        .and_then(|rest| rest.split_once('/'))
        // While a body of unknown length grows, nobody knows the total.
        .filter(|(_, total)| *total == "*" || *total == length.to_string())
        .and_then(|(span, _)| span.split_once('-'))
        .unwrap_or_else(|| panic!("{head:?} of {length} bytes"));
    first.parse().expect("a number")..last.parse::<u64>().expect("a number") + 1
}

/// What a run has done, so that a run that did nothing is no success.
#[derive(Default)]
pub(crate) struct Tally {
    /// Processes killed.
    pub(crate) kills: AtomicU64,
    /// Complete answers compared.
    pub(crate) answers: AtomicU64,
    /// Answers that came from what an earlier process had left.
    pub(crate) survived: AtomicU64,
    /// Times that the disk was compared with the quota.
    pub(crate) audits: AtomicU64,
    /// Entries evicted, as far as processes lived to tell.
    pub(crate) evicted: AtomicU64,
}
