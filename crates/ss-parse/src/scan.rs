//! The few ways in which this crate looks at bytes, each counted so that a test can prove the whole
//! linear.

/// Blanks, tabs and the carriage return that a terminal adds.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// Where the first byte stands that is wanted.
pub(crate) fn position(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let found = bytes.iter().position(|byte| wanted(*byte));
    count(found.map_or(bytes.len(), |at| at + 1));
    found
}

/// Where `part` stands first.
pub(crate) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let found = bytes.windows(part.len()).position(|window| window == part);
    count(found.map_or(bytes.len(), |at| at + part.len()));
    found
}

/// What stands before and behind the last `separator`.
pub(crate) fn split_last<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    count(bytes.len());
    let at = bytes
        .windows(separator.len())
        .rposition(|window| window == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + separator.len()..)?))
}

/// The first part, where `bytes` ends or a wanted byte stands, and the rest with that byte.
pub(crate) fn split_at_first(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = position(bytes, wanted).unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, b""))
}

/// The first line without its end, and the text behind it.
pub(crate) fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = split_at_first(text, |byte| byte == b'\n');
    (line, rest.get(1..).unwrap_or_default())
}

/// Takes the first word off `rest`.
pub(crate) fn next_word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = position(rest, |byte| !is_blank(byte))?;
    let (word, behind) = split_at_first(rest.get(start..)?, is_blank);
    *rest = behind;
    Some(word)
}

/// The words of `rest` in order.
pub(crate) fn words(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || next_word(&mut rest))
}

/// A decimal number as a program prints it: digits alone, no leading zero.
pub(crate) fn number<T: TryFrom<u64>>(digits: &[u8]) -> Option<T> {
    if digits.len() > 1 && digits.starts_with(b"0") {
        return None;
    }
    T::try_from(digits_in_base(digits, 10)?).ok()
}

/// Hexadecimal digits, leading zeros allowed.
pub(crate) fn hex(digits: &[u8]) -> Option<u64> {
    digits_in_base(digits, 16)
}

fn digits_in_base(digits: &[u8], base: u32) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    count(digits.len());
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        value.checked_mul(base.into())?.checked_add(digit.into())
    })
}

#[cfg(not(test))]
pub(crate) fn count(_bytes: usize) {}

#[cfg(test)]
pub(crate) use counter::count;

#[cfg(test)]
pub(crate) mod counter {
    use std::cell::Cell;

    thread_local!(static LOOKED_AT: Cell<usize> = const { Cell::new(0) });

    pub(crate) fn count(bytes: usize) {
        LOOKED_AT.set(LOOKED_AT.get() + bytes);
    }

    /// How many bytes were looked at since the last call.
    pub(crate) fn take() -> usize {
        LOOKED_AT.replace(0)
    }
}
