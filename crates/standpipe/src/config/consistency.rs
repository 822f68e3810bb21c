//! What must hold between keys and tables. Each value is right by itself here; what is wrong is told with both keys.
//!
//! Pure. Deliberately refuses only what cannot do what it says; what is merely of no use is a warning. What was found on
//! this machine is never the reason why the server does not start.

use distcache::Address;
use doors::fetch::PassHeaders;

use super::{HttpsSessions, Raw, Source, Tables, Values, listening, plan};

/// A key that must not be above another.
struct Order {
    lower: &'static str,
    upper: &'static str,
    holds: bool,
    why: &'static str,
}

/// All that contradicts itself, one sentence each.
pub(super) fn problems(values: &Values, tables: &Tables, raw: &Raw) -> Vec<String> {
    let mut problems: Vec<String> = orders(values).iter().filter_map(|order| order.problem(raw)).collect();
    problems.extend(lonely(values, tables, raw));
    match plan(values, tables) {
        Ok(plan) => problems
            .extend(listening(values, tables).iter().filter_map(|listening| listening.unknown_site(&plan))),
        Err(problem) => problems.push(problem),
    }
    let passed = PassHeaders::new(&values.fetch_pass_headers, &values.fetch_pass_headers_default);
    problems.extend(passed.err().map(|error| error.to_string()));
    problems
}

/// What looks like a mistake but is none.
pub(super) fn warnings(values: &Values, raw: &Raw) -> Option<String> {
    let quota = values.store_quota.0;
    let is_idle = is_given(raw, "store.memory") && quota > 0 && values.store_memory.0 > quota;
    is_idle.then(|| {
        format!(
            "{}: objects in memory are copies of those in the store, so the rest of it is never used",
            above(raw, "store.memory", "store.quota")
        )
    })
}

fn orders(values: &Values) -> [Order; 4] {
    let quota = values.store_quota.0;
    [
        Order {
            lower: "store.low-mark",
            upper: "store.high-mark",
            holds: values.store_low_mark.0 <= values.store_high_mark.0,
            why: "eviction would have to stop before it begins",
        },
        Order {
            lower: "fill.piece",
            upper: "store.quota",
            // Without any room nothing is stored on purpose.
            holds: quota == 0 || values.fill_piece.0 <= quota,
            why: "no piece of an object would ever find room",
        },
        Order {
            lower: "fill.retry-pause",
            upper: "fill.retry-pause-max",
            holds: values.fill_retry_pause.0 <= values.fill_retry_pause_max.0,
            why: "the first pause would be longer than the longest",
        },
        Order {
            lower: "server.max-target",
            upper: "server.max-head",
            holds: values.server_max_target.0 <= values.server_max_head.0,
            why: "a request's target is a part of its head",
        },
    ]
}

impl Order {
    fn problem(&self, raw: &Raw) -> Option<String> {
        let is_wanted = is_given(raw, self.lower) || is_given(raw, self.upper);
        if self.holds || !is_wanted {
            return None;
        }
        let Self { lower, upper, why, .. } = self;
        Some(format!("{}, but {why}: lower the one or raise the other", above(raw, lower, upper)))
    }
}

/// Keys that mean nothing without others.
fn lonely(values: &Values, tables: &Tables, raw: &Raw) -> Vec<String> {
    let mut problems = Vec::new();
    let mut problem =
        |key: &str, problem: &str| problems.push(format!("{}{key}: {problem}", place(raw, key)));
    if values.server_listen.is_empty() && tables.listeners.is_empty() {
        problem("server.listen", "is empty, so there is nothing to listen on");
    }
    if values.server_name.is_empty() {
        problem("server.name", "is empty, but `Via` needs a name");
    }
    match &values.session_https {
        HttpsSessions::Own if values.session_listen.is_empty() => {
            problem(
                "session.https",
                "is `own`, the store of this node's door for TLS sessions, but there is no door: give `session.listen`, or say where the store is",
            );
        }
        HttpsSessions::Server(Address::Tls(_)) if values.session_https_ca.is_none() => {
            problem(
                "session.https",
                "is a `TLS:` address and needs `session.https-ca`: which servers are trusted?",
            );
        }
        _ => {}
    }
    problems
}

/// Whether a person gave the value.
fn is_given(raw: &Raw, key: &str) -> bool {
    raw.given(key).is_some_and(|given| !matches!(given.source, Source::Default | Source::Found))
}

fn place(raw: &Raw, key: &str) -> String {
    raw.given(key).map_or(String::new(), |given| format!("{}: ", given.source))
}

/// `PLACE: KEY: `TEXT` is more than OTHER, which is `TEXT` (PLACE)`
fn above(raw: &Raw, lower: &str, upper: &str) -> String {
    let text = |key| raw.given(key).map_or(String::new(), |given| given.texts.join(", "));
    let other = raw.given(upper).map_or(String::new(), |given| format!(" ({})", given.source));
    format!(
        "{}{lower}: `{}` is more than {upper}, which is `{}`{other}",
        place(raw, lower),
        text(lower),
        text(upper)
    )
}
