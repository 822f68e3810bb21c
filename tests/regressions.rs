//! One file for every bug that was fixed.

#[path = "regressions/rule_path_spelling.rs"]
mod rule_path_spelling;
