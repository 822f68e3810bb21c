//! The result of a run: a Markdown table for people and JSON for later comparison.

use std::fmt::Write as _;
use std::fs;

use serde_json::json;

/// One measured quantity of one server.
pub(crate) struct Row {
    /// What was measured, for example `1 KiB hit`.
    pub(crate) case: String,
    /// Who was measured.
    pub(crate) server: String,
    /// Unit of the samples.
    pub(crate) unit: &'static str,
    /// One sample a round.
    pub(crate) samples: Vec<f64>,
}

/// A target of the form "median of ours at most `bound` (in the row's unit)".
struct Verdict {
    case: String,
    text: String,
    value: f64,
    bound: f64,
}

/// The date of a machine description, as part of a file name.
pub(crate) fn date_stem(machine: &[(&'static str, String)]) -> Result<String, String> {
    let date = &machine.first().ok_or("no machine description")?.1;
    let letters = date.trim_end_matches(" UTC").chars();
    Ok(letters.map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect())
}

/// Writes `<stem>.md` and `<stem>.json`.
pub(crate) fn write(stem: &str, markdown: &str, json: &serde_json::Value) -> Result<(), String> {
    let write = |name: String, text: &str| {
        fs::write(&name, text).map_err(|error| format!("{name} cannot be written: {error}"))
    };
    write(format!("{stem}.md"), markdown)?;
    write(format!("{stem}.json"), &format!("{json:#}\n"))?;
    eprintln!("bench: results in {stem}.md");
    Ok(())
}

/// Everything measured in one run.
pub(crate) struct Report {
    machine: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    verdicts: Vec<Verdict>,
    notes: Vec<&'static str>,
}

impl Report {
    pub(crate) fn new(machine: Vec<(&'static str, String)>) -> Self {
        Self { machine, rows: Vec::new(), verdicts: Vec::new(), notes: Vec::new() }
    }

    /// A sentence that readers of the figures need.
    pub(crate) fn note(&mut self, sentence: &'static str) {
        self.notes.push(sentence);
    }

    pub(crate) fn add(&mut self, row: Row) {
        eprintln!(
            "  {:<28} {:<34} {:>10.2} {}",
            row.case,
            row.server,
            crate::stats::median(&row.samples),
            row.unit
        );
        self.rows.push(row);
    }

    /// Adds one sample to a row, which is made when it does not exist yet.
    pub(crate) fn sample(&mut self, case: &str, server: &str, unit: &'static str, value: f64) {
        eprintln!("  {case:<28} {server:<34} {value:>10.2} {unit}");
        match self.rows.iter_mut().find(|row| row.case == case && row.server == server) {
            Some(row) => row.samples.push(value),
            None => self.rows.push(Row {
                case: case.to_owned(),
                server: server.to_owned(),
                unit,
                samples: vec![value],
            }),
        }
    }

    /// Median of a measured row; NaN when it was not measured.
    pub(crate) fn median(&self, case: &str, server: &str) -> f64 {
        self.rows
            .iter()
            .find(|row| row.case == case && row.server == server)
            .map_or(f64::NAN, |row| crate::stats::median(&row.samples))
    }

    /// Lowest median of `case` over the servers whose name starts with `prefix`.
    pub(crate) fn best(&self, case: &str, prefix: &str) -> f64 {
        self.rows
            .iter()
            .filter(|row| row.case == case && row.server.starts_with(prefix))
            .map(|row| crate::stats::median(&row.samples))
            .fold(f64::NAN, f64::min)
    }

    /// Records how `value` stands to a target.
    pub(crate) fn verdict(&mut self, case: &str, text: String, value: f64, bound: f64) {
        let word = if value <= bound { "met" } else { "MISSED" };
        eprintln!("  {case}: {text}: {value:.3} against {bound:.3}: {word}");
        self.verdicts.push(Verdict { case: case.to_owned(), text, value, bound });
    }

    /// Writes `<date>.md` and `<date>.json`.
    pub(crate) fn save(&self, folder: &str) -> Result<(), String> {
        self.save_as(folder, "")
    }

    /// Writes `<date><suffix>.md` and `<date><suffix>.json`.
    pub(crate) fn save_as(&self, folder: &str, suffix: &str) -> Result<(), String> {
        write(&format!("{folder}/{}{suffix}", date_stem(&self.machine)?), &self.markdown(), &self.json())
    }

    fn markdown(&self) -> String {
        let mut text = String::from("# Benchmark run\n\n");
        for (name, value) in &self.machine {
            let _ = writeln!(text, "- {name}: {value}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text.push_str(
            "\n| case | server | median | min | max | unit | rounds |\n|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let (min, max) =
                row.samples.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &sample| {
                    (min.min(sample), max.max(sample))
                });
            let _ = writeln!(
                text,
                "| {} | {} | {:.3} | {min:.3} | {max:.3} | {} | {} |",
                row.case,
                row.server,
                crate::stats::median(&row.samples),
                row.unit,
                row.samples.len()
            );
        }
        text.push_str("\n| target | measured | bound | |\n|---|---|---|---|\n");
        for verdict in &self.verdicts {
            let word = if verdict.value <= verdict.bound { "met" } else { "missed" };
            let _ = writeln!(
                text,
                "| {}: {} | {:.3} | {:.3} | {word} |",
                verdict.case, verdict.text, verdict.value, verdict.bound
            );
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "machine": self.machine.iter().map(|(name, value)| (*name, value)).collect::<std::collections::BTreeMap<_, _>>(),
            "notes": self.notes,
            "rows": self.rows.iter().map(|row| json!({
                "case": row.case, "server": row.server, "unit": row.unit, "samples": row.samples,
            })).collect::<Vec<_>>(),
            "targets": self.verdicts.iter().map(|verdict| json!({
                "case": verdict.case, "target": verdict.text, "measured": verdict.value,
                "bound": verdict.bound, "met": verdict.value <= verdict.bound,
            })).collect::<Vec<_>>(),
        })
    }
}
