//! Throughput and latencies, as text and as JSON.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longer ones count as so long, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
const DIGITS: u8 = 3;
const SHOWN: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];
/// Width of the longest bar.
const WIDTH: u64 = 50;

/// What was done, and in which time.
pub(super) struct Report {
    pub(super) operations: u64,
    pub(super) took: Duration,
}

/// An empty histogram of nanoseconds.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("fixed bounds that fit each other")
}

impl Report {
    fn rate(&self) -> f64 {
        self.operations as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// For people.
    pub(super) fn text(&self, latencies: &Histogram<u64>) -> String {
        let mut text = format!("{:.0} operations/s, {:.3} s\nlatency", self.rate(), self.took.as_secs_f64());
        for (name, quantile) in SHOWN {
            let value = latencies.value_at_percentile(quantile);
            // Writing to a string does not fail.
            let _ = write!(text, "  {name} {}", micros(value));
        }
        let _ = write!(text, "  max {} µs", micros(latencies.max()));
        let rows = buckets(latencies);
        let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0);
        for (upto, count) in rows {
            let bar = "#".repeat(usize::try_from((count * WIDTH).div_ceil(most.max(1))).unwrap_or(0));
            let _ = write!(text, "\n{:>12} µs {count:>10} {bar}", micros(upto));
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self, latencies: &Histogram<u64>) -> Value {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        let quantiles: serde_json::Map<_, _> = SHOWN
            .into_iter()
            .map(|(name, quantile)| (name.to_owned(), json!(micros(latencies.value_at_percentile(quantile)))))
            .collect();
        let rows: Vec<_> = buckets(latencies)
            .into_iter()
            .map(|(upto, count)| json!({ "upto_us": micros(upto), "count": count }))
            .collect();
        json!({
            "operations": self.operations,
            "seconds": self.took.as_secs_f64(),
            "operations_per_second": self.rate(),
            "latency_us": quantiles,
            "latency_max_us": micros(latencies.max()),
            "latency_mean_us": latencies.mean() / 1000.0,
            "histogram": rows,
        })
    }
}

/// Upper bounds, doubled each time, and how many there are up to each; without the empty ones at both ends.
fn buckets(latencies: &Histogram<u64>) -> Vec<(u64, u64)> {
    let rows: Vec<_> = latencies
        .iter_log(1000, 2.0)
        .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
        .collect();
    let first = rows.iter().position(|(_, count)| *count > 0).unwrap_or(rows.len());
    rows[first..].to_vec()
}

fn micros(nanos: u64) -> String {
    format!("{:.1}", nanos as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_counted_in_doubling_steps() {
        let mut latencies = histogram();
        for nanos in [10_000, 11_000, 30_000, 500_000] {
            latencies.record(nanos).expect("in bounds");
        }
        let rows = buckets(&latencies);
        assert_eq!(rows.iter().map(|(_, count)| count).sum::<u64>(), 4);
        assert_eq!(rows[0].1, 2);
        let report = Report { operations: 4, took: Duration::from_secs(2) };
        let json = report.json(&latencies);
        assert_eq!(json["operations_per_second"], json!(2.0));
        assert!(json["latency_max_us"].as_f64().is_some_and(|max| (499.0..=501.0).contains(&max)), "{json}");
        let text = report.text(&latencies);
        assert!(text.starts_with("2 operations/s, 2.000 s") && text.contains("p99.9 "), "{text}");
    }

    #[test]
    fn nothing_done_is_a_report_too() {
        let report = Report { operations: 0, took: Duration::ZERO };
        assert_eq!(buckets(&histogram()), []);
        assert!(report.text(&histogram()).contains("0 operations/s"));
    }
}
