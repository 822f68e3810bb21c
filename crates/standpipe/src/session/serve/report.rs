//! The status line of a session server: at most one a second, and only when the number of sessions changed; besides,
//! whenever the operations have passed a multiple of `-progress`.

use std::sync::Arc;
use std::time::Duration;

use distcache::server::ServerMetrics;
use doors::session::Kept;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::PROGRAM;
use crate::session::print_json;

/// How often is looked when nothing but the sessions matters.
const PACE: Duration = Duration::from_millis(500);
/// How often is looked for progress.
const QUICK_PACE: Duration = Duration::from_millis(50);
/// Between two lines about sessions.
const PAUSE: Duration = Duration::from_secs(1);

/// What is reported.
pub(super) struct Report {
    pub(super) server: Arc<ServerMetrics>,
    pub(super) kept: Kept,
    /// 0: never.
    pub(super) progress: u64,
    pub(super) form: Form,
}

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For people, on stderr.
    Line,
    /// One object a line, on stdout.
    Json,
}

#[derive(Clone, Copy, Default)]
struct Numbers {
    operations: u64,
    sessions: u64,
}

impl Report {
    /// Reports for ever.
    pub(super) async fn run(self) {
        let mut ticks = interval(if self.progress > 0 { QUICK_PACE } else { PACE });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut told_at) = (Numbers::default(), Instant::now());
        let mut problem_told = None;
        loop {
            ticks.tick().await;
            let answer = self.kept.store.len().wait().await;
            let problem = self.kept.redis.as_ref().and_then(|redis| redis.problem());
            if problem != problem_told {
                let shown = problem.as_deref().unwrap_or("answers again");
                PROGRAM.say(format_args!("the store: {shown}"));
                problem_told = problem;
            }
            let Ok(sessions) = answer else { continue };
            let now = Numbers { operations: self.server.operations(), sessions };
            let has_changed = now.sessions != told.sessions && told_at.elapsed() >= PAUSE;
            if !has_changed && !self.has_passed(told, now) {
                continue;
            }
            self.tell(told, now);
            (told, told_at) = (now, Instant::now());
        }
    }

    fn has_passed(&self, told: Numbers, now: Numbers) -> bool {
        let multiple = |numbers: Numbers| numbers.operations.checked_div(self.progress);
        multiple(told) != multiple(now)
    }

    fn tell(&self, told: Numbers, now: Numbers) {
        let Numbers { operations, sessions } = now;
        let increment = operations.saturating_sub(told.operations);
        let change = i128::from(sessions) - i128::from(told.sessions);
        match self.form {
            Form::Line => PROGRAM.say(format_args!(
                "{operations} operations (+{increment}), {sessions} sessions ({change:+})"
            )),
            Form::Json => print_json(&json!({
                "operations": operations,
                "increment": increment,
                "sessions": sessions,
                "change": i64::try_from(change).unwrap_or(i64::MAX),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use distcache::MemoryStore;
    use distcache::store::MemorySettings;

    use super::*;

    #[test]
    fn progress_is_passing_a_multiple() {
        let report = |progress| Report {
            server: Arc::default(),
            kept: Kept {
                store: Arc::new(MemoryStore::new(&MemorySettings::default())),
                memory: None,
                redis: None,
            },
            progress,
            form: Form::Line,
        };
        let at = |operations| Numbers { operations, sessions: 0 };
        assert!(!report(0).has_passed(at(0), at(1_000_000)));
        assert!(!report(10).has_passed(at(10), at(19)));
        assert!(report(10).has_passed(at(19), at(20)));
        assert!(report(10).has_passed(at(9), at(35)));
    }
}
