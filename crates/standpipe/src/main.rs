//! The program `standpipe`: a caching server between a fleet and everything the fleet downloads, and the commands
//! that go with it. `config` says what is wanted, `assemble` builds it, `serve` runs it, `cli` is for people. `session` holds
//! the programs that share TLS sessions; called by one of their classic names, this program is one of them.
#![forbid(unsafe_code)]

mod assemble;
mod cli;
mod config;
mod limits;
mod logs;
mod serve;
mod session;
mod shutdown;

/// Long-lived headers and index entries come and go in all sizes: jemalloc gives memory back where the system's
/// allocator keeps holes.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    session::run_by_name().unwrap_or_else(cli::run)
}
