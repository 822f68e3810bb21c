//! [`Findings`]: what a check has found, and how it is told.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Findings that are kept; further ones are only counted.
const MOST: usize = 10_000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records cannot be read.
    Index,
    /// A body's bytes are not what its name says.
    Damaged,
    /// A body is not there.
    Missing,
    /// A file that no entry names. Harmless.
    Stray,
    /// What a crash leaves. Harmless.
    Unfinished,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Damaged => "damaged",
            Self::Missing => "missing",
            Self::Stray => "stray",
            Self::Unfinished => "unfinished",
        }
    }

    const fn is_harmless(self) -> bool {
        matches!(self, Self::Stray | Self::Unfinished)
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    kind: Kind,
    path: PathBuf,
    detail: String,
}

impl Finding {
    pub(super) fn new(kind: Kind, path: &Path, detail: &str) -> Self {
        Self { kind, path: path.to_owned(), detail: detail.to_owned() }
    }
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    entries: u64,
    records: u64,
    bodies: u64,
    bytes: u64,
    kept: Vec<Finding>,
    harmful: u64,
    harmless: u64,
    repaired: u64,
}

impl Findings {
    pub(super) fn new(entries: u64, records: u64) -> Self {
        Self { entries, records, ..Self::default() }
    }

    pub(super) fn count_body(&mut self, bytes: u64) {
        self.bodies += 1;
        self.bytes += bytes;
    }

    pub(super) fn add(&mut self, kind: Kind, path: PathBuf, detail: &str) {
        self.extend(Some(Finding { kind, path, detail: detail.to_owned() }));
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            let count = if finding.kind.is_harmless() { &mut self.harmless } else { &mut self.harmful };
            *count += 1;
            // A damaged body is deleted by its finding: it is never dropped.
            if self.kept.len() < MOST || finding.kind == Kind::Damaged {
                self.kept.push(finding);
            }
        }
    }

    /// Problems that are still there.
    pub(super) const fn harmful(&self) -> u64 {
        self.harmful
    }

    /// Deletes damaged bodies. Waits for the disk.
    pub(super) fn repair(&self) -> Result<(), String> {
        for finding in self.kept.iter().filter(|finding| finding.kind == Kind::Damaged) {
            match fs::remove_file(&finding.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(format!("cannot delete {}: {error}", finding.path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The store was repaired, and this was found afterwards.
    pub(super) const fn repaired(&mut self, afterwards: &Self) {
        self.repaired = self.harmful.saturating_sub(afterwards.harmful);
        self.harmful = afterwards.harmful;
    }

    pub(super) fn text(&self, directory: &Path) -> String {
        let mut text = format!("store    {}\n", directory.display());
        text.push_str(&format!("index    {} entries in {} records\n", self.entries, self.records));
        text.push_str(&format!("bodies   {} with {} bytes\n", self.bodies, self.bytes));
        for Finding { kind, path, detail } in &self.kept {
            text.push_str(&format!("{:<10} {}: {detail}\n", kind.name(), path.display()));
        }
        text.push_str(&match (self.harmful, self.repaired, self.harmless) {
            (0, 0, 0) => "clean\n".to_owned(),
            (0, 0, harmless) => format!("clean; {harmless} leftovers that the next start removes\n"),
            (0, repaired, _) => format!("{repaired} problems repaired\n"),
            (harmful, 0, _) => format!("{harmful} problems\n"),
            (harmful, repaired, _) => format!("{repaired} problems repaired, {harmful} are left\n"),
        });
        text
    }

    pub(super) fn json(&self) -> String {
        let findings: Vec<Value> = self
            .kept
            .iter()
            .map(|finding| {
                json!({
                    "kind": finding.kind.name(),
                    "harmless": finding.kind.is_harmless(),
                    "path": finding.path.to_string_lossy(),
                    "detail": finding.detail,
                })
            })
            .collect();
        let report = json!({
            "entries": self.entries,
            "records": self.records,
            "bodies": self.bodies,
            "bytes": self.bytes,
            "problems": self.harmful,
            "repaired": self.repaired,
            "leftovers": self.harmless,
            "findings": findings,
        });
        format!("{report:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kinds: &[Kind]) -> Findings {
        let mut findings = Findings::new(2, 3);
        findings.count_body(10);
        for kind in kinds {
            findings.add(*kind, PathBuf::from("/s/f"), "why");
        }
        findings
    }

    #[test]
    fn leftovers_are_no_problems() {
        let findings = found(&[Kind::Stray, Kind::Unfinished]);
        assert_eq!(findings.harmful(), 0);
        let text = findings.text(Path::new("/s"));
        assert!(
            text.contains("stray      /s/f: why\n")
                && text.ends_with("clean; 2 leftovers that the next start removes\n"),
            "{text}"
        );
        assert!(found(&[]).text(Path::new("/s")).ends_with("\nclean\n"));
    }

    #[test]
    fn problems_are_told_in_both_forms_until_they_are_repaired() {
        let mut findings = found(&[Kind::Damaged, Kind::Missing, Kind::Index]);
        assert_eq!(findings.harmful(), 3);
        assert!(findings.text(Path::new("/s")).ends_with("3 problems\n"));
        let json: Value = serde_json::from_str(&findings.json()).expect("JSON");
        assert_eq!((&json["problems"], &json["findings"][0]["kind"]), (&json!(3), &json!("damaged")));
        findings.repaired(&found(&[]));
        assert_eq!(findings.harmful(), 0);
        assert!(findings.text(Path::new("/s")).ends_with("3 problems repaired\n"));
    }

    #[test]
    fn what_is_kept_is_bounded_but_damaged_bodies_are_all_known() {
        let mut findings = found(&[]);
        for _ in 0..MOST + 5 {
            findings.add(Kind::Missing, PathBuf::new(), "");
        }
        findings.add(Kind::Damaged, PathBuf::new(), "");
        assert_eq!((findings.harmful(), findings.kept.len()), (MOST as u64 + 6, MOST + 1));
    }
}
