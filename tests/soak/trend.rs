//! Whether figures grow: a straight line through the second half of a run, by least squares. What the figures are of, and
//! where they come from, is not known here.

/// A figure over time.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// Seconds since the start, and the figure then.
    points: Vec<(f64, f64)>,
}

/// A straight line through the second half of a series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    /// The figure's mean.
    pub(crate) mean: f64,
    /// How much the line rises from its first point to its last.
    pub(crate) rise: f64,
    /// The standard error of `rise`, were the points independent of each other.
    pub(crate) error: f64,
}

/// Fewest points of a half that say anything.
const FEWEST: usize = 8;

impl Series {
    /// Adds a figure; times only grow.
    pub(crate) fn push(&mut self, seconds: f64, figure: f64) {
        self.points.push((seconds, figure));
    }

    /// The last figure.
    pub(crate) fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |(_, figure)| *figure)
    }

    /// The line through the second half.
    pub(crate) fn line(&self) -> Line {
        let points = &self.points[self.points.len() / 2..];
        assert!(points.len() >= FEWEST, "{} points are too few: soak longer", points.len());
        let count = points.len() as f64;
        let (time, mean) =
            points.iter().fold((0.0, 0.0), |sum, (t, y)| (sum.0 + t / count, sum.1 + y / count));
        let spread: f64 = points.iter().map(|(t, _)| (t - time).powi(2)).sum();
        let slope = points.iter().map(|(t, y)| (t - time) * (y - mean)).sum::<f64>() / spread;
        let rest: f64 = points.iter().map(|(t, y)| (y - mean - slope * (t - time)).powi(2)).sum();
        let length = points[points.len() - 1].0 - points[0].0;
        let error = (rest / (count - 2.0) / spread).sqrt();
        Line { mean, rise: slope * length, error: error * length }
    }
}

impl Line {
    /// Whether the figure grows: by more than `tolerance` in half a run, and by more than chance would have it.
    pub(crate) fn grows(&self, tolerance: f64) -> bool {
        self.rise > tolerance && self.rise > 3.0 * self.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(figure: impl Fn(f64) -> f64) -> Series {
        let mut series = Series::default();
        (0..200).map(|n| f64::from(n) * 5.0).for_each(|t| series.push(t, figure(t)));
        series
    }

    /// Noise of about ±1 without a source of chance.
    fn noise(t: f64) -> f64 {
        (t * 12.9898).sin() * (t * 78.233).cos() * 1.5
    }

    #[test]
    fn a_slow_leak_grows_also_in_noise_and_behind_a_steep_start() {
        assert!(series(|t| 40.0 + t * 0.01).line().grows(2.0));
        assert!(series(|t| 40.0 + t * 0.01 + noise(t)).line().grows(2.0));
        assert!(series(|t| t.min(100.0) + t * 0.01).line().grows(2.0));
    }

    #[test]
    fn what_ends_growing_in_the_first_half_falls_or_goes_up_and_down_does_not_grow() {
        assert!(!series(|t| t.min(400.0)).line().grows(2.0));
        assert!(!series(|t| 40.0 - t * 0.01).line().grows(2.0));
        assert!(!series(|t| 40.0 + noise(t)).line().grows(2.0));
        assert!(!series(|t| 40.0 + t % 60.0).line().grows(2.0));
    }

    #[test]
    fn a_rise_below_the_tolerance_is_let_pass() {
        let line = series(|t| 40.0 + t * 0.003).line();
        assert!((line.rise - 1.485).abs() < 1e-6, "{line:?}");
        assert!(!line.grows(2.0) && line.grows(1.0));
    }
}
