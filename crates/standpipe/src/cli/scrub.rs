//! `standpipe scrub`: lets the running server compare every stored body with its digest, and shows how far it is.

use std::time::Duration;

use clap::ArgMatches;
use http::{Method, StatusCode};
use serde_json::Value;

use super::client::{self, Server};
use super::print;

const PATH: &str = "/api/v1/scrub";
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts a scrub, or asks about the one that runs, as the arguments say; waits for its end unless told not to.
pub(super) async fn run(arguments: &ArgMatches, server: &Server) -> Result<(), String> {
    if arguments.get_flag("stop") {
        return tell(&ask(server, Method::DELETE, &[]).await?);
    }
    if !arguments.get_flag("status") {
        let rate = arguments.get_one::<String>("rate").map(|rate| ("rate", rate.as_str()));
        ask(server, Method::POST, rate.as_slice()).await?;
    }
    loop {
        let progress = ask(server, Method::GET, &[]).await?;
        let is_running = progress["running"] == true;
        if !is_running || arguments.get_flag("status") || arguments.get_flag("background") {
            return tell(&progress);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(server: &Server, method: Method, query: &[(&str, &str)]) -> Result<Value, String> {
    let response = server.send(method, PATH, query, PATIENCE).await?;
    if response.status() != StatusCode::OK {
        return Err(client::refusal(response, PATIENCE).await);
    }
    let text = client::text(response, PATIENCE).await?;
    serde_json::from_str(&text).map_err(|error| format!("the answer is no JSON: {error}"))
}

/// What the scrub has come to; damage that was found is a failure of the command.
fn tell(progress: &Value) -> Result<(), String> {
    print(&format!("{}\n", sentence(progress)))?;
    match progress["damaged"].as_u64() {
        None | Some(0) => Ok(()),
        Some(damaged) => Err(format!("{damaged} damaged bodies were dropped; they will be fetched again")),
    }
}

fn sentence(progress: &Value) -> String {
    let number = |name: &str| progress[name].as_u64().unwrap_or(0);
    let state = match (progress["running"].as_bool(), number("ended")) {
        (Some(true), _) => "running",
        (_, 0) => "never ended",
        _ => "ended",
    };
    format!(
        "scrub {state}: {} bodies with {} of {} bytes compared, {} damaged",
        number("bodies"),
        number("bytes"),
        number("of_bytes"),
        number("damaged")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_one_line() {
        let progress = json!({"running": true, "bodies": 1, "bytes": 10, "of_bytes": 40, "damaged": 0, "begun": 5, "ended": 0});
        assert_eq!(sentence(&progress), "scrub running: 1 bodies with 10 of 40 bytes compared, 0 damaged");
        assert!(sentence(&json!({"ended": 7, "damaged": 2})).starts_with("scrub ended: "));
        assert!(sentence(&json!({})).starts_with("scrub never ended: "));
    }
}
