//! The few pieces of DER that a public key is made of.

/// A tag, as far as keys need them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Integer = 0x02,
    BitString = 0x03,
    ObjectId = 0x06,
    Sequence = 0x30,
}

/// Takes the value with this tag off the front of `input`.
pub(crate) fn take<'a>(input: &mut &'a [u8], tag: Tag) -> Option<&'a [u8]> {
    let (&[first, short], rest) = input.split_first_chunk()?;
    if first != tag as u8 {
        return None;
    }
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    // DER knows one way to write a length: the shortest.
    let shortest = match short {
        0x81 => length > 0x7f,
        0x82 => length > 0xff,
        _ => true,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *input = rest;
    shortest.then_some(value)
}

/// The same, and nothing may follow.
pub(crate) fn take_last(mut input: &[u8], tag: Tag) -> Option<&[u8]> {
    let value = take(&mut input, tag)?;
    input.is_empty().then_some(value)
}
