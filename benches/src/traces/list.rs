//! [`Lists`]: doubly linked lists by bytes over dense keys, for the twins. A key is in one list at most.

use super::trace::Request;

/// What a twin knows of a key.
#[derive(Clone, Copy)]
struct Node {
    list: usize,
    bytes: u64,
    older: usize,
    younger: usize,
}

/// `N` lists, each with its bytes.
pub(super) struct Lists<const N: usize> {
    nodes: Vec<Node>,
    /// Ends of the lists: `(oldest, youngest)`.
    ends: [(usize, usize); N],
    bytes: [u64; N],
}

const NOTHING: usize = usize::MAX;

impl<const N: usize> Lists<N> {
    pub(super) fn new(objects: usize) -> Self {
        let none = Node { list: NOTHING, bytes: 0, older: NOTHING, younger: NOTHING };
        Self { nodes: vec![none; objects], ends: [(NOTHING, NOTHING); N], bytes: [0; N] }
    }

    /// The list a key is in, and its size there.
    pub(super) fn find(&self, key: u32) -> Option<(usize, u64)> {
        let node = self.nodes[key as usize];
        (node.list != NOTHING).then_some((node.list, node.bytes))
    }

    pub(super) fn bytes(&self, list: usize) -> u64 {
        self.bytes[list]
    }

    pub(super) fn oldest(&self, list: usize) -> Option<Request> {
        let oldest = self.ends[list].0;
        let key = u32::try_from(oldest).ok()?;
        Some(Request { key, bytes: self.nodes[oldest].bytes })
    }

    /// Makes a key, which is in no list, the youngest of one.
    pub(super) fn push(&mut self, list: usize, request: Request) {
        let key = request.key as usize;
        let youngest = self.ends[list].1;
        self.nodes[key] = Node { list, bytes: request.bytes, older: youngest, younger: NOTHING };
        match self.nodes.get_mut(youngest) {
            Some(node) => node.younger = key,
            None => self.ends[list].0 = key,
        }
        self.ends[list].1 = key;
        self.bytes[list] += request.bytes;
    }

    /// Takes a key out of the list it is in.
    pub(super) fn remove(&mut self, key: u32) {
        let node = self.nodes[key as usize];
        if node.list == NOTHING {
            return;
        }
        match self.nodes.get_mut(node.older) {
            Some(older) => older.younger = node.younger,
            None => self.ends[node.list].0 = node.younger,
        }
        match self.nodes.get_mut(node.younger) {
            Some(younger) => younger.older = node.older,
            None => self.ends[node.list].1 = node.older,
        }
        self.bytes[node.list] -= node.bytes;
        self.nodes[key as usize].list = NOTHING;
    }
}
