//! [`OpenFile`] and [`FileTable`]: body files held open for reading.
//!
//! The table keeps the files of recently read bodies open, at most as many as configured; a fill and a reader keep
//! theirs open besides. Looking into an open file is safe on executor threads; inserting and removing closes files and
//! belongs on disk threads. Invariants: a body has at most one open file at a time; the table never holds more than
//! its limit. Victims are found by a clock: a file that was used since the hand last passed stays.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::mapping::Segment;
use crate::metrics::Level;

/// Mappings kept for one open file.
const SEGMENTS: usize = 8;

/// An open body file and its recent mappings.
pub(crate) struct OpenFile {
    body: u64,
    length: Option<u64>,
    file: Arc<File>,
    used: AtomicBool,
    segments: Mutex<VecDeque<Arc<Segment>>>,
}

impl OpenFile {
    /// The file of the body with this id, which is or is going to be `length` bytes long.
    pub(crate) fn new(body: u64, length: Option<u64>, file: File) -> Arc<Self> {
        let (used, segments) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Self { body, length, file: Arc::new(file), used, segments })
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(crate) fn mark_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// The mapping around `offset`.
    pub(crate) fn segment(&self, offset: u64) -> io::Result<Arc<Segment>> {
        let mut segments = self.segments.lock();
        if let Some(known) = segments.iter().find(|segment| segment.contains(offset)) {
            return Ok(known.clone());
        }
        let segment = Arc::new(Segment::map(&self.file, offset, self.length)?);
        segments.push_back(segment.clone());
        if segments.len() > SEGMENTS {
            segments.pop_front();
        }
        Ok(segment)
    }
}

/// The bounded table of open files.
pub(crate) struct FileTable {
    limit: usize,
    files: Mutex<Files>,
    open: Level,
}

#[derive(Default)]
struct Files {
    by_body: HashMap<u64, Arc<OpenFile>>,
    clock: VecDeque<u64>,
}

impl FileTable {
    pub(crate) fn new(limit: usize, open: Level) -> Self {
        Self { limit: limit.max(1), files: Mutex::default(), open }
    }

    /// Keeps `file` open; closes others when there are too many.
    pub(crate) fn insert(&self, file: Arc<OpenFile>) {
        let mut files = self.files.lock();
        if files.by_body.contains_key(&file.body) {
            return;
        }
        let mut victims = Vec::new();
        while files.by_body.len() >= self.limit {
            victims.extend(files.turn());
        }
        files.clock.push_back(file.body);
        files.by_body.insert(file.body, file);
        self.open.inc();
        self.open.sub(victims.len() as u64);
        drop(files);
    }

    /// Closes the file of a body that is gone.
    pub(crate) fn remove(&self, body: u64) {
        let mut files = self.files.lock();
        let Some(file) = files.by_body.remove(&body) else { return };
        files.clock.retain(|known| *known != body);
        self.open.dec();
        drop(files);
        drop(file);
    }
}

impl Files {
    /// One step of the clock's hand: the file to close, if it was not used lately.
    fn turn(&mut self) -> Option<Arc<OpenFile>> {
        let body = self.clock.pop_front()?;
        if self.by_body[&body].used.swap(false, Ordering::Relaxed) {
            self.clock.push_back(body);
            return None;
        }
        self.by_body.remove(&body)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::sync::Arc;

    use super::{FileTable, OpenFile, SEGMENTS};
    use crate::files::mapping::SEGMENT;
    use crate::metrics::Level;

    fn file(body: u64, length: u64) -> Arc<OpenFile> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(length).unwrap();
        OpenFile::new(body, Some(length), file)
    }

    #[test]
    fn the_table_closes_what_was_not_used_lately() {
        let open = Level::default();
        let table = FileTable::new(2, open.clone());
        let files = [1, 2, 3].map(|body| file(body, 1));
        files.iter().take(2).for_each(|file| table.insert(file.clone()));
        files[0].mark_used();
        table.insert(files[2].clone());
        let held = files.each_ref().map(|file| Arc::strong_count(file) == 2);
        assert_eq!(held, [true, false, true]);
        table.remove(1);
        assert_eq!(open.get(), 1);
    }

    #[test]
    fn segments_cover_a_sparse_file_and_few_stay_mapped() {
        let length = 10 * SEGMENT + 5;
        let file = file(1, length);
        for (offset, end) in
            [(0, SEGMENT), (SEGMENT - 1, SEGMENT), (SEGMENT, 2 * SEGMENT), (length - 1, length)]
        {
            let segment = file.segment(offset).unwrap();
            assert!(segment.contains(offset) && segment.contains(end - 1) && !segment.contains(end));
        }
        let first = file.segment(0).unwrap();
        (0..10).for_each(|segment| drop(file.segment(segment * SEGMENT).unwrap()));
        assert_eq!(file.segments.lock().len(), SEGMENTS);
        assert_eq!(Arc::strong_count(&first), 1, "the oldest is unmapped when its reader goes on");
    }
}
