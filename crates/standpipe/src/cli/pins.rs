//! `standpipe pin`, `pins` and `unpin`: promises of the running server that objects are not evicted until a time.

use std::time::Duration;

use clap::ArgMatches;
use http::{Method, StatusCode};
use protocols::http::date;
use serde_json::{Map, Value, json};
use url::Url;

use super::client::{self, Server};

const PATIENCE: Duration = Duration::from_secs(10);
const PINS: &str = "/api/v1/pins";

/// Pins; returns the pin's id, which is to be printed.
pub(super) async fn pin(arguments: &ArgMatches, server: &Server) -> Result<String, String> {
    let url = arguments.get_one::<Url>("url").map(|url| ("url", url.as_str()));
    let others = ["prefix", "tag", "ttl", "name"].into_iter().filter_map(|member| {
        let text = arguments.get_one::<String>(member)?;
        Some((member, text.as_str()))
    });
    let members = url.into_iter().chain(others).map(|(member, text)| (member.to_owned(), Value::from(text)));
    let wanted = Value::Object(members.collect());
    let response = server.send_json(Method::POST, PINS, &wanted, PATIENCE).await?;
    if response.status() != StatusCode::CREATED {
        return Err(client::refusal(response, PATIENCE).await);
    }
    let pin = object(&client::text(response, PATIENCE).await?)?;
    Ok(format!("{}\n", text(&pin, "id")))
}

/// Returns the list, as a table for people or as the server's own JSON.
pub(super) async fn list(arguments: &ArgMatches, server: &Server) -> Result<String, String> {
    let response = server.send(Method::GET, PINS, &[], PATIENCE).await?;
    if response.status() != StatusCode::OK {
        return Err(client::refusal(response, PATIENCE).await);
    }
    let answer = client::text(response, PATIENCE).await?;
    if arguments.get_flag("json") {
        return Ok(format!("{}\n", answer.trim_end()));
    }
    let pins = object(&answer)?.remove("pins").unwrap_or(json!([]));
    let pins = pins.as_array().into_iter().flatten().filter_map(Value::as_object);
    Ok(pins.map(line).collect())
}

/// Takes a pin away.
pub(super) async fn unpin(arguments: &ArgMatches, server: &Server) -> Result<(), String> {
    let id = arguments.get_one::<String>("id").map_or("", String::as_str);
    let path = format!("{PINS}/{}", client::escaped(id));
    let response = server.send(Method::DELETE, &path, &[], PATIENCE).await?;
    match response.status() {
        StatusCode::OK => Ok(()),
        _ => Err(client::refusal(response, PATIENCE).await),
    }
}

fn line(pin: &Map<String, Value>) -> String {
    let until = pin.get("until").and_then(Value::as_u64).map(date::format).unwrap_or_default();
    let subject = ["url", "prefix", "tag"].into_iter().find(|member| pin.contains_key(*member));
    let subject = subject.map(|member| format!("{member} {}", text(pin, member))).unwrap_or_default();
    let line = format!("{}  {until}  {subject}  {}", text(pin, "id"), text(pin, "name"));
    format!("{}\n", client::printable(line.trim_end()).replace('\n', " "))
}

fn text<'p>(pin: &'p Map<String, Value>, member: &str) -> &'p str {
    pin.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn object(answer: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(answer).map_err(|error| format!("the server's answer is no JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_one_line_that_cannot_steer_a_terminal() {
        let shown = |pin: Value| line(pin.as_object().expect("an object"));
        assert_eq!(
            shown(
                json!({"id": "0f", "prefix": "https://h/a", "name": "r\u{1b}[2J\n5", "created": 0, "until": 86_400})
            ),
            "0f  Fri, 02 Jan 1970 00:00:00 GMT  prefix https://h/a  r\u{fffd}[2J 5\n"
        );
        assert_eq!(
            shown(json!({"id": "0f", "tag": "v5", "until": 0})),
            "0f  Thu, 01 Jan 1970 00:00:00 GMT  tag v5\n"
        );
    }
}
