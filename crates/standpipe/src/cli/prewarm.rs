//! `standpipe prewarm`: lets the running server fetch a list of URLs and shows how far it is.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::client::{self, Server};

const PATIENCE: Duration = Duration::from_secs(60);
/// The server says something at least every 15 s.
const SILENCE: Duration = Duration::from_secs(60);

/// How it ended.
pub(super) enum Ended {
    /// All are there.
    Whole,
    /// It goes on without us; the id of the list.
    Background(String),
    /// Some could not be had; a sentence a URL.
    Short(Vec<String>),
}

pub(super) async fn run(arguments: &ArgMatches, server: &Server) -> Result<Ended, String> {
    let file = arguments.get_one::<PathBuf>("file").map_or(Path::new("-"), PathBuf::as_path);
    let urls = urls(&read(file)?)?;
    let ttl = arguments.get_one::<String>("ttl");
    let path = ttl
        .map_or("/api/v1/prewarm".to_owned(), |ttl| format!("/api/v1/prewarm?ttl={}", client::escaped(ttl)));
    let response = server.send_json(Method::POST, &path, &json!(urls), PATIENCE).await?;
    if response.status() != StatusCode::ACCEPTED {
        return Err(client::refusal(response, PATIENCE).await);
    }
    let begun: Value = serde_json::from_str(&client::text(response, PATIENCE).await?)
        .map_err(|error| format!("the server's answer is no JSON: {error}"))?;
    let id = begun["id"].as_str().unwrap_or_default().to_owned();
    if arguments.get_flag("background") {
        return Ok(Ended::Background(id));
    }
    follow(server, &id).await
}

fn read(file: &Path) -> Result<String, String> {
    let problem = |error: io::Error| format!("{}: {error}", file.display());
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(problem)?;
        return Ok(text);
    }
    fs::read_to_string(file).map_err(problem)
}

fn urls(text: &str) -> Result<Vec<String>, String> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| format!("the list is no JSON array of URLs: {error}"));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Shows every event until the last.
async fn follow(server: &Server, id: &str) -> Result<Ended, String> {
    let path = format!("/api/v1/prewarm/{}/events", client::escaped(id));
    let response = server.send(Method::GET, &path, &[], PATIENCE).await?;
    if response.status() != StatusCode::OK {
        return Err(client::refusal(response, PATIENCE).await);
    }
    let (mut body, mut text) = (response.into_body(), String::new());
    loop {
        let frame =
            timeout(SILENCE, body.frame()).await.map_err(|_| "the server has fallen silent".to_owned())?;
        let Some(frame) = frame else {
            return Err("the server ended before the list did; ask again".to_owned());
        };
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        if let Some(bytes) = frame.data_ref() {
            text.push_str(&String::from_utf8_lossy(bytes));
        }
        while let Some((event, rest)) =
            text.split_once("\n\n").map(|(event, rest)| (event.to_owned(), rest.to_owned()))
        {
            text = rest;
            let Some(progress) = progress(&event) else { continue };
            show(&progress);
            if event.starts_with("event: end") {
                show_end();
                return Ok(ended(&progress));
            }
        }
    }
}

fn progress(event: &str) -> Option<Value> {
    let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
    serde_json::from_str(data).ok()
}

fn ended(progress: &Value) -> Ended {
    let number = |name: &str| progress[name].as_u64().unwrap_or_default();
    if number("stored") == number("urls") {
        return Ended::Whole;
    }
    let failures = progress["failures"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut sentences: Vec<String> = failures.map(client::printable).collect();
    sentences.push(format!("{} of {} URLs are stored", number("stored"), number("urls")));
    Ended::Short(sentences)
}

/// On a terminal every line takes the place of the one before.
fn show(progress: &Value) {
    let number = |name: &str| progress[name].as_u64().unwrap_or_default();
    let (stored, failed, urls) = (number("stored"), number("failed"), number("urls"));
    let line = format!("{stored} of {urls} URLs stored, {failed} failed, {} bytes", number("bytes"));
    let mut stderr = io::stderr().lock();
    // Nobody may be left to read it.
    if stderr.is_terminal() {
        drop(write!(stderr, "\r{line}\u{1b}[K"));
    } else {
        drop(writeln!(stderr, "{line}"));
    }
}

fn show_end() {
    if io::stderr().is_terminal() {
        drop(writeln!(io::stderr()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_lines_or_json() {
        assert_eq!(
            urls("http://a/\n\n# no\n http://b/ \n"),
            Ok(vec!["http://a/".to_owned(), "http://b/".to_owned()])
        );
        assert_eq!(urls(" [\"http://a/\"]"), Ok(vec!["http://a/".to_owned()]));
        assert!(urls("[1]").is_err());
    }

    #[test]
    fn the_last_event_says_what_is_missing() {
        let event = "event: end\ndata: {\"urls\": 2, \"stored\": 1, \"failures\": [\"http://a/: gone\"]}";
        let Ended::Short(sentences) = ended(&progress(event).expect("data")) else { panic!("it is short") };
        assert_eq!(sentences, ["http://a/: gone", "1 of 2 URLs are stored"]);
        assert!(progress(": nothing new").is_none());
    }
}
