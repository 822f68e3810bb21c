//! Shared TLS sessions: the programs `serve`, `client`, `test`, `snoop` and `links`, as commands of `standpipe session`
//! and under their classic names `dc_server`, `dc_client`, `dc_test` and `dc_snoop`.
//!
//! Called by `cli` with parsed arguments, and by `main` when the program's name is a classic one. Everything that speaks
//! the protocol is the crate `distcache`; here are switches, the process (daemon, user, signals), and words for people.
//! Deliberately reads no configuration file and no environment: the door in the main server has both.

pub(crate) mod arguments;
mod classic;
mod client;
mod daemon;
mod links;
mod metrics;
mod process;
mod serve;
mod signals;
mod snoop;
mod startup;
pub(crate) mod store;
mod test;
pub(crate) mod tls;

use std::fmt;
use std::io::{self, Write};

use clap::ArgMatches;

pub(crate) use classic::{run_by_name, words};
pub(crate) use process::harden;

/// The programs that have a classic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Keeps sessions.
    Server,
    /// Brings many local clients to one server.
    Client,
    /// Checks a server, and measures it.
    Test,
    /// Shows what passes by.
    Snoop,
}

/// Why a program did not do its work.
pub(crate) enum Failed {
    /// It was asked for something impossible.
    Usage(String),
    /// It tried.
    Work(String),
}

impl From<String> for Failed {
    fn from(problem: String) -> Self {
        Self::Work(problem)
    }
}

impl Program {
    const ALL: [Self; 4] = [Self::Server, Self::Client, Self::Test, Self::Snoop];

    /// Below `standpipe session`.
    const fn command(self) -> &'static str {
        match self {
            Self::Server => "serve",
            Self::Client => "client",
            Self::Test => "test",
            Self::Snoop => "snoop",
        }
    }

    /// As its own program.
    const fn classic_name(self) -> &'static str {
        match self {
            Self::Server => "dc_server",
            Self::Client => "dc_client",
            Self::Test => "dc_test",
            Self::Snoop => "dc_snoop",
        }
    }

    fn run(self, arguments: &ArgMatches) -> Result<(), Failed> {
        match self {
            Self::Server => serve::run(arguments),
            Self::Client => client::run(arguments),
            Self::Test => test::run(arguments),
            Self::Snoop => snoop::run(arguments),
        }
    }

    /// Says a line on stderr. Nobody may be left to read it.
    fn say(self, line: impl fmt::Display) {
        drop(writeln!(io::stderr(), "{}: {line}", self.classic_name()));
    }
}

/// Runs `standpipe session …`.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), Failed> {
    let (name, arguments) = arguments.subcommand().unwrap_or(("", arguments));
    match Program::ALL.into_iter().find(|program| program.command() == name) {
        Some(program) => program.run(arguments),
        None if name == "links" => links::run(arguments),
        None => Err(Failed::Usage(format!("unknown command `session {name}`"))),
    }
}

/// Prints one JSON object as a line on stdout. A reader that went away has what it wanted.
fn print_json(object: &serde_json::Value) {
    drop(writeln!(io::stdout(), "{object}"));
}
