//! The effective configuration as TOML, each line with the place its value came from.

use super::value::Shape;
use super::{Config, KEYS};

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
