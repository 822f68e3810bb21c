//! HTTP caching decisions and single-flight fills. Knows no sockets and no file paths; defines the trait
//! [`Origin`] that everything bytes come from implements.
//!
//! A [`Request`] comes from a door. `lookup` finds the object or claims the right to fetch it; `fill` fetches
//! it on a task of its own; `answer` and `payload` make the [`Answer`] from what is stored, be it complete or
//! still growing; `bypass` streams what the store cannot take. Between two requests the cache owns only a memory
//! of refusals (`negative`) and the list of pins; objects and flights live in the store.
#![forbid(unsafe_code)]

mod answer;
mod bypass;
mod cache;
mod clock;
mod entries;
mod error;
mod exchange;
mod explain;
mod fill;
mod head;
mod lookup;
mod metrics;
mod negative;
mod origin;
mod outcome;
mod payload;
mod pins;
pub mod policy;
mod prewarm;
mod purge;
mod request;
mod revalidate;
mod rule;
mod settings;
mod sweep;
#[cfg(test)]
mod tests;
mod varint;

pub use answer::{Answer, Refusal};
pub use cache::{Cache, Http, Parts, Stats};
pub use clock::{Clock, SystemClock, Timestamp};
pub use entries::{Listed, Order, Page, Selection, Wanted};
pub use error::{Error, Kind};
pub use exchange::Exchange;
pub use explain::{Explanation, Manner as Answering, Subject as Explained};
pub use head::{Confirmation, Head};
pub use origin::{
    Duplex, Interim, Manners, NamedBy, Origin, OriginBody, OriginRequest, OriginResponse, Purpose,
    RequestBody, Tunnel, Tunnels,
};
pub use outcome::Outcome;
pub use payload::{Payload, Source};
pub use pins::{Pin, PinError, PinRequest, Subject};
pub use prewarm::{Prewarm, PrewarmRefused, Progress};
pub use purge::{Purge, PurgeRefused, Purged};
pub use request::{KeyHasher, Method, PassedField, Request, Target, WhenFull};
pub use rule::{Case, RangeFill, Rule};
pub use settings::{Operators, Settings};
// What doors need of the store's read side, so that they see one set of types.
pub use store::{Blame, Chunk, Digest, Failure, FileRange, Mode, Retry};
