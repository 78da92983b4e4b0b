//! Numbers and how they are written.

use std::io::Write;
use std::time::Duration;

/// 2^53: below it, a whole `f64` is exact as an integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The value of a sample: made from integers, floats, `bool` (1 or 0) and [`Duration`] (seconds).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value(Number);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Value {
    /// Whether a counter may have this value.
    pub(crate) fn can_count(self) -> bool {
        match self.0 {
            Number::Unsigned(_) => true,
            Number::Signed(n) => n >= 0,
            Number::Float(n) => n >= 0.0,
        }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self.0 {
            Number::Unsigned(n) => write_unsigned(n, out),
            Number::Signed(n) => write_signed(n, out),
            Number::Float(n) => write_float(n, out),
        }
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Value(Number::Unsigned(n))
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Value(Number::Unsigned(n.into()))
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Self {
        Value(Number::Unsigned(n as u64))
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value(Number::Signed(n))
    }
}

impl From<i32> for Value {
    fn from(n: i32) -> Self {
        Value(Number::Signed(n.into()))
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Value(Number::Float(n))
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Value(Number::Unsigned(is.into()))
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Value(Number::Float(time.as_secs_f64()))
    }
}

/// The one spelling of a bound that OpenMetrics 1.0 recommends: Go's `%g`, never without point or exponent.
pub(crate) fn canonical_bound(bound: f64) -> String {
    if bound == f64::INFINITY {
        return "+Inf".to_owned();
    }
    let scientific = format!("{bound:e}");
    let Some((digits, Ok(exponent))) = scientific
        .split_once('e')
        .map(|(digits, exponent)| (digits, exponent.parse::<i32>()))
    else {
        return scientific;
    };
    match exponent {
        -4..=5 if bound.fract() == 0.0 => format!("{bound}.0"),
        -4..=5 => format!("{bound}"),
        6.. => format!("{digits}e+{exponent:02}"),
        _ => format!("{digits}e-{:02}", exponent.unsigned_abs()),
    }
}

fn write_unsigned(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = digit(n);
        n /= 10;
        used += 1;
        if n == 0 {
            break;
        }
    }
    out.extend(digits.get(digits.len() - used..).unwrap_or_default());
}

fn write_signed(n: i64, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    write_unsigned(n.unsigned_abs(), out);
}

fn write_float(n: f64, out: &mut Vec<u8>) {
    let size = n.abs();
    if n.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if n.is_infinite() {
        out.extend_from_slice(if n > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if size < EXACT && n.fract() == 0.0 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "whole and below 2^53: exact"
        )]
        write_signed(n as i64, out);
    } else if !write_decimal(n, out) {
        // Writing to a Vec cannot fail.
        let _ = if (1e-5..EXACT).contains(&size) {
            write!(out, "{n}")
        } else {
            write!(out, "{n:e}")
        };
    }
}

/// Writes numbers with few decimal places, which most measured ones are, four times as fast as std.
///
/// Exact all the same: both parts of the division are whole and below 2^53, so its result is the `f64`
/// nearest to that decimal, as a parser's is.
fn write_decimal(n: f64, out: &mut Vec<u8>) -> bool {
    let size = n.abs();
    for (power, divisor) in [
        (1e2, 100_u64),
        (1e3, 1_000),
        (1e6, 1_000_000),
        (1e9, 1_000_000_000),
    ] {
        // A quarter leaves no second decimal of that length that reads back the same.
        if size * power >= EXACT / 4.0 {
            return false;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 2^53"
        )]
        let digits = (size * power + 0.5) as u64;
        if digits as f64 / power != size {
            continue;
        }
        if n < 0.0 {
            out.push(b'-');
        }
        write_unsigned(digits / divisor, out);
        out.push(b'.');
        write_places(digits % divisor, divisor / 10, out);
        return true;
    }
    false
}

/// Writes the digits after the point, from the one worth `unit` down to the last that is not zero.
fn write_places(mut places: u64, mut unit: u64, out: &mut Vec<u8>) {
    while places > 0 && unit > 0 {
        out.push(digit(places / unit));
        places %= unit;
        unit /= 10;
    }
}

fn digit(n: u64) -> u8 {
    let [low, ..] = (n % 10).to_le_bytes();
    b'0' + low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl Into<Value>) -> String {
        let mut out = Vec::new();
        value.into().write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_written_as_std_writes_them() {
        for n in [0, 1, 9, 10, 99, 20_001, u64::MAX / 10, u64::MAX] {
            assert_eq!(written(n), n.to_string());
        }
        for n in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(written(n), n.to_string());
        }
        assert_eq!(written(true), "1");
    }

    #[test]
    fn floats_are_short_and_read_back_the_same() {
        for n in [
            0.1,
            12.5,
            1e15,
            9_007_199_254_740_991.0,
            EXACT,
            1e17,
            1e300,
            -1e300,
            1.5e-7,
            1e-5,
            9.9e-6,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            -0.25,
            1.0 / 3.0,
        ] {
            assert_eq!(
                written(n).parse::<f64>().unwrap().to_bits(),
                n.to_bits(),
                "{n:e}"
            );
            assert!(written(n).len() <= 24, "{}", written(n));
        }
        assert_eq!(written(12.0), "12");
        assert_eq!(written(12.5), "12.5");
        assert_eq!(written(-0.0), "0");
        assert_eq!(written(Duration::from_millis(1500)), "1.5");
    }

    #[test]
    fn decimals_are_as_short_as_those_of_std() {
        let mut state = 1_u64;
        for round in 0..20_000_u64 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let whole = (state >> (11 + round % 50)) as f64;
            let places = [10.0, 100.0, 1e3, 1e6, 1e7, 1e9, 3.0][(round % 7) as usize];
            let n = whole / places;
            if (1e-5..EXACT).contains(&n) {
                assert_eq!(written(n), n.to_string());
                assert_eq!(written(-n), (-n).to_string());
            }
        }
    }

    #[test]
    fn what_is_no_number_has_its_own_words() {
        assert_eq!(written(f64::NAN), "NaN");
        assert_eq!(written(f64::INFINITY), "+Inf");
        assert_eq!(written(f64::NEG_INFINITY), "-Inf");
    }

    /// The examples of the OpenMetrics 1.0 specification, section "Canonical Numbers".
    #[test]
    fn bounds_are_spelled_as_the_specification_spells_them() {
        for spelled in "0.0 0.001 0.002 0.01 0.1 0.9 0.95 0.99 0.999 1.0 1.7 10.0 \
                        1e-10 1e-09 1e-05 0.0001 100000.0 1e+06 1e+10"
            .split_whitespace()
        {
            assert_eq!(canonical_bound(spelled.parse().unwrap()), spelled);
        }
        assert_eq!(canonical_bound(f64::INFINITY), "+Inf");
        assert_eq!(canonical_bound(1_234_567.0), "1.234567e+06");
        assert_eq!(canonical_bound(123_456.5), "123456.5");
    }
}
