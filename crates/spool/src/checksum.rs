//! CRC-32C, the checksum of iSCSI, ext4 and btrfs, eight bytes at a time.

const POLYNOMIAL: u32 = 0x82f6_3b78;
static TABLES: [[u32; 256]; 8] = tables();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "computed by the compiler, where a mistake is a compile error"
)]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            state = (state >> 1) ^ if state & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = state;
        byte += 1;
    }
    let mut entry = 256;
    while entry < 8 * 256 {
        let before = tables[entry / 256 - 1][entry % 256];
        tables[entry / 256][entry % 256] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
        entry += 1;
    }
    tables
}

/// The checksum of `bytes` behind something whose checksum is `seed`; 0 is the seed of nothing.
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut state = !seed;
    for chunk in chunks {
        let [a, b, c, d, e, f, g, h] =
            (u64::from_le_bytes(*chunk) ^ u64::from(state)).to_le_bytes();
        state = entry(t7, a) ^ entry(t6, b) ^ entry(t5, c) ^ entry(t4, d);
        state ^= entry(t3, e) ^ entry(t2, f) ^ entry(t1, g) ^ entry(t0, h);
    }
    for byte in rest {
        let [low, ..] = state.to_le_bytes();
        state = (state >> 8) ^ entry(t0, low ^ byte);
    }
    !state
}

fn entry(table: &[u32; 256], byte: u8) -> u32 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
    #[test]
    fn published_values() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        for (bytes, expected) in [
            (&b""[..], 0),
            (b"123456789", 0xe306_9283),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&rising, 0x46dd_794e),
            (&falling, 0x113f_db5c),
        ] {
            assert_eq!(crc32c(0, bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn parts_one_after_the_other_are_the_whole() {
        let bytes: Vec<u8> = (0..=255).collect();
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(crc32c(crc32c(0, head), tail), crc32c(0, &bytes), "{cut}");
        }
    }
}
