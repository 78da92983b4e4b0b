//! gzip (RFC 1952) for pages: a greedy search for repetitions and the fixed code of deflate (RFC 1951).
//!
//! A page repeats itself so much that this small encoder comes close to a big one, without the quarter of
//! a megabyte of state that a big one allocates for every scrape.

use crate::accept::elements;

/// Deflate copies at most this far back.
const WINDOW: usize = 32 * 1024;
/// Deflate copies at most this much at once.
const LONGEST: usize = 258;
const HASH_BITS: u32 = 12;
const END_OF_BLOCK: u32 = 256;
/// Magic, deflate, no flags, no time, no hints, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Whether a request with this header `Accept-Encoding` takes gzip.
///
/// ```
/// assert!(promexport::accepts_gzip(Some(b"deflate, gzip;q=0.5")));
/// assert!(!promexport::accepts_gzip(Some(b"gzip;q=0, identity")));
/// assert!(!promexport::accepts_gzip(None));
/// ```
#[must_use]
pub fn accepts_gzip(accept_encoding: Option<&[u8]>) -> bool {
    let mut any = false;
    for element in elements(accept_encoding.unwrap_or_default()) {
        if element.is("gzip") || element.is("x-gzip") {
            return element.weight > 0;
        }
        any |= element.is("*") && element.weight > 0;
    }
    any
}

/// The body compressed, for an answer with `Content-Encoding: gzip`.
#[must_use]
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = Bits::after(HEADER.to_vec(), body.len() / 4);
    deflate(body, &mut out);
    let mut out = out.finish();
    out.extend_from_slice(&crc32(body).to_le_bytes());
    let [a, b, c, d, ..] = (body.len() as u64).to_le_bytes();
    out.extend_from_slice(&[a, b, c, d]);
    out
}

/// Writes one final block in the fixed code.
fn deflate(body: &[u8], out: &mut Bits) {
    out.push(0b011, 3);
    // Where each hash of four bytes was last seen, plus one.
    let mut seen = [0_usize; 1 << HASH_BITS];
    let mut at = 0;
    while let Some((&byte, rest)) = body.get(at..).and_then(<[u8]>::split_first) {
        let earlier = remember(body, at, &mut seen);
        let length = earlier.map_or(0, |earlier| common_length(body, earlier, at));
        if let Some(earlier) = earlier
            && length >= 4
        {
            write_copy(length, at - earlier, out);
            for inside in at + 1..at + length {
                remember(body, inside, &mut seen);
            }
            at += length;
        } else {
            write_symbol(byte.into(), out);
            at = body.len() - rest.len();
        }
    }
    write_symbol(END_OF_BLOCK, out);
}

/// Notes the four bytes at `at`, and tells where their hash was last seen inside the window.
fn remember(body: &[u8], at: usize, seen: &mut [usize; 1 << HASH_BITS]) -> Option<usize> {
    let four = body.get(at..)?.first_chunk::<4>()?;
    let hash = u32::from_le_bytes(*four).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
    let slot = seen.get_mut(hash as usize)?;
    let earlier = std::mem::replace(slot, at + 1).checked_sub(1)?;
    (at - earlier <= WINDOW).then_some(earlier)
}

fn common_length(body: &[u8], earlier: usize, at: usize) -> usize {
    let (a, b) = (body.get(earlier..), body.get(at..));
    let pairs = a.into_iter().flatten().zip(b.into_iter().flatten());
    pairs.take(LONGEST).take_while(|(a, b)| a == b).count()
}

/// Writes "copy `length` bytes from `distance` back": symbol and extra bits for each.
#[allow(
    clippy::cast_possible_truncation,
    reason = "at most LONGEST and WINDOW"
)]
fn write_copy(length: usize, distance: usize, out: &mut Bits) {
    let (symbol, extra, bits) = match length as u32 - 3 {
        short @ 0..8 => (short, 0, 0),
        255 => (28, 0, 0),
        long => {
            let bits = long.ilog2() - 2;
            (4 * (bits + 1) + (long >> bits & 3), long & mask(bits), bits)
        }
    };
    write_symbol(257 + symbol, out);
    out.push(extra, bits);
    let (symbol, extra, bits) = match distance as u32 - 1 {
        near @ 0..4 => (near, 0, 0),
        far => {
            let bits = far.ilog2() - 1;
            (2 * (bits + 1) + (far >> bits & 1), far & mask(bits), bits)
        }
    };
    out.push_code(symbol, 5);
    out.push(extra, bits);
}

