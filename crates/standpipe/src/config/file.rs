//! The configuration file: TOML text to items and tables with their places.
//!
//! Refuses what is too long, is no TOML, names no key, or has the wrong type; each message names file, line and
//! column, and the nearest name. Deliberately does not look into values: that is the keys' business.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, KEYS, Key};
use super::raw::{Source, nearest};
use super::tables::Reading as _;
use super::tables::{self, KINDS, RawTable};
use super::value::Shape;

/// Longest configuration file; a longer one is surely another file.
const LONGEST: u64 = 1 << 20;

/// One key of the file.
pub(super) struct Item {
    pub(super) key: &'static Key,
    pub(super) texts: Vec<String>,
    pub(super) source: Source,
}

/// Reads the file's text; the message names the file.
pub(super) fn load(path: &Path) -> Result<String, String> {
    let problem = |cause: &dyn std::fmt::Display| format!("{}: {cause}", path.display());
    let file = File::open(path).map_err(|error| problem(&error))?;
    let mut bytes = Vec::new();
    // One byte more than allowed, so that endless files (pipes, devices) end here too.
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| problem(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(problem(&"is longer than 1 MiB; is this the configuration file?"));
    }
    String::from_utf8(bytes)
        .map_err(|error| problem(&format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))
}

/// What was found in a file.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    pub(super) tables: Vec<RawTable>,
    /// All that is wrong.
    pub(super) problems: Vec<String>,
}

/// Finds the keys and tables in a text.
pub(super) fn read(path: &Path, text: &str) -> Found {
    let mut reading = Reading { path, text, items: Vec::new(), tables: Vec::new(), problems: Vec::new() };
    match DeTable::parse(text) {
        Ok(table) => reading.sections(table.get_ref()),
        Err(error) => reading.not_toml(&error),
    }
    // Tables come sorted by name; people read from the top.
    reading.problems.sort_by_key(|(offset, _)| *offset);
    let problems = reading.problems.into_iter().map(|(_, problem)| problem).collect();
    Found { items: reading.items, tables: reading.tables, problems }
}

struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    items: Vec<Item>,
    tables: Vec<RawTable>,
    /// Byte offset and message.
    problems: Vec<(usize, String)>,
}

impl Reading<'_> {
    fn not_toml(&mut self, error: &toml::de::Error) {
        let span = error.span().unwrap_or(0..0);
        // Of a duplicate the parser tells the place only.
        let name = self.text.get(span.clone()).filter(|_| error.message() == "duplicate key");
        let name = name.map_or(String::new(), |name| format!(" `{}`", name.escape_debug()));
        self.problem(span, &format!("{}{name}", error.message()));
    }

    fn sections(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let section = name.get_ref().as_ref();
            if let Some(kind) = tables::kind_of(section) {
                let read = tables::read(kind, value, self);
                self.tables.extend(read);
                continue;
            }
            if !KEYS.iter().any(|key| key.section() == section) {
                self.unknown_section(section, name.span());
                continue;
            }
            match value.get_ref() {
                DeValue::Table(members) => self.members(section, members),
                other => {
                    let found = other.type_str();
                    self.problem(
                        value.span(),
                        &format!("{section}: expected a table `[{section}]`; found {found}"),
                    );
                }
            }
        }
    }

    fn unknown_section(&mut self, section: &str, span: Range<usize>) {
        // A key written without its section is the likelier mistake.
        let keys = KEYS.iter().filter(|key| key.member() == section).map(|key| key.name).collect::<Vec<_>>();
        let tables = KINDS.iter().map(|kind| kind.name).filter(|name| !name.contains('.'));
        let table = nearest(section, tables);
        let hint = match (keys.as_slice(), nearest(section, KEYS.iter().map(Key::section))) {
            ([], Some(name)) => format!("; did you mean `[{name}]`?"),
            ([], None) => table.map_or(String::new(), |name| format!("; did you mean `[[{name}]]`?")),
            (keys, _) => format!("; did you mean `{}`?", keys.join("` or `")),
        };
        self.problem(span, &format!("unknown section `{}`{hint}", section.escape_debug()));
    }

    fn members(&mut self, section: &str, members: &DeTable<'_>) {
        for (member, value) in members {
            let name = format!("{section}.{}", member.get_ref());
            match keys::find(&name) {
                Some(key) => self.value(key, value),
                None => {
                    let hint = nearest(&name, KEYS.iter().map(|key| key.name))
                        .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
                    self.problem(member.span(), &format!("unknown key `{}`{hint}", name.escape_debug()));
                }
            }
        }
    }

    fn value(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>) {
        match texts(key.shape, value.get_ref()) {
            Some(texts) => {
                let source = self.source(value.span().start);
                self.items.push(Item { key, texts, source });
            }
            None => {
                let (name, expected, found) = (key.name, (key.expects)(), described(value.get_ref()));
                self.problem(value.span(), &format!("{name}: expected {expected}; found {found}"));
            }
        }
    }
}

