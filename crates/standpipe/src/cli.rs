//! The commands. Each returns a sentence when it fails; this file turns that into exit codes: 0 done, 1 failed,
//! 2 wrong usage or configuration, 3 done but not for everything. A reader of stdout that goes away is no panic.
//!
//! Deliberately knows nothing about serving: `serve` goes straight to `assemble`.

pub(crate) mod arguments;
mod client;
mod entries;
mod explain;
mod export;
mod fsck;
mod get;
mod hashing;
mod import;
mod pins;
mod prewarm;
mod purge;
mod scrub;
mod status;
mod tree;
mod wrap;

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use clap_complete::Shell;
use http::{Method, StatusCode};

use crate::config::{self, Config, Facts, Values};
use crate::{serve, session};
use client::Server;

/// How long `delete` waits for the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a command did not do its work.
enum Failed {
    /// It was asked for something impossible; exit code 2.
    Usage(String),
    /// It tried; exit code 1.
    Work(String),
    /// It did what it could and reported the rest; exit code 3.
    Findings(String),
}

impl From<String> for Failed {
    fn from(problem: String) -> Self {
        Self::Work(problem)
    }
}

impl From<session::Failed> for Failed {
    fn from(failed: session::Failed) -> Self {
        match failed {
            session::Failed::Usage(problem) => Self::Usage(problem),
            session::Failed::Work(problem) => Self::Work(problem),
        }
    }
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let matches = arguments::command().get_matches_from(session::words());
    let done = match matches.subcommand() {
        None => serve(&matches),
        Some(("serve", arguments)) => serve(arguments),
        Some(("check-config", arguments)) => check_config(arguments),
        Some(("get", arguments)) => with_server(arguments, async |server| get::run(arguments, server).await),
        Some(("status", arguments)) => {
            with_server(arguments, async |server| print(&status::run(arguments, server).await?))
        }
        Some(("delete", arguments)) => with_server(arguments, async |server| delete(arguments, server).await),
        Some(("pin", arguments)) => {
            with_server(arguments, async |server| print(&pins::pin(arguments, server).await?))
        }
        Some(("pins", arguments)) => {
            with_server(arguments, async |server| print(&pins::list(arguments, server).await?))
        }
        Some(("unpin", arguments)) => {
            with_server(arguments, async |server| pins::unpin(arguments, server).await)
        }
        Some(("purge", arguments)) => {
            with_server(arguments, async |server| print(&purge::run(arguments, server).await?))
        }
        Some(("explain", arguments)) => {
            with_server(arguments, async |server| print(&explain::run(arguments, server).await?))
        }
        Some(("entries", arguments)) => {
            with_server(arguments, async |server| entries::run(arguments, server, print).await)
        }
        Some(("prewarm", arguments)) => prewarm(arguments),
        Some(("wrap", arguments)) => wrap(arguments),
        Some(("fsck", arguments)) => with_values(arguments, fsck::run),
        Some(("export", arguments)) => with_values(arguments, export::run),
        Some(("import", arguments)) => with_values(arguments, import::run),
        Some(("scrub", arguments)) => {
            with_server(arguments, async |server| scrub::run(arguments, server).await)
        }
        Some(("session", arguments)) => session::run(arguments).map_err(Failed::from),
        Some(("completions", arguments)) => completions(arguments),
        Some(("man", _)) => man(),
        Some(("config-reference", _)) => print(&config::reference::markdown()).map_err(Failed::from),
        Some((other, _)) => Err(Failed::Usage(format!("unknown command `{other}`"))),
    };
    let (code, problem) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::Usage(problem)) => (2, problem),
        Err(Failed::Work(problem)) => (1, problem),
        Err(Failed::Findings(problem)) => (3, problem),
    };
    // Nobody may be left to read it.
    drop(writeln!(io::stderr(), "standpipe: {problem}"));
    ExitCode::from(code)
}

fn serve(arguments: &ArgMatches) -> Result<(), Failed> {
    let config = configuration(arguments, None)?;
    serve::run(config).map_err(Failed::Work)
}

fn check_config(arguments: &ArgMatches) -> Result<(), Failed> {
    let config = configuration(arguments, arguments.get_one::<PathBuf>("file"))?;
    for warning in &config.warnings {
        drop(writeln!(io::stderr(), "standpipe: {warning}"));
    }
    let file = config.file.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
    print(&format!("# file: {file}\n{}", config::effective(&config)))?;
    Ok(())
}

fn configuration(arguments: &ArgMatches, checked: Option<&PathBuf>) -> Result<Config, Failed> {
    let environment: Vec<(OsString, OsString)> = env::vars_os().collect();
    let facts = Facts::gather(|name| env::var_os(name));
    let named = checked.or_else(|| arguments.get_one::<PathBuf>("config"));
    config::load(arguments, named.map(PathBuf::as_path), &environment, &facts)
        .map_err(|problems| Failed::Usage(problems.join("\nstandpipe: ")))
}

/// Runs a command that works on the store itself.
fn with_values(
    arguments: &ArgMatches,
    command: impl FnOnce(&ArgMatches, &Values) -> Result<(), Failed>,
) -> Result<(), Failed> {
    command(arguments, &configuration(arguments, None)?.values)
}

/// Runs a command that talks to the server.
fn with_server(
    arguments: &ArgMatches,
    command: impl AsyncFnOnce(&Server) -> Result<(), String>,
) -> Result<(), Failed> {
    let server = named_server(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}"))?;
    runtime.block_on(command(&server)).map_err(Failed::Work)
}

fn named_server(arguments: &ArgMatches) -> Result<Server, Failed> {
    Server::new(arguments.get_one::<String>("server").map(String::as_str)).map_err(Failed::Usage)
}

async fn delete(arguments: &ArgMatches, server: &Server) -> Result<(), String> {
    let url = wrap::url(arguments)?;
    let response = server.send(Method::POST, "/api/v1/delete", &[("url", url.as_str())], PATIENCE).await?;
    match response.status() {
        StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
        _ => Err(client::refusal(response, PATIENCE).await),
    }
}

fn prewarm(arguments: &ArgMatches) -> Result<(), Failed> {
    let mut ended = None;
    with_server(arguments, async |server| {
        ended = Some(prewarm::run(arguments, server).await?);
        Ok(())
    })?;
    match ended {
        Some(prewarm::Ended::Short(sentences)) => Err(Failed::Findings(sentences.join("\nstandpipe: "))),
        Some(prewarm::Ended::Background(id)) => Ok(print(&format!("{id}\n"))?),
        Some(prewarm::Ended::Whole) | None => Ok(()),
    }
}

fn wrap(arguments: &ArgMatches) -> Result<(), Failed> {
    let wrapped = wrap::wrap(&named_server(arguments)?, wrap::url(arguments)?);
    print(&format!("{wrapped}\n"))?;
    Ok(())
}

fn completions(arguments: &ArgMatches) -> Result<(), Failed> {
    let shell = arguments.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(), "standpipe", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(())
}

fn man() -> Result<(), Failed> {
    let mut page = Vec::new();
    clap_mangen::Man::new(arguments::command())
        .render(&mut page)
        .map_err(|error| format!("the page cannot be made: {error}"))?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(())
}

/// Writes to stdout. A reader that went away (`| head`) has what it wanted.
fn print(text: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("writing to stdout failed: {error}"))
        }
        _ => Ok(()),
    }
}
