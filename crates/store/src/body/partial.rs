//! [`Partial`]: what a body with holes has besides what every body has.
//!
//! Owned by its [`Body`](crate::Body). Invariant: the file that pieces are written to is the one that has the committed
//! bytes; a file that somebody has deleted or cut is never gone on with.
//!
//! Deliberately not here: entries, which the [`Owner`] knows.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::files::directory::Place;
use crate::shared::{Completed, Shared};
use crate::{Body, Failure};

/// What a body with holes has besides.
pub(crate) struct Partial {
    /// Names the file in `parts/`.
    pub(crate) id: u64,
    owner: Box<dyn Owner>,
    /// The file while pieces are written to it.
    file: Mutex<Weak<File>>,
    /// Held while it is recorded as a part and while it ceases to be one: the record of the whole comes last.
    pub(crate) recording: Mutex<()>,
    /// Whether the owner knows that there is something new to record.
    is_told: AtomicBool,
}

/// The store's side of a body with holes: its entry and its record.
pub(crate) trait Owner: Send + Sync {
    /// Keeps the store open: a disk job that everybody waits for at the end must not be what ends it.
    fn hold(&self) -> Option<Arc<dyn Send + Sync>>;
    /// There is something new to record.
    fn grown(&self, body: &Arc<Body>);
    /// No byte is missing, and the body has its digest. Waits for the disk.
    fn completed(&self, body: &Arc<Body>, completed: Completed);
    /// The body is of no use: its entry goes.
    fn lost(&self, body: &Body);
}

impl Partial {
    pub(crate) fn new(id: u64, owner: Box<dyn Owner>) -> Self {
        let (file, recording, is_told) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Self { id, owner, file, recording, is_told }
    }

    /// The file is open.
    pub(crate) fn set_file(&self, file: &Arc<File>) {
        *self.file.lock() = Arc::downgrade(file);
    }

    /// Whoever asks records what is there now.
    pub(crate) fn take_news(&self) {
        self.is_told.store(false, Ordering::Release);
    }

    pub(crate) fn hold(&self) -> Option<Arc<dyn Send + Sync>> {
        self.owner.hold()
    }

    pub(crate) fn completed(&self, body: &Arc<Body>, completed: Completed) {
        self.owner.completed(body, completed);
    }
}

impl Body {
    /// Tells the owner that there is something to record.
    pub(crate) fn tell_news(self: &Arc<Self>) {
        if let Some(partial) = &self.partial
            && !partial.is_told.swap(true, Ordering::AcqRel)
        {
            partial.owner.grown(self);
        }
    }

    /// The file of a body with holes, to write to. Waits for the disk.
    pub(crate) fn open_for_pieces(&self) -> Result<Arc<File>, Failure> {
        let Some(partial) = &self.partial else { return Err(crate::reasons::fill_abandoned()) };
        let mut known = partial.file.lock();
        if let Some(file) = known.upgrade() {
            return Ok(file);
        }
        let place = *self.place.lock();
        let opened = open(&self.shared, place).and_then(|file| self.checked(file));
        let file = opened.map(Arc::new).map_err(|error| self.lose_with(&error, place))?;
        *known = Arc::downgrade(&file);
        Ok(file)
    }

    /// The file, if it can have all that is committed.
    pub(crate) fn checked(&self, file: File) -> io::Result<File> {
        // Before the look at the file, which only grows.
        let needed = if self.growth.is_in_pieces() { self.growth.extents().end() } else { 0 };
        let found = file.metadata()?.len();
        if found < needed {
            let what = format!("the part has {found} bytes instead of {needed}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(file)
    }

    /// Reports an error with the file; one that has no file any more, or another one, is lost.
    pub(crate) fn lose_with(&self, error: &io::Error, place: Place) -> Failure {
        let failure = self.shared.disk_error("open", place, error);
        if let io::ErrorKind::NotFound | io::ErrorKind::InvalidData = error.kind() {
            self.lose(failure.clone());
        }
        failure
    }

    /// Ends a body with holes: its entry goes, its readers get what is committed and then the failure.
    pub(crate) fn lose(&self, failure: Failure) {
        if let Some(partial) = &self.partial {
            // Whoever learns of the failure from the body finds no entry any more.
            partial.owner.lost(self);
            self.growth.fail(failure);
        }
    }
}

/// Never makes a new file: where there is none, committed bytes are gone.
fn open(shared: &Shared, place: Place) -> io::Result<File> {
    let path = shared.directory.path(place);
    shared.disk().length(&path)?;
    shared.disk().open_write(&path)
}
