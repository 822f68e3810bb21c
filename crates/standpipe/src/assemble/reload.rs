//! [`Reloader`]: the configuration read again while the server runs.
//!
//! In force at once: sites, rules, access rules, users of the proxy, certificates. All else is compared and said to wait for the next start.
//! Owns the configuration in force. Invariants: a configuration with anything wrong in it changes nothing; two reloads never
//! run at once.

use std::sync::Arc;

use doors::access;
use doors::exchange::Plans;
use doors::listen::Certificates;
use doors::proxy::Users;
use doors::service::Reload;
use parking_lot::Mutex;

use super::texts;
use crate::config::{self, Config, KEYS, Raw, Source, Values};

/// Keys that a reload puts in force.
const RELOADED: [&str; 10] = [
    "server.site",
    "server.memo",
    "proxy.users-file",
    "access.rules",
    "access.trusted-proxies",
    "policy.heuristic-max",
    "policy.reload-floor",
    "policy.stale-on-error",
    "policy.vary-fields",
    "policy.targets",
];

/// What a reload replaces.
pub(super) struct InForce {
    pub(super) access: access::InForce,
    pub(super) users: Users,
    pub(super) plans: Plans,
    pub(super) certificates: Vec<Certificates>,
}

/// Reads the configuration again.
pub(crate) struct Reloader {
    config: Mutex<Config>,
    in_force: InForce,
}

impl Reloader {
    pub(super) const fn new(config: Config, in_force: InForce) -> Self {
        Self { config: Mutex::new(config), in_force }
    }

    /// Reads everything again and puts it in force. Says what has changed; on an error all stays as it was.
    pub(crate) fn reload(&self) -> Result<String, String> {
        let done = self.try_reload();
        match &done {
            Ok(changes) => tracing::info!(changes, "configuration read again"),
            Err(problem) => {
                tracing::error!(
                    problem,
                    "the configuration cannot be used; the last good one stays in force"
                );
            }
        }
        done
    }

    fn try_reload(&self) -> Result<String, String> {
        let mut config = self.config.lock();
        let new = config.again().map_err(|problems| problems.join("; "))?;
        let plan = config::plan(&new.values, &new.tables)?;
        let access = access_rules(&new.values)?;
        let users = users(&new.values)?;
        for certificates in &self.in_force.certificates {
            certificates.reload().map_err(|error| error.to_string())?;
        }
        let changes = changes(&config.raw, &new.raw);
        self.in_force.plans.replace(plan);
        self.in_force.access.replace(access);
        self.in_force.users.replace(&users);
        *config = new;
        Ok(changes)
    }

    /// The same for the operators' door.
    pub(crate) fn function(self: &Arc<Self>) -> Reload {
        let reloader = Arc::clone(self);
        Arc::new(move || reloader.reload())
    }
}

/// The access rules.
pub(super) fn access_rules(values: &Values) -> Result<access::Rules, String> {
    access::Rules::new(&texts(&values.access_rules), &texts(&values.access_trusted_proxies))
        .map_err(|error| error.to_string())
}

/// Who may use the proxy.
pub(super) fn users(values: &Values) -> Result<Users, String> {
    let Some(path) = &values.proxy_users_file else { return Ok(Users::default()) };
    let problem = |error: &dyn std::fmt::Display| format!("proxy.users-file: {}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| problem(&error))?;
    Users::parse(&text).map_err(|error| problem(&error))
}

/// What differs, in one line.
fn changes(old: &Raw, new: &Raw) -> String {
    let mut changes = Vec::new();
    for key in KEYS {
        let (Some(before), Some(after)) = (old.given(key.name), new.given(key.name)) else { continue };
        // What is found on the machine may differ by the hour.
        if before.texts == after.texts || after.source == Source::Found {
            continue;
        }
        let waits = if RELOADED.contains(&key.name) { "" } else { " (at the next start)" };
        changes.push(format!("{}: {} -> {}{waits}", key.name, shown(&before.texts), shown(&after.texts)));
    }
    changes.extend(table_changes(&config::table_texts(old), &config::table_texts(new)));
    if changes.is_empty() { "nothing has changed".to_owned() } else { changes.join("; ") }
}

/// Tables that came and went, whole: what is changed in one shows where the two differ.
fn table_changes(before: &[String], after: &[String]) -> Vec<String> {
    let lacks = |tables: &[String], table: &str| !tables.iter().any(|one| one == table);
    let came =
        after.iter().filter(|table| lacks(before, table)).map(|table| format!("+ {}", one_line(table)));
    let went =
        before.iter().filter(|table| lacks(after, table)).map(|table| format!("- {}", one_line(table)));
    let changes: Vec<_> = came.chain(went).collect();
    if changes.is_empty() && before != after {
        return vec!["tables stand in another order".to_owned()];
    }
    changes
}

/// A table in one line. Nothing is bound or closed while the server runs, so what names an address to listen on says so.
fn one_line(table: &str) -> String {
    let line = table.lines().collect::<Vec<_>>().join(" ");
    let waits = if table.starts_with("[[listener]]") {
        " (at the next start)"
    } else if table.lines().any(|line| line.starts_with("listen = ")) {
        " (its `listen` at the next start)"
    } else {
        ""
    };
    format!("{line}{waits}")
}

fn shown(texts: &[String]) -> String {
    format!("`{}`", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        let mut raw = Raw::default();
        assert_eq!(raw.add_file("s.toml".as_ref(), text), Vec::<String>::new());
        raw
    }

    #[test]
    fn changes_name_keys_and_tables_and_what_waits_for_a_start() {
        let old = raw(
            "[server]\ngrace = \"1s\"\n[access]\nrules = [\"allow any\"]\n[[site]]\nname = \"a\"\norigin = \"http://a\"\n",
        );
        let new = raw(
            "[server]\ngrace = \"2s\"\n[access]\nrules = [\"deny any\"]\n[[site]]\nname = \"b\"\norigin = \"http://a\"\n",
        );
        assert_eq!(
            changes(&old, &new),
            "server.grace: `1s` -> `2s` (at the next start); access.rules: `allow any` -> `deny any`; \
             + [[site]] name = \"b\" origin = [\"http://a\"]; - [[site]] name = \"a\" origin = [\"http://a\"]"
        );
        assert_eq!(changes(&old, &old), "nothing has changed");
    }

    #[test]
    fn a_changed_table_shows_all_of_it_and_a_moved_one_is_no_change() {
        let rule = |name: &str, ttl: &str| {
            format!(
                "[[rule]]\nname = \"{name}\"\npath = \"/a\"\nttl = \"{ttl}\"\n[[rule.case]]\nstatus = \"404\"\nttl = \"1s\"\n"
            )
        };
        let site = "[[site]]\nname = \"a\"\norigin = \"http://a\"\nlisten = \":9000\"\n";
        let (one, two) = (rule("one", "1h"), rule("two", "1h"));
        let old = raw(&format!("{one}{two}"));
        assert_eq!(changes(&old, &raw(&format!("\n\n{one}{two}"))), "nothing has changed");
        assert_eq!(changes(&old, &raw(&format!("{two}{one}"))), "tables stand in another order");
        let changed = changes(&old, &raw(&format!("{one}{}", rule("two", "2h"))));
        assert!(changed.contains("ttl = \"2h\"") && changed.contains("ttl = \"1h\""), "{changed}");
        let listening = changes(&old, &raw(&format!("{one}{two}{site}")));
        assert!(listening.ends_with("(its `listen` at the next start)"), "{listening}");
    }
}
