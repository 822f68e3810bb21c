//! [`Entry`]: what is known about one key, and [`Contents`]: the types its owner keeps there.

use std::sync::Arc;

use crate::{Body, Key};

/// The types that the owner of a store keeps in it. The store carries these values and never looks inside.
pub trait Contents: Send + Sync + 'static {
    /// What is known about an object besides its bytes.
    type Head: Send + Sync + 'static;
    /// Why a claim ended without an object; handed to everybody who waited for it.
    type Refusal: Clone + Send + Sync + 'static;

    /// Appends the head in a form that [`decode`](Self::decode) understands, in this and in later versions.
    fn encode(head: &Self::Head, into: &mut Vec<u8>);

    /// The head that was encoded so; `None` when the bytes make no sense: the entry is dropped then.
    fn decode(bytes: &[u8]) -> Option<Self::Head>;

    /// When nobody wants the object any more, in seconds since 1970. May grow while the head is in use.
    fn deadline(head: &Self::Head) -> u32;

    /// By which 64-bit values entries of this name and head can be found ([`Writer::purge`](crate::Writer::purge)), each
    /// once: hashes keyed with `secret`, the same for every start of a store.
    fn labels(_secret: &[u8; 32], _name: &str, _head: &Self::Head) -> Vec<u64> {
        Vec::new()
    }

    /// The object has to be confirmed before its next use. From now on the head says so, and so does what
    /// [`encode`](Self::encode) makes of it.
    fn mark(_head: &Self::Head) {}
}

/// Key → head and body. Immutable: a new head makes a new entry around the same body, so a reader keeps
/// one consistent view for as long as it holds the [`Arc`].
pub struct Entry<C: Contents> {
    /// Identity.
    pub key: Key,
    /// The key as text, for people; without secrets.
    pub name: Arc<str>,
    /// What the owner knows about the object.
    pub head: Arc<C::Head>,
    /// The bytes, complete or still growing.
    pub body: Arc<Body>,
}
