//! One file for every bug that was fixed.

#[path = "regressions/head_without_body.rs"]
mod head_without_body;
#[path = "regressions/rule_dot_segments.rs"]
mod rule_dot_segments;
#[path = "regressions/rule_path_spelling.rs"]
mod rule_path_spelling;
