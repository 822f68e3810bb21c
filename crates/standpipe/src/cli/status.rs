//! `standpipe status`: what the running server does, as a table for people or as the server's own JSON.

use std::time::Duration;

use clap::ArgMatches;
use http::{Method, StatusCode};
use indicatif::{HumanBytes, HumanCount};
use protocols::http::date;
use serde_json::{Map, Value};

use super::client::{self, Server};

const PATIENCE: Duration = Duration::from_secs(10);

/// Returns what is to be printed.
pub(super) async fn run(arguments: &ArgMatches, server: &Server) -> Result<String, String> {
    let response = server.send(Method::GET, "/api/v1/status/", &[], PATIENCE).await?;
    if response.status() != StatusCode::OK {
        return Err(client::refusal(response, PATIENCE).await);
    }
    let text = client::text(response, PATIENCE).await?;
    // Whatever else answers there is no status, in neither form.
    let fields: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| format!("the status is no JSON object: {error}"))?;
    Ok(if arguments.get_flag("json") { format!("{}\n", text.trim_end()) } else { table(&fields) })
}

/// One line a field, names in one column; nested objects are indented by their name.
fn table(fields: &Map<String, Value>) -> String {
    let mut rows = Vec::new();
    collect("", fields, &mut rows);
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

fn collect(prefix: &str, fields: &Map<String, Value>, rows: &mut Vec<(String, String)>) {
    for (name, value) in fields {
        let name = client::printable(&format!("{prefix}{name}")).replace('_', " ");
        match value {
            Value::Object(inner) => collect(&format!("{name} "), inner, rows),
            value => {
                let shown = shown(&name, value);
                rows.push((name, shown));
            }
        }
    }
}

fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::String(text) => client::printable(text),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), |n| measured(name, n)),
        other => client::printable(&other.to_string()),
    }
}

/// A number with its unit, which only its name tells.
fn measured(name: &str, number: u64) -> String {
    match name {
        "timestamp" => date::format(number),
        _ if counts_bytes(name) => HumanBytes(number).to_string(),
        _ if name.ends_with("percent") => format!("{number} %"),
        _ => HumanCount(number).to_string(),
    }
}

/// Which of the server's numbers are bytes: KissCache's names say so only by custom.
fn counts_bytes(name: &str) -> bool {
    name.ends_with("bytes")
        || matches!(
            name,
            "disk usage" | "disk quota" | "memory usage" | "statistics download" | "statistics upload"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned_and_shows_bytes_for_people() {
        let fields = serde_json::json!({
            "disk_usage": 1048576,
            "disk_usage_percent": 7,
            "draining": false,
            "entries": 1234567,
            "fills": {"live": 2},
            "memory_usage": 2048,
            "store_degraded": null,
            "timestamp": 86400,
            "version": "1\u{1b}",
        });
        let Value::Object(fields) = fields else { panic!("an object") };
        let lines = [
            "disk usage          1.00 MiB",
            "disk usage percent  7 %",
            "draining            no",
            "entries             1,234,567",
            "fills live          2",
            "memory usage        2.00 KiB",
            "store degraded      -",
            "timestamp           Fri, 02 Jan 1970 00:00:00 GMT",
            "version             1\u{fffd}",
        ];
        assert_eq!(table(&fields).lines().collect::<Vec<_>>(), lines);
    }
}
