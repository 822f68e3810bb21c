//! The effective configuration as TOML, each line with the place its value came from.

use super::tables::RawTable;
use super::value::Shape;
use super::{Config, KEYS, Raw};

/// Width to which values are filled up, so that the places stand in one column.
const COLUMN: usize = 56;

/// The effective configuration as a file that could be used as it is.
pub(crate) fn effective(config: &Config) -> String {
    let mut shown = String::new();
    let mut section = "";
    for key in KEYS {
        let Some(given) = config.raw.given(key.name) else { continue };
        if key.section() != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            section = key.section();
            shown.push_str(&format!("{gap}[{section}]\n"));
        }
        let line = format!("{} = {}", key.member(), toml_value(key.shape, &given.texts));
        shown.push_str(&format!("{line:COLUMN$} # {}\n", given.source));
    }
    for table in &config.raw.tables {
        shown.push('\n');
        shown.push_str(&table_text(table, &placed));
    }
    shown
}

/// Every table as text, without places: moving it in the file does not change it.
pub(crate) fn table_texts(raw: &Raw) -> Vec<String> {
    let head = |table: &RawTable| format!("[[{}]]", table.kind.name);
    raw.tables.iter().map(|table| table_text(table, &head)).collect()
}

/// The head of a table with the place where it stands.
fn placed(table: &RawTable) -> String {
    let head = format!("[[{}]]", table.kind.name);
    format!("{head:COLUMN$} # {}", table.place)
}

/// A table with what was given, and those that belong to it.
fn table_text(table: &RawTable, head: &dyn Fn(&RawTable) -> String) -> String {
    let mut shown = format!("{}\n", head(table));
    for member in table.kind.members {
        if let Some(given) = table.given.get(member.name) {
            shown.push_str(&format!("{} = {}\n", member.name, toml_value(member.shape, &given.texts)));
        }
    }
    shown.extend(table.below.iter().map(|below| table_text(below, head)));
    shown
}

/// Texts as a TOML value.
pub(super) fn toml_value(shape: Shape, texts: &[String]) -> String {
    let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
    match (shape, texts) {
        (Shape::List, items) => format!("[{}]", items.iter().map(quoted).collect::<Vec<_>>().join(", ")),
        (Shape::Number | Shape::Truth, [one]) => one.clone(),
        (_, texts) => texts.first().map_or_else(|| "\"\"".to_owned(), quoted),
    }
}
