//! [`Names`]: the directories as the platter has them, and what is on the way there. Paths are below the root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    /// The index of its content.
    File(usize),
}

/// All directories.
#[derive(Default)]
pub(super) struct Names {
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// Made since they were last made durable, in order.
    changes: Vec<Change>,
}

/// A change of names that happens as a whole.
struct Change {
    removed: Option<PathBuf>,
    added: Option<(PathBuf, Node)>,
}

impl Names {
    pub(super) fn add(&mut self, path: PathBuf, node: Node) {
        self.make(Change { removed: None, added: Some((path, node)) });
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.make(Change { removed: Some(path.to_owned()), added: None });
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(node) = self.live.get(from).copied() {
            self.make(Change { removed: Some(from.to_owned()), added: Some((to.to_owned(), node)) });
        }
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) {
        if let Some(node) = self.live.get(from).copied() {
            self.add(to.to_owned(), node);
        }
    }

    /// The names in `directory` reach the platter, and with them earlier changes of the same names.
    pub(super) fn sync(&mut self, directory: &Path) {
        let mut needed: Vec<PathBuf> = Vec::new();
        let mut synced = vec![false; self.changes.len()];
        for (change, synced) in self.changes.iter().zip(&mut synced).rev() {
            if change
                .paths()
                .any(|path| path.parent() == Some(directory) || needed.iter().any(|need| need == path))
            {
                *synced = true;
                needed.extend(change.paths().map(Path::to_owned));
            }
        }
        let mut synced = synced.into_iter();
        let durable = &mut self.durable;
        self.changes.retain(|change| {
            let now = synced.next().unwrap_or(false);
            if now {
                change.apply(durable);
            }
            !now
        });
    }

    /// All names reach the platter.
    pub(super) fn sync_all(&mut self) {
        self.durable = self.live.clone();
        self.changes.clear();
    }

    /// What may be on the platter now, parents first: any of the changes, but no name without its directory.
    pub(super) fn survivors(&self, random: &mut fastrand::Rng) -> BTreeMap<PathBuf, Node> {
        let mut names = self.durable.clone();
        let share = [0.0, 0.5, 1.0][random.usize(..3)];
        for change in &self.changes {
            if random.f64() < share {
                change.apply(&mut names);
            }
        }
        let mut survivors = BTreeMap::from([(PathBuf::new(), Node::Directory)]);
        for (path, node) in names {
            if path.parent().and_then(|parent| survivors.get(parent)) == Some(&Node::Directory) {
                survivors.insert(path, node);
            }
        }
        survivors.remove(Path::new(""));
        survivors
    }

    fn make(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.changes.push(change);
    }
}

impl Change {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.removed.as_deref().into_iter().chain(self.added.as_ref().map(|(path, _)| path.as_path()))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        if let Some(path) = &self.removed {
            names.remove(path);
        }
        if let Some((path, node)) = &self.added {
            names.insert(path.clone(), *node);
        }
    }
}
