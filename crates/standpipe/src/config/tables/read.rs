//! From TOML to [`RawTable`]s: which members there are, where they stand, and what is no member.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::file::{described, texts};
use super::super::raw::{Given, Source, nearest};
use super::{KINDS, Kind, Member, RawTable};

/// Most tables of one kind: more is surely a mistake, and every one is looked at for requests.
const MOST: usize = 10_000;

/// Who knows places and gathers problems.
pub(in super::super) trait Reading {
    /// Where a byte is.
    fn source(&self, offset: usize) -> Source;

    /// Notes what is wrong at a place.
    fn problem(&mut self, span: Range<usize>, message: &str);
}

/// The kind of table with this name.
pub(in super::super) fn kind_of(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Reads all tables of one kind.
pub(in super::super) fn read(
    kind: &'static Kind,
    value: &Spanned<DeValue<'_>>,
    reading: &mut impl Reading,
) -> Vec<RawTable> {
    let DeValue::Array(items) = value.get_ref() else {
        reading.problem(value.span(), &format!("{0}: expected tables `[[{0}]]`", kind.name));
        return Vec::new();
    };
    if items.len() > MOST {
        reading.problem(value.span(), &format!("{}: more than {MOST} of them", kind.name));
        return Vec::new();
    }
    let mut tables = Vec::new();
    for item in items.iter() {
        match item.get_ref() {
            DeValue::Table(members) => tables.push(table(kind, members, item.span(), reading)),
            other => {
                let found = described(other);
                reading.problem(
                    item.span(),
                    &format!("{0}: expected a table `[[{0}]]`; found {found}", kind.name),
                );
            }
        }
    }
    tables
}

fn table(
    kind: &'static Kind,
    members: &DeTable<'_>,
    span: Range<usize>,
    reading: &mut impl Reading,
) -> RawTable {
    let mut table =
        RawTable { kind, place: reading.source(span.start), given: HashMap::new(), below: Vec::new() };
    for (name, value) in members {
        let below = kind_of(&format!("{}.{}", kind.name, name.get_ref()));
        let member = kind.members.iter().find(|member| member.name == name.get_ref().as_ref());
        match (member, below) {
            (Some(member), _) => {
                if let Some(given) = given(kind, member, value, reading) {
                    table.given.insert(member.name, given);
                }
            }
            (None, Some(below)) => table.below = read(below, value, reading),
            (None, None) => {
                let hint = nearest(name.get_ref(), kind.members.iter().map(|member| member.name))
                    .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let unknown = name.get_ref().escape_debug().to_string();
                reading.problem(name.span(), &format!("unknown key `{}.{unknown}`{hint}", kind.name));
            }
        }
    }
    table
}

fn given(
    kind: &Kind,
    member: &Member,
    value: &Spanned<DeValue<'_>>,
    reading: &mut impl Reading,
) -> Option<Given> {
    match texts(member.shape, value.get_ref()) {
        Some(texts) => Some(Given { texts, source: reading.source(value.span().start) }),
        None => {
            let (expected, found) = ((member.expects)(), described(value.get_ref()));
            let message = format!("{}.{}: expected {expected}; found {found}", kind.name, member.name);
            reading.problem(value.span(), &message);
            None
        }
    }
}
