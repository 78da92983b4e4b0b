//! A tiny seeded generator for jitter: fast and repeatable, not fit for secrets.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// Turns a random number into a duration from zero to `longest`, both included, all equally likely.
pub(crate) fn up_to(longest: Duration, random: u64) -> Duration {
    Duration::from_nanos(scale(random, nanos(longest).saturating_add(1)))
}

/// Spreads the bits of `value` over the whole word.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// `fraction` / 2^64 of `whole`, rounded down: always below `whole`, if that is not 0.
pub(crate) fn scale(fraction: u64, whole: u64) -> u64 {
    ((u128::from(fraction) * u128::from(whole)) >> 64) as u64
}

/// The nanoseconds of a duration; what does not fit (584 years) counts as the largest.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Vigna's splitmix64.c for seed 1234567, as Rosetta Code lists them.
    #[test]
    fn generator_is_splitmix64() {
        let mut random = Random::new(1_234_567);
        let got: Vec<u64> = std::iter::repeat_with(|| random.next()).take(5).collect();
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn every_duration_up_to_the_longest_comes_up_and_none_above() {
        let mut random = Random::new(1);
        let mut seen = [0_u32; 4];
        for _ in 0..4_000 {
            let nanos = up_to(Duration::from_nanos(3), random.next()).as_nanos();
            seen[usize::try_from(nanos).unwrap()] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1_200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(up_to(Duration::ZERO, u64::MAX), Duration::ZERO);
    }
}
