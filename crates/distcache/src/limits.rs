//! The numbers of the protocol. Facts of the wire, not settings.

/// Bytes of a frame before its data.
pub const HEADER: usize = 14;
/// Most data bytes of one frame; a frame that is not the last of its message has exactly as many.
pub const FRAME_DATA: usize = 2048;
/// Most payload bytes of one message: 16 full frames.
pub const PAYLOAD: usize = 32_768;
/// Most bytes a message takes on the wire: 16 full frames and, tolerated from others, an empty last one.
pub const MESSAGE: usize = PAYLOAD + 17 * HEADER;
/// Longest id that ADD accepts, in bytes.
pub const ID: usize = 64;
/// Bytes before the id in the payload of ADD: timeout and length of the id.
pub const ADD_PREFIX: usize = 8;
/// Most bytes of id and session together that one ADD can carry.
pub const ID_AND_SESSION: usize = PAYLOAD - ADD_PREFIX;
/// Longest timeout that ADD accepts: seven days, in milliseconds.
pub const TIMEOUT_MS: u32 = 604_800_000;
/// A reply to GET shorter than this is a miss or a failure for the C library.
pub const SHORTEST_FETCHED: usize = 5;
