//! [`Pauses`]: how long to wait before an origin is asked again, and when to give up.

use std::time::Duration;

use store::Retry;
use tokio::time::Instant;

use crate::{Error, Settings};

/// Exponential pauses with full jitter, bounded in total time rather than in number.
pub(crate) struct Pauses {
    end: Instant,
    next: Duration,
    longest: Duration,
}

impl Pauses {
    /// Pauses that all end within `span` from now.
    pub(crate) fn new(settings: &Settings, span: Duration) -> Self {
        let now = Instant::now();
        Self {
            end: now.checked_add(span).unwrap_or(now),
            next: settings.retry_pause,
            longest: settings.retry_pause_max,
        }
    }

    /// How long to wait after `error`; `None` when another attempt is pointless, or when the time is used up,
    /// or when the origin asks to wait longer than that.
    pub(crate) fn after(&mut self, error: &Error) -> Option<Duration> {
        if error.kind.retry() == Retry::Pointless {
            return None;
        }
        let jitter = self.next.mul_f64(fastrand::f64());
        let pause = error.retry_after.map_or(jitter, |asked| asked.max(jitter));
        self.next = self.next.saturating_mul(2).min(self.longest);
        (Instant::now().checked_add(pause)? < self.end).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn unreachable() -> Error {
        Error::new(Kind::OriginUnreachable, "refused")
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_stay_below_the_longest_and_end_in_time() {
        let settings = Settings::default();
        let started = Instant::now();
        let mut pauses = Pauses::new(&settings, settings.retry_for);
        let mut count = 0;
        while let Some(pause) = pauses.after(&unreachable()) {
            assert!(pause <= settings.retry_pause_max);
            tokio::time::advance(pause + Duration::from_millis(1)).await;
            count += 1;
        }
        assert!(started.elapsed() < settings.retry_for);
        assert!(count >= 4, "there were attempts: {count}");
    }

    // 4c 39
    #[tokio::test(start_paused = true)]
    async fn what_the_origin_asks_for_is_waited_when_it_fits_and_else_ends_the_attempts() {
        let settings = Settings::default();
        let mut pauses = Pauses::new(&settings, settings.retry_for);
        let mut busy = Error::new(Kind::OriginStatus(http::StatusCode::SERVICE_UNAVAILABLE), "busy");
        busy.retry_after = Some(Duration::from_secs(5));
        assert_eq!(pauses.after(&busy), Some(Duration::from_secs(5)));
        busy.retry_after = Some(Duration::from_secs(9));
        assert_eq!(pauses.after(&busy), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pointless_errors_are_not_repeated() {
        let settings = Settings::default();
        let mut pauses = Pauses::new(&settings, settings.retry_for);
        assert_eq!(pauses.after(&Error::new(Kind::OriginForbidden, "no")), None);
    }
}
