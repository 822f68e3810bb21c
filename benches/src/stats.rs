//! Medians and percentiles of samples.

/// The middle of the samples (mean of both middles when their number is even); NaN without samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let sorted = sorted(samples);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The sample below which `share` (0 to 1) of all samples lie; NaN without samples.
pub(crate) fn percentile(samples: &[f64], share: f64) -> f64 {
    let sorted = sorted(samples);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let index = (share * last as f64).round() as usize;
    sorted[index.min(last)]
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn percentile_picks_the_nearest_sample() {
        let samples: Vec<f64> = (0..=100).map(f64::from).collect();
        assert!((percentile(&samples, 0.99) - 99.0).abs() < 1e-9);
        assert!((percentile(&samples, 1.0) - 100.0).abs() < 1e-9);
    }
}