impl tables::Reading for Reading<'_> {
    fn source(&self, offset: usize) -> Source {
        let (line, column) = place(self.text, offset);
        Source::File { path: self.path.to_owned(), line, column }
    }

    fn problem(&mut self, span: Range<usize>, message: &str) {
        let place = self.source(span.start);
        self.problems.push((span.start, format!("{place}: {message}")));
    }
}

/// The value as texts, if its type fits.
pub(super) fn texts(shape: Shape, value: &DeValue<'_>) -> Option<Vec<String>> {
    match (shape, value) {
        (Shape::Text | Shape::Measure | Shape::List, DeValue::String(text)) => Some(vec![text.to_string()]),
        (Shape::Number | Shape::Measure, DeValue::Integer(number)) if number.radix() == 10 => {
            Some(vec![number.as_str().to_owned()])
        }
        (Shape::Truth, DeValue::Boolean(truth)) => Some(vec![truth.to_string()]),
        (Shape::List, DeValue::Array(items)) => {
            items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

pub(super) fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(_) => "a list that holds something else".to_owned(),
        other => format!("a value of type {}", other.type_str()),
    }
}

/// Line and column of a byte offset, both from 1, the column in characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        read(Path::new("s.toml"), text).problems
    }

    #[test]
    fn items_carry_their_places() {
        let Found { items, problems, .. } = read(Path::new("s.toml"), "# é\n[server]\n\n  grace = \"1s\"\n");
        assert_eq!(problems, Vec::<String>::new());
        let [item] = items.as_slice() else { panic!("one item") };
        assert_eq!((item.key.name, item.texts.as_slice()), ("server.grace", ["1s".to_owned()].as_slice()));
        assert_eq!(item.source.to_string(), "s.toml:4:11");
    }

    #[test]
    fn unknown_keys_are_refused_with_place_and_nearest_name() {
        assert_eq!(
            problems("[server]\nlisten = \":1\"\n  lissten = \":2\""),
            ["s.toml:3:3: unknown key `server.lissten`; did you mean `server.listen`?"]
        );
        assert_eq!(
            problems("[servr]\n[store]\nzzzzzzzzzz = 1"),
            [
                "s.toml:1:2: unknown section `servr`; did you mean `[server]`?",
                "s.toml:3:1: unknown key `store.zzzzzzzzzz`"
            ]
        );
        assert_eq!(
            problems("quota = 1"),
            ["s.toml:1:1: unknown section `quota`; did you mean `store.quota`?"]
        );
    }

    #[test]
    fn wrong_types_name_key_line_and_what_is_expected() {
        assert_eq!(
            problems("[store]\nquota = true\nmemory = 1.5"),
            [
                "s.toml:2:9: store.quota: expected a size such as `20GB`, `512MiB` or `1.5TB`, at most 1048576TiB; found a value of type boolean",
                "s.toml:3:10: store.memory: expected a size such as `20GB`, `512MiB` or `1.5TB`, at most 1048576TiB; found a value of type float",
            ]
        );
        assert_eq!(
            problems("server = 1"),
            ["s.toml:1:10: server: expected a table `[server]`; found integer"]
        );
        assert!(
            problems("[server]\nlisten = [1]")[0].starts_with("s.toml:2:10: server.listen: expected a list")
        );
        assert!(problems("[server]\nworkers = \"2\"")[0].contains("a whole number from 1 to 1024"));
        assert!(problems("[server]\ngrace.x = \"2\"")[0].contains("found a value of type table"));
    }

    // user-demand.md 4c: 83 (duplicate names).
    #[test]
    fn duplicates_are_refused_with_their_line() {
        assert_eq!(problems("[log]\n[store]\n[log]\n"), ["s.toml:3:2: duplicate key `log`"]);
        let problems = problems("[server]\ngrace = \"1s\"\ngrace = \"2s\"\n");
        assert_eq!(problems, ["s.toml:3:1: duplicate key `grace`"]);
    }

    #[test]
    fn bad_toml_never_panics_and_names_its_place() {
        let deep = "[".repeat(100_000);
        for text in
            ["[", "a", "a = ", "a = \"", "\u{feff}[server", "[server]\ngrace = \"\\q\"", "= 1", "\0", &deep]
        {
            assert!(problems(text)[0].starts_with("s.toml:"), "{text:.20}");
        }
    }

    // user-demand.md 4c: 83 (a file of 100 MB; here one without an end).
    #[test]
    fn endless_and_unreadable_files_are_refused_by_name() {
        let message = load(Path::new("/dev/zero")).expect_err("endless");
        assert!(message.starts_with("/dev/zero: is longer than 1 MiB"), "{message}");
        let directory = tempfile::tempdir().expect("a directory");
        assert!(load(directory.path()).is_err());
        assert!(load(&directory.path().join("absent")).is_err());
        let latin1 = directory.path().join("latin1");
        std::fs::write(&latin1, b"# caf\xe9").expect("written");
        assert!(load(&latin1).expect_err("no UTF-8").ends_with("is not UTF-8 at byte 5"));
    }
}
