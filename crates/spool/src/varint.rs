//! Whole numbers in as few bytes as they need: seven bits a byte, the lowest first.

/// A 64-bit number needs at most this many bytes.
const LONGEST: u32 = 10;

pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
}

/// Takes a number off the front of `bytes`; `None` where they end early or hold more than 64 bits.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..LONGEST {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits.leading_zeros() < 7 * place {
            return None;
        }
        value |= bits << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The way from one number to another, with small steps in either direction as small numbers.
pub(crate) fn difference(from: u64, to: u64) -> u64 {
    let step = to.wrapping_sub(from).cast_signed();
    ((step << 1) ^ (step >> 63)).cast_unsigned()
}

/// Where that way leads.
pub(crate) fn step(from: u64, difference: u64) -> u64 {
    from.wrapping_add((difference >> 1) ^ (difference & 1).wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::{difference, put, step, take};

    const NUMBERS: [u64; 9] = [
        0,
        1,
        127,
        128,
        16_383,
        16_384,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];

    #[test]
    fn every_number_comes_back() {
        for number in NUMBERS {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(take(&mut bytes.as_slice()), Some(number));
            bytes.pop();
            assert_eq!(take(&mut bytes.as_slice()), None, "{number} cut short");
        }
    }

    /// From the definition: 300 is 10 0101100, so 0xac 0x02.
    #[test]
    fn the_lowest_bits_come_first() {
        let mut bytes = Vec::new();
        put(&mut bytes, 300);
        assert_eq!(bytes, [0xac, 0x02]);
    }

    #[test]
    fn more_than_64_bits_are_refused() {
        let mut bytes = [0xff; 10];
        bytes[9] = 0x01;
        assert_eq!(take(&mut &bytes[..]), Some(u64::MAX));
        bytes[9] = 0x02;
        assert_eq!(take(&mut &bytes[..]), None);
        assert_eq!(take(&mut &[0x80; 11][..]), None);
    }

    #[test]
    fn a_difference_leads_from_any_number_to_any_other() {
        for from in NUMBERS {
            for to in NUMBERS {
                assert_eq!(step(from, difference(from, to)), to, "{from} to {to}");
            }
        }
        assert_eq!([difference(5, 4), difference(5, 6)], [1, 2]);
    }
}
