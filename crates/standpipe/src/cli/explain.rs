//! `standpipe explain`: what the running server would do with a request, and why; for people.

use std::fmt::Write;
use std::time::Duration;

use clap::ArgMatches;
use http::{Method, StatusCode};
use serde_json::Value;

use super::client::{self, Server};

const PATIENCE: Duration = Duration::from_secs(30);

/// Width of the names.
const NAMES: usize = 12;

/// Returns the explanation as text, or as the server's own JSON.
pub(super) async fn run(arguments: &ArgMatches, server: &Server) -> Result<String, String> {
    let text = |name: &str| arguments.get_one::<String>(name).map(String::as_str);
    let mut query = vec![("url", text("url").unwrap_or_default())];
    query.extend(text("door").map(|door| ("door", door)));
    let headers = arguments.get_many::<String>("header").into_iter().flatten();
    query.extend(headers.map(|header| ("header", header.as_str())));
    let response = server.send(Method::GET, "/api/v1/explain", &query, PATIENCE).await?;
    if response.status() != StatusCode::OK {
        return Err(client::refusal(response, PATIENCE).await);
    }
    let answer = client::text(response, PATIENCE).await?;
    if arguments.get_flag("json") {
        return Ok(format!("{}\n", answer.trim_end()));
    }
    let answer =
        serde_json::from_str(&answer).map_err(|error| format!("the server's answer is no JSON: {error}"))?;
    Ok(client::printable(&explained(&answer)))
}

fn explained(answer: &Value) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:NAMES$} {value}");
    };
    for name in ["url", "key", "rule", "state"] {
        line(name, shown(&answer[name]));
    }
    line("answer", format!("{} ({})", shown(&answer["answer"]), shown(&answer["reason"])));
    // Members that are not there are `null`, but only of a `Value`.
    let object = &answer["object"];
    if object.is_object() {
        let of = match &object["length"] {
            Value::Null => String::new(),
            length => format!(" of {length}"),
        };
        line("object", format!("status {}, {}{of} bytes", shown(&object["status"]), shown(&object["bytes"])));
        for name in ["sha256", "confirmed", "keep_until"] {
            line("", format!("{name} {}", shown(&object[name])));
        }
    }
    for (at, variant) in list(&answer["variants"]).enumerate() {
        let selected = if variant["selected"] == true { ", of this request" } else { "" };
        let stored = if variant["stored"] == true { "" } else { ", gone" };
        line(if at == 0 { "variants" } else { "" }, format!("{}{selected}{stored}", shown(&variant["key"])));
    }
    if let Some(demands) = answer["freshness"]["demands"].as_array().filter(|demands| !demands.is_empty()) {
        line("demands", demands.iter().map(shown).collect::<Vec<_>>().join(", "));
    }
    for (name, member) in [("because", "because"), ("advice", "advice")] {
        for (at, sentence) in list(&answer[member]).enumerate() {
            line(if at == 0 { name } else { "" }, shown(sentence));
        }
    }
    for (at, told) in list(&answer["origin"]).enumerate() {
        let what = if told["status"].is_null() { shown(&told["reason"]) } else { shown(&told["status"]) };
        let value = format!(
            "{what} to {} after {} ms, {} s ago; may be stored: {}",
            shown(&told["method"]),
            shown(&told["milliseconds"]),
            shown(&told["ago"]),
            shown(&told["storable"])
        );
        line(if at == 0 { "origin" } else { "" }, value);
    }
    text
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\n', " "),
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_aligned_and_lists_named_once() {
        let text = explained(&json!({
            "url": "http://a/", "key": "k", "rule": "r", "state": "complete", "answer": "hit", "reason": "fresh",
            "variants": [], "object": {"status": 200, "bytes": 4, "length": 4, "sha256": null},
            "freshness": {"demands": ["no-cache"]}, "because": ["One.", "Two."], "advice": [],
            "origin": [{"method": "GET", "status": 200, "milliseconds": 7, "ago": 60, "storable": "yes"}],
        }));
        assert!(text.starts_with("url          http://a/\nkey          k\n"), "{text}");
        assert!(text.contains("answer       hit (fresh)\nobject       status 200, 4 of 4 bytes\n"), "{text}");
        assert!(text.contains("because      One.\n             Two.\n"), "{text}");
        assert!(
            text.ends_with("origin       200 to GET after 7 ms, 60 s ago; may be stored: yes\n"),
            "{text}"
        );
    }
}
