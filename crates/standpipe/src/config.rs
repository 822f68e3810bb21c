//! Configuration: from flags, environment, file and defaults to one [`Values`], or to a list of all that is wrong.
//!
//! Two stages: `raw` takes what was typed without understanding it and remembers where it stood, [`Values`] is parsed
//! from that. Owns no state. Invariants: the strongest source wins (flag > environment > file > default); nothing
//! unknown is ignored silently; bad input never panics. Deliberately starts nothing: that is `assemble`.

mod consistency;
mod facts;
mod file;
mod keys;
mod raw;
pub(crate) mod reference;
mod show;
mod sites;
mod tables;
mod value;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

pub(crate) use facts::Facts;
pub(crate) use keys::{KEYS, Key, KeyDefault, Values};
pub(crate) use raw::{Raw, Source};
pub(crate) use show::{effective, table_texts};
pub(crate) use sites::{listening, plan};
pub(crate) use tables::Tables;
pub(crate) use value::{AccessLog, HttpsSessions, LogFormat, Resolver, Shape, Size, WhenFull, Word};

/// The variable that names the configuration file.
pub(crate) const FILE_VARIABLE: &str = "STANDPIPE_CONFIG";

/// The variable that names the server for the commands that ask one.
pub(crate) const SERVER_VARIABLE: &str = "STANDPIPE_SERVER";

/// Variables of ours that are no keys; the last one tells tests which program to run.
const OTHER_VARIABLES: [&str; 3] = [FILE_VARIABLE, SERVER_VARIABLE, "STANDPIPE_BIN"];

/// A configuration that is valid.
pub(crate) struct Config {
    /// The value of every key.
    pub(crate) values: Values,
    /// The tables.
    pub(crate) tables: Tables,
    /// What was typed, with places.
    pub(crate) raw: Raw,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// What looks like a mistake but is none.
    pub(crate) warnings: Vec<String>,
    inputs: Inputs,
}

/// What a configuration is made of, to make it again.
#[derive(Clone)]
struct Inputs {
    flags: ArgMatches,
    named: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    facts: Facts,
}

impl Config {
    /// Reads everything again: same flags and variables, and the file as it is now.
    pub(crate) fn again(&self) -> Result<Self, Vec<String>> {
        let Inputs { flags, named, environment, facts } = &self.inputs;
        load(flags, named.as_deref(), environment, facts)
    }
}

/// Puts the sources together. `named` is the file given on the command line.
pub(crate) fn load(
    flags: &ArgMatches,
    named: Option<&Path>,
    environment: &[(OsString, OsString)],
    facts: &Facts,
) -> Result<Config, Vec<String>> {
    let mut raw = Raw::default();
    add_flags(&mut raw, flags);
    let (variables, mut problems) = readable(environment);
    let mut warnings = raw.add_environment(variables.into_iter());
    let file = file_to_read(named, environment, facts);
    if let Some(path) = &file {
        match file::load(path) {
            Ok(text) => problems.extend(raw.add_file(path, &text)),
            Err(problem) => problems.push(problem),
        }
    }
    raw.add_defaults(facts);
    let parsed = parse(&raw).and_then(|(values, tables)| {
        let contradictions = consistency::problems(&values, &tables, &raw);
        if contradictions.is_empty() { Ok((values, tables)) } else { Err(contradictions) }
    });
    match parsed {
        Ok((values, tables)) if problems.is_empty() => {
            warnings.extend(consistency::warnings(&values, &raw));
            let (flags, named) = (flags.clone(), named.map(Path::to_owned));
            let inputs = Inputs { flags, named, environment: environment.to_vec(), facts: facts.clone() };
            Ok(Config { values, tables, raw, file, warnings, inputs })
        }
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

fn parse(raw: &Raw) -> Result<(Values, Tables), Vec<String>> {
    match (Values::parse(raw), Tables::parse(&raw.tables)) {
        (Ok(values), Ok(tables)) => Ok((values, tables)),
        (values, tables) => {
            Err(values.err().into_iter().flatten().chain(tables.err().into_iter().flatten()).collect())
        }
    }
}

/// The values when nobody gives any.
#[cfg(test)]
pub(crate) fn default_values() -> Values {
    let mut raw = Raw::default();
    raw.add_defaults(&Facts::gather(|_| None));
    Values::parse(&raw).map_err(|problems| problems.join("; ")).expect("defaults are valid")
}

fn add_flags(raw: &mut Raw, flags: &ArgMatches) {
    for key in KEYS {
        if flags.value_source(key.name) != Some(ValueSource::CommandLine) {
            continue;
        }
        let texts = flags.get_many::<String>(key.name).into_iter().flatten().cloned().collect();
        raw.add_flag(key, key.alias.unwrap_or(&key.flag()), texts);
    }
}

/// Our variables as text; those that are none are reported.
fn readable(environment: &[(OsString, OsString)]) -> (Vec<(String, String)>, Vec<String>) {
    let ours = environment.iter().filter_map(|(name, text)| Some((name.to_str()?, text)));
    let ours = ours.filter(|(name, _)| name.starts_with("STANDPIPE_") && !OTHER_VARIABLES.contains(name));
    let mut texts = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in ours {
        match text.to_str() {
            Some(text) => texts.push((name.to_owned(), text.to_owned())),
            None => problems.push(format!("environment {name}: is not UTF-8")),
        }
    }
    (texts, problems)
}

/// The file that was named, else the user's, if there is one.
fn file_to_read(
    named: Option<&Path>,
    environment: &[(OsString, OsString)],
    facts: &Facts,
) -> Option<PathBuf> {
    let by_variable = environment.iter().find(|(name, text)| name == FILE_VARIABLE && !text.is_empty());
    let of_user = || facts.config_home.as_ref().map(|home| home.join("standpipe/standpipe.toml"));
    named
        .map(Path::to_owned)
        .or_else(|| by_variable.map(|(_, text)| PathBuf::from(text)))
        .or_else(|| of_user().filter(|path| path.exists()))
}

#[cfg(test)]
mod tests;
