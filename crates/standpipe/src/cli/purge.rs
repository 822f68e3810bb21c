//! `standpipe purge`: takes objects out of the running server's store, or has the origin confirm them.

use std::time::Duration;

use clap::ArgMatches;
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::client::{self, Server};

/// How long the server is waited for: it answers when it has looked at every entry, or after its own patience.
const PATIENCE: Duration = Duration::from_secs(600);

/// Returns a line that says how much.
pub(super) async fn run(arguments: &ArgMatches, server: &Server) -> Result<String, String> {
    let mut wanted = Map::new();
    for member in ["url", "prefix", "host", "tag", "expression"] {
        if let Some(value) = arguments.get_one::<String>(member) {
            wanted.insert(member.to_owned(), Value::from(value.as_str()));
        }
    }
    let is_soft = arguments.get_flag("soft");
    let is_dry = arguments.get_flag("dry-run");
    wanted.insert("mode".to_owned(), Value::from(if is_soft { "soft" } else { "hard" }));
    wanted.insert("dry_run".to_owned(), Value::from(is_dry));
    let response = server.send_json(Method::POST, "/api/v1/purge", &Value::Object(wanted), PATIENCE).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(client::refusal(response, PATIENCE).await);
    }
    let answer: Value = serde_json::from_str(&client::text(response, PATIENCE).await?)
        .map_err(|error| format!("the server's answer is no JSON: {error}"))?;
    let what = match (is_dry, is_soft) {
        (true, _) => "would be purged",
        (false, true) => "will be confirmed by their origin before their next use",
        (false, false) => "purged",
    };
    Ok(line(&answer, what, status))
}

fn line(answer: &Value, what: &str, status: StatusCode) -> String {
    let number = |member: &str| answer.get(member).and_then(Value::as_u64).unwrap_or_default();
    let goes_on = if status == StatusCode::ACCEPTED { " so far; the server goes on" } else { "" };
    let entries = number("entries");
    let objects = if entries == 1 { "object" } else { "objects" };
    format!("{entries} {objects}, {} bytes {what}{goes_on}\n", number("bytes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_line_says_how_much_and_whether_it_is_all() {
        let answer = json!({"entries": 2, "bytes": 10});
        assert_eq!(line(&answer, "purged", StatusCode::OK), "2 objects, 10 bytes purged\n");
        assert!(line(&answer, "purged", StatusCode::ACCEPTED).contains("goes on"));
    }
}
