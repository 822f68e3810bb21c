//! Bytes to values and back, for the protocols Standpipe speaks.
//!
//! Sans-IO: no async, no clock (callers pass `now`), no files, no sockets, no state. Whatever the bytes, a parser
//! answers with a value or says that there is none; it never panics.
#![forbid(unsafe_code)]

pub mod http;
