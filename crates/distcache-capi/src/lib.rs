//! `libdistcache` for C programs: distcache's blocking client, `DC_CTX`, on the crate `distcache`.
//!
//! The header `include/distcache/dc_client.h` is the documentation. [`ffi`] turns C's pointers into values and back,
//! [`context`] is what the calls mean. No call waits without end, asserts, or lets a panic out.
#![deny(unsafe_code)]

mod context;
pub mod ffi;
