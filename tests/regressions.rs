//! One file for every bug that was fixed.

#[path = "regressions/head_without_body.rs"]
mod head_without_body;
#[path = "regressions/rule_dot_segments.rs"]
mod rule_dot_segments;
#[path = "regressions/rule_path_spelling.rs"]
mod rule_path_spelling;
#[path = "regressions/session_backlog_at_stop.rs"]
mod session_backlog_at_stop;
#[path = "regressions/session_output_is_bounded.rs"]
mod session_output_is_bounded;
#[path = "regressions/session_secrets_in_memory.rs"]
mod session_secrets_in_memory;
