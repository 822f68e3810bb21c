//! `standpipe entries`: what the running server has stored, as a table.

use std::time::Duration;

use clap::ArgMatches;
use http::{Method, StatusCode};
use serde_json::Value;

use super::client::{self, Server};

const PATIENCE: Duration = Duration::from_secs(600);

/// Objects of a page: so many that no page is longer than an answer may be.
const PAGE: u64 = 200;
/// Unless it is said how many.
const USUAL: u64 = 100;

/// Prints the list page by page, with `print`.
pub(super) async fn run(
    arguments: &ArgMatches,
    server: &Server,
    print: impl Fn(&str) -> Result<(), String>,
) -> Result<(), String> {
    let mut left = arguments.get_one::<u64>("limit").copied().unwrap_or(USUAL);
    let is_json = arguments.get_flag("json");
    let mut cursor: Option<String> = None;
    while left > 0 {
        let limit = left.min(PAGE).to_string();
        let names = ["host", "prefix", "tag", "status", "state", "expression", "sort"];
        let given =
            names.into_iter().filter_map(|name| Some((name, arguments.get_one::<String>(name)?.as_str())));
        let mut query: Vec<(&str, &str)> = given.collect();
        query.push(("limit", &limit));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let response = server.send(Method::GET, "/api/v1/entries", &query, PATIENCE).await?;
        if response.status() != StatusCode::OK {
            return Err(client::refusal(response, PATIENCE).await);
        }
        let page: Value = serde_json::from_str(&client::text(response, PATIENCE).await?)
            .map_err(|error| format!("the server's answer is no JSON: {error}"))?;
        let entries = page["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines = entries.iter().map(|entry| if is_json { format!("{entry}\n") } else { line(entry) });
        print(&lines.collect::<String>())?;
        left -= left.min(entries.len() as u64);
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    Ok(())
}

fn line(entry: &Value) -> String {
    let number = |name: &str| entry[name].as_i64().unwrap_or_default();
    let state = entry["state"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let state = state.collect::<Vec<_>>().join(",");
    let url = entry["url"].as_str().unwrap_or_default();
    let line =
        format!("{:>14}  {}  {state:<12}  {:>9} s  {url}", number("bytes"), number("status"), number("age"));
    format!("{}\n", client::printable(&line).replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_a_line_that_cannot_steer_a_terminal() {
        let entry = json!({"bytes": 12, "status": 200, "state": ["fresh", "pinned"], "age": 3, "url": "http://a/\u{1b}[2J"});
        assert_eq!(line(&entry), "            12  200  fresh,pinned          3 s  http://a/\u{fffd}[2J\n");
    }
}
