//! Samples of a host that lives: percents that wander, traffic that comes in waves, a timer that is a second late at times.

/// A sample a minute for thirty days: its time, and a row of nine words.
pub(crate) fn month(seed: u64) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let mut random = Random(seed | 1);
    let mut percents = [1_250_u64, 4_300, 6_120];
    let (mut received, mut sent) = (81_234_567_890_u64, 9_876_543_210_u64);
    let (start, booted) = (1_800_000_000_u64, 1_799_000_000_u64);
    (0..30 * 24 * 60).map(move |minute| {
        let at = start + minute * 60 + random.below(2);
        for (percent, step) in percents.iter_mut().zip([900, 60, 3]) {
            let moved = (*percent + random.below(2 * step + 1)).saturating_sub(step);
            *percent = moved.min(10_000);
        }
        // From a few kilobytes to some megabytes a minute.
        let magnitude = random.below(11);
        received += random.below(4_000 << magnitude);
        sent += random.below(1_000 << magnitude);
        let [cpu, memory, disk] = percents;
        let presence = 0b1_1111_1111;
        let row = [
            at,
            cpu,
            memory,
            disk,
            received,
            sent,
            at - booted,
            presence,
            0,
        ];
        (
            at,
            row.iter()
                .flat_map(|word: &u64| word.to_le_bytes())
                .collect(),
        )
    })
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }
}
