#![no_main]
//! The configuration file: accepted or refused in sentences that a terminal can show; tables are shown as they can be written.

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;

// The program is no library.
#[path = "../../crates/standpipe/src"]
#[expect(dead_code, unused_imports, reason = "the program uses all of it")]
mod program {
    pub mod config;
}

use program::config::{Facts, Raw, Tables, Values, plan, table_texts};

fuzz_target!(|text: &str| {
    let (raw, problems) = read(text);
    problems.iter().for_each(|problem| check(problem));
    if !problems.is_empty() {
        return;
    }
    // Places change with the first writing, not with the second.
    let written = table_texts(&read(&table_texts(&raw).join("\n")).0).join("\n");
    let (again, problems) = read(&written);
    assert!(problems.is_empty(), "{problems:?}\n{written}");
    assert_eq!(table_texts(&again).join("\n"), written);
    match (Values::parse(&raw), Tables::parse(&raw.tables)) {
        (Ok(values), Ok(tables)) => plan(&values, &tables).map(drop).unwrap_or_else(|problem| check(&problem)),
        (values, tables) => {
            let (values, tables) = (values.err().unwrap_or_default(), tables.err().unwrap_or_default());
            assert!(!values.is_empty() || !tables.is_empty());
            values.iter().chain(&tables).for_each(|problem| check(problem));
        }
    }
});

fn read(text: &str) -> (Raw, Vec<String>) {
    let mut raw = Raw::default();
    let problems = raw.add_file(Path::new("standpipe.toml"), text);
    raw.add_defaults(&facts());
    (raw, problems)
}

/// A machine without surprises.
fn facts() -> Facts {
    Facts {
        cores: 2,
        host: "riser".to_owned(),
        cache_home: PathBuf::from("/cache"),
        config_home: None,
        free_disk: |_| Some(100_000_000_000),
    }
}

fn check(problem: &str) {
    assert!(!problem.is_empty() && !problem.contains(|c: char| c.is_control()), "{problem:?}");
}
