//! [`Raw`]: what was typed, key by key, with the place it came from; nothing is understood yet.
//!
//! Sources are added from the strongest to the weakest (flags, environment, file, defaults); the first one that
//! gives a key keeps it. Deliberately has no effects: files are read and the environment is listed by the caller.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::file;
use super::keys::{self, KEYS, KeyDefault};
use super::tables::RawTable;
use super::value::Value;

/// What was typed, key by key and table by table.
#[derive(Default)]
pub(crate) struct Raw {
    keys: HashMap<&'static str, Given>,
    /// In the order of the file.
    pub(crate) tables: Vec<RawTable>,
}

/// The value of one key as text, and who gave it.
#[derive(Clone)]
pub(crate) struct Given {
    /// One text, or the items of a list.
    pub(crate) texts: Vec<String>,
    /// Who gave it.
    pub(crate) source: Source,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A flag, with its dashes.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
    },
    /// Always the same.
    Default,
    /// Found on this machine.
    Found,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Variable(variable) => write!(f, "environment {variable}"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Default => f.write_str("default"),
            Self::Found => f.write_str("default, found here"),
        }
    }
}

impl Raw {
    /// Takes what is given on the command line: key and texts, as often as the flag was given.
    pub(crate) fn add_flag(&mut self, key: &'static keys::Key, typed_as: &str, texts: Vec<String>) {
        self.add(key, texts, Source::Flag(format!("--{typed_as}")));
    }

    /// Takes the variables that belong to keys; an empty one counts as not set. Returns warnings about
    /// variables that look like misspelt keys. Others are left alone: container platforms invent names.
    pub(crate) fn add_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Vec<String> {
        let mut by_variable: HashMap<String, _> = KEYS.iter().map(|key| (key.variable(), key)).collect();
        let mut unknown = Vec::new();
        for (variable, text) in variables.filter(|(name, _)| name.starts_with("STANDPIPE_")) {
            match by_variable.remove(&variable) {
                Some(_) if text.is_empty() => {}
                Some(key) => self.add(key, vec![text], Source::Variable(variable)),
                None => unknown.push(variable),
            }
        }
        let names: Vec<String> = KEYS.iter().map(keys::Key::variable).collect();
        let misspelt = |variable: &String| {
            let nearest = nearest(variable, names.iter().map(String::as_str))?;
            Some(format!("{variable} is no key; did you mean {nearest}?"))
        };
        unknown.iter().filter_map(misspelt).collect()
    }

    /// Takes the text of a configuration file. Returns all that is wrong with its shape.
    pub(crate) fn add_file(&mut self, path: &Path, text: &str) -> Vec<String> {
        let found = file::read(path, text);
        for file::Item { key, texts, source } in found.items {
            self.keep(key, texts, source);
        }
        self.tables.extend(found.tables);
        found.problems
    }

    /// Fills in what nobody gave.
    pub(crate) fn add_defaults(&mut self, facts: &Facts) {
        for key in KEYS {
            if self.keys.contains_key(key.name) {
                continue;
            }
            match key.default {
                KeyDefault::Text(text) => self.add(key, vec![text.to_owned()], Source::Default),
                KeyDefault::Found { find, .. } => self.keep(key, vec![find(facts, self)], Source::Found),
            }
        }
    }

    /// What was given for a key.
    pub(crate) fn given(&self, name: &str) -> Option<&Given> {
        self.keys.get(name)
    }

    /// The value of a key, or a sentence that names key, place and what is expected.
    pub(crate) fn value<T: Value>(&self, name: &str) -> Result<T, String> {
        let given = self.given(name).ok_or_else(|| format!("{name}: no value"))?;
        T::parse(&given.texts).map_err(|problem| format!("{}: {name}: {problem}", given.source))
    }

    /// Takes texts from a place without lists of its own: there, commas separate items.
    fn add(&mut self, key: &'static keys::Key, texts: Vec<String>, source: Source) {
        let texts = match key.shape {
            super::value::Shape::List => split_lists(&texts),
            _ => texts,
        };
        self.keep(key, texts, source);
    }

    fn keep(&mut self, key: &'static keys::Key, texts: Vec<String>, source: Source) {
        self.keys.entry(key.name).or_insert(Given { texts, source });
    }
}

fn split_lists(texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The name that `typed` was probably meant to be.
pub(super) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(typed, name), name))
        .filter(|(likeness, _)| *likeness >= 0.7)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}
