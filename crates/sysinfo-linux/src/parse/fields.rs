//! Lines, words and numbers of the kernel's text files, as bytes.

/// What a parser complains about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it, to be read after "line 3: ".
    pub what: &'static str,
}

impl Malformed {
    pub(crate) fn at(line: usize, what: &'static str) -> Self {
        Self { line, what }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Malformed {}

/// Lines without their ends.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}

/// Words between spaces and tabs.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .filter(|word| !word.is_empty())
}

/// A word of decimal digits that fits.
pub(crate) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// The number before the first `.`, and the first two digits after it as hundredths.
pub(crate) fn hundredths(word: &[u8]) -> Option<u64> {
    let mut parts = word.splitn(2, |byte| *byte == b'.');
    let whole = number(parts.next()?)?.checked_mul(100)?;
    let cents = match parts.next() {
        None => 0,
        Some(&[tens]) => number(&[tens, b'0'])?,
        Some(&[tens, ones, ref rest @ ..]) if rest.iter().all(u8::is_ascii_digit) => {
            number(&[tens, ones])?
        }
        Some(_) => return None,
    };
    whole.checked_add(cents)
}

/// A figure that the kernel prints with two decimals.
pub(crate) fn decimal(word: &[u8]) -> Option<f64> {
    hundredths(word).map(|value| as_f64(value) / 100.0)
}

/// A counter as a float: exact up to 2^53, which is all that a ratio needs.
#[allow(
    clippy::cast_precision_loss,
    reason = "a ratio of counters above 2^53 loses less than one part in 2^52"
)]
pub(crate) fn as_f64(value: u64) -> f64 {
    value as f64
}

/// The parsed lines, unless none of them could be understood: one bad line never hides the good.
pub(crate) fn good_lines<'a, T>(
    bytes: &'a [u8],
    skip: usize,
    what: &'static str,
    parse: impl Fn(&'a [u8]) -> Option<T>,
) -> Result<Vec<T>, Malformed> {
    let mut good = Vec::new();
    let mut first_bad = None;
    for (index, line) in lines(bytes).enumerate().skip(skip) {
        match parse(line) {
            Some(value) => good.push(value),
            None if !line.is_empty() && first_bad.is_none() => first_bad = Some(index + 1),
            None => {}
        }
    }
    match first_bad {
        Some(line) if good.is_empty() => Err(Malformed::at(line, what)),
        _ => Ok(good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_that_fit() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        for bad in [&b""[..], b"-1", b"+1", b"1.0", b"0x10", b"\xff"] {
            assert_eq!(number(bad), None);
        }
    }

    #[test]
    fn decimals_are_digits_and_a_point() {
        assert_eq!(hundredths(b"767.96"), Some(76_796));
        assert_eq!(hundredths(b"4.5"), Some(450));
        assert_eq!(hundredths(b"7"), Some(700));
        assert_eq!(hundredths(b"7.129"), Some(712));
        for bad in [
            &b""[..],
            b"nan",
            b"inf",
            b"1e5",
            b"-1.00",
            b"1.",
            b".5",
            b"1.2x",
            b"1.23x",
        ] {
            assert_eq!(hundredths(bad), None, "{}", bad.escape_ascii());
        }
    }
}
