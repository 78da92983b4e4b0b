//! Figures as they leave the host: percents in whole hundredths, counts within what the server can hold.

/// The hundredths of a full percentage.
pub(crate) const FULL: u64 = 10_000;

/// The largest count that may be sent: the server reads signed 64-bit integers and refuses the whole body otherwise.
pub(crate) const MAX_COUNT: u64 = i64::MAX.cast_unsigned();

/// A percentage in hundredths, cut to 0..=100 %. What is not a number has none.
pub(crate) fn hundredths(percent: f64) -> Option<u64> {
    if !percent.is_finite() {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and from 0 to 10,000"
    )]
    let hundredths = (percent.clamp(0.0, 100.0) * 100.0).round() as u16;
    Some(hundredths.into())
}

/// The percentage of so many hundredths, if there are not too many.
pub(crate) fn percent(hundredths: u64) -> Option<f64> {
    let hundredths = u16::try_from(hundredths).ok()?;
    (u64::from(hundredths) <= FULL).then(|| f64::from(hundredths) / 100.0)
}

/// A count, cut to the largest that may be sent.
pub(crate) fn count(count: u64) -> u64 {
    count.min(MAX_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_rounded_to_hundredths_and_cut() {
        let known = [
            (12.5, 1250),
            (40.123_456, 4012),
            (0.004, 0),
            (0.006, 1),
            (99.994, 9999),
            (99.996, 10_000),
            (100.1, 10_000),
            (f64::MAX, 10_000),
            (-0.0, 0),
            (-3.0, 0),
            (f64::MIN_POSITIVE, 0),
        ];
        for (percent, wanted) in known {
            assert_eq!(hundredths(percent), Some(wanted), "{percent}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_unknown() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(hundredths(odd), None);
        }
    }

    #[test]
    fn all_hundredths_come_back_as_they_were() {
        for whole in 0..=FULL {
            assert_eq!(percent(whole).and_then(hundredths), Some(whole));
        }
        for too_much in [FULL + 1, 65_536, u64::MAX] {
            assert_eq!(percent(too_much), None);
        }
    }
}