/// Writes a literal byte, a length or the end of the block in the fixed code (RFC 1951, 3.2.6).
fn write_symbol(symbol: u32, out: &mut Bits) {
    match symbol {
        0..144 => out.push_code(0x30 + symbol, 8),
        144..256 => out.push_code(0x190 + symbol - 144, 9),
        256..280 => out.push_code(symbol - 256, 7),
        _ => out.push_code(0xc0 + symbol - 280, 8),
    }
}

const fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}

/// Bytes filled from the lowest bit up.
struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    /// How many bits of `pending` are in use: fewer than 32 between calls.
    used: u32,
}

impl Bits {
    fn after(mut bytes: Vec<u8>, expected: usize) -> Bits {
        bytes.reserve(expected);
        Bits {
            bytes,
            pending: 0,
            used: 0,
        }
    }

    fn push(&mut self, value: u32, bits: u32) {
        self.pending |= u64::from(value) << self.used;
        self.used += bits;
        if self.used >= 32 {
            let [a, b, c, d, ..] = self.pending.to_le_bytes();
            self.bytes.extend_from_slice(&[a, b, c, d]);
            self.pending >>= 32;
            self.used -= 32;
        }
    }

    /// Pushes a code, which unlike a number starts with its highest bit.
    fn push_code(&mut self, code: u32, bits: u32) {
        self.push(code.reverse_bits() >> (32 - bits), bits);
    }

    fn finish(mut self) -> Vec<u8> {
        let rest = self.pending.to_le_bytes();
        self.bytes
            .extend(rest.iter().take(self.used.div_ceil(8) as usize));
        self.bytes
    }
}

/// The tables of CRC-32, for eight bytes at a time.
static CRC: [[u32; 256]; 8] = crc_tables();

fn crc32(body: &[u8]) -> u32 {
    let entry = |table: usize, byte: u8| {
        CRC.get(table)
            .and_then(|table| table.get(usize::from(byte)))
            .copied()
            .unwrap_or_default()
    };
    let (eights, rest) = body.as_chunks::<8>();
    let mut crc = u32::MAX;
    for &[a, b, c, d, e, f, g, h] in eights {
        let [w, x, y, z] = (crc ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
        crc = entry(7, w)
            ^ entry(6, x)
            ^ entry(5, y)
            ^ entry(4, z)
            ^ entry(3, e)
            ^ entry(2, f)
            ^ entry(1, g)
            ^ entry(0, h);
    }
    for &byte in rest {
        let [low, ..] = crc.to_le_bytes();
        crc = crc >> 8 ^ entry(0, low ^ byte);
    }
    !crc
}

#[allow(
    clippy::indexing_slicing,
    reason = "runs when compiling, where a bad index is a build error"
)]
const fn crc_tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc: u32 = tables[table - 1][byte];
            tables[table][byte] = crc >> 8 ^ tables[0][(crc & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[track_caller]
    fn check(body: &[u8]) {
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(&*gzip(body))
            .read_to_end(&mut read)
            .unwrap();
        assert!(
            read == body,
            "{} bytes came back as {}",
            body.len(),
            read.len()
        );
    }

    /// Bytes without pattern, the same on each run.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_le_bytes()[7]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_is_packed_unpacks_to_the_same() {
        for length in [0, 1, 3, 4, 5, 7, 8, 9, 1000, 70_000] {
            check(&noise(length));
            check(&vec![b'a'; length]);
        }
    }

    #[test]
    fn copies_of_every_length_and_distance_unpack() {
        let noise = noise(40_000);
        for length in 4..300 {
            check(&[&noise[..300], &noise[..length], &noise[1000..1001]].concat());
        }
        for distance in (4..40_000)
            .step_by(97)
            .chain([WINDOW - 1, WINDOW, WINDOW + 1])
        {
            check(&[&noise[..distance], &noise[..distance.min(20)]].concat());
        }
    }

    #[test]
    fn repetition_shrinks() {
        let line = "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 12345.67\n";
        assert!(gzip(line.repeat(100).as_bytes()).len() < 200);
    }

    /// The check value that every catalogue of checksums gives for CRC-32.
    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn gzip_has_to_be_accepted() {
        for (header, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("*", true),
            ("identity, *;q=0.1", true),
            ("", false),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("*, gzip;q=0", false),
            ("br, deflate", false),
            ("gzip;q=bad", false),
            ("notgzip", false),
        ] {
            assert_eq!(accepts_gzip(Some(header.as_bytes())), expected, "{header}");
        }
    }
}
