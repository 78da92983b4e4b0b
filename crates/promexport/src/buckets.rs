//! What a histogram shows: counts of observed values below fixed bounds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::name::refuse;

/// Counts of observed values, by the bounds they stay below; shared between threads without a lock.
///
/// ```
/// # use promexport::{Buckets, Format, Histogram, Page};
/// static TIME: Histogram<1> = Histogram::new("http_request_seconds", "Time to answer.", ["route"]);
///
/// let metrics = Buckets::new([0.001, 0.01, 0.1]);
/// metrics.observe(0.004);
///
/// let mut page = Page::new(Format::TEXT);
/// page.histogram(&TIME, ["/metrics"], &metrics);
/// let text = String::from_utf8(page.finish()).unwrap();
/// assert!(text.contains(r#"http_request_seconds_bucket{route="/metrics",le="0.01"} 1"#));
/// ```
#[derive(Debug)]
pub struct Buckets<const B: usize> {
    bounds: [f64; B],
    counts: [AtomicU64; B],
    /// How many values are above the last bound.
    above: AtomicU64,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl<const B: usize> Buckets<B> {
    /// Nothing observed yet. A value counts for the first bound that it does not exceed.
    ///
    /// # Panics
    ///
    /// If the bounds are not finite, not negative and ascending: a build error in a `static` or `const`.
    #[must_use]
    pub const fn new(bounds: [f64; B]) -> Self {
        if !ascends(&bounds) {
            refuse("the bounds of buckets are finite, not negative and ascending");
        }
        Buckets {
            bounds,
            counts: [const { AtomicU64::new(0) }; B],
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts one value. A value that is negative, infinite or NaN is not counted: it would make the
    /// sum useless for ever.
    pub fn observe(&self, value: f64) {
        if !value.is_finite() || value < 0.0 {
            return;
        }
        let fitting = self
            .bounds
            .iter()
            .zip(&self.counts)
            .find(|(bound, _)| value <= **bound);
        fitting
            .map_or(&self.above, |(_, count)| count)
            .fetch_add(1, Relaxed);
        let _ = self.sum.fetch_update(Relaxed, Relaxed, |sum| {
            Some((f64::from_bits(sum) + value).to_bits())
        });
    }

    /// Each bound with the count of values up to it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let counts = self.counts.iter().chain([&self.above]);
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(counts).scan(0_u64, |total, (bound, count)| {
            *total = total.wrapping_add(count.load(Relaxed));
            Some((bound, *total))
        })
    }

    pub(crate) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Relaxed))
    }
}

const fn ascends(bounds: &[f64]) -> bool {
    let mut bounds = bounds;
    while let [bound, rest @ ..] = bounds {
        if !bound.is_finite() || *bound < 0.0 {
            return false;
        }
        if let [next, ..] = rest
            && *next <= *bound
        {
            return false;
        }
        bounds = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_for_every_bound_it_does_not_exceed() {
        let buckets = Buckets::new([1.0, 2.0]);
        for value in [0.0, 1.0, 1.5, 2.0, 3.0] {
            buckets.observe(value);
        }
        let counts: Vec<_> = buckets.cumulative().collect();
        assert_eq!(counts, [(1.0, 2), (2.0, 4), (f64::INFINITY, 5)]);
        assert_eq!(buckets.sum().to_bits(), 7.5_f64.to_bits());
    }

    #[test]
    fn what_would_spoil_the_sum_is_not_counted() {
        let buckets = Buckets::new([1.0]);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            buckets.observe(value);
        }
        assert_eq!(buckets.cumulative().last(), Some((f64::INFINITY, 0)));
    }

    #[test]
    fn threads_lose_nothing() {
        let buckets = Buckets::new([0.5]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| buckets.observe(1.0)));
            }
        });
        assert_eq!(buckets.cumulative().last(), Some((f64::INFINITY, 4000)));
        assert_eq!(buckets.sum().to_bits(), 4000_f64.to_bits());
    }

    #[test]
    fn bounds_out_of_order_are_refused() {
        for bad in [
            &[1.0, 1.0][..],
            &[2.0, 1.0],
            &[-1.0],
            &[f64::INFINITY],
            &[f64::NAN, 1.0],
        ] {
            assert!(!ascends(bad), "{bad:?}");
        }
        assert!(ascends(&[]) && ascends(&[0.0, 0.1]));
    }
}
