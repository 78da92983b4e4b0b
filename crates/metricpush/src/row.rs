//! A sample as a fixed number of words, for a spool.

use std::time::{Duration, UNIX_EPOCH};

use crate::Sample;
use crate::figures::{MAX_COUNT, count, hundredths, percent};
use crate::rfc3339::unix_seconds;

/// How many words a sample takes.
pub const ROW_WORDS: usize = 8;

/// The figures of a row, each with a bit in the word of flags: 0 to 5, in this order.
const FIGURES: usize = 6;

impl Sample {
    /// The sample as words that change little from one to the next, so that differences of rows pack well.
    ///
    /// | word | what it holds |
    /// |---|---|
    /// | 0 | seconds since 1970 |
    /// | 1, 2, 3 | CPU, memory and disk, in hundredths of a percent |
    /// | 4, 5 | bytes sent, bytes received |
    /// | 6 | uptime in seconds |
    /// | 7 | which of the words 1 to 6 are known: bits 0 to 5 |
    ///
    /// What is unknown is 0 and has no bit. The host's name is not in it; the caller adds it again. Apart from
    /// that, what [`from_words`](Sample::from_words) reads back gives the same JSON.
    pub fn to_words(&self) -> [u64; ROW_WORDS] {
        let figures: [Option<u64>; FIGURES] = [
            self.cpu_percent.and_then(hundredths),
            self.memory_percent.and_then(hundredths),
            self.disk_percent.and_then(hundredths),
            self.network_bytes_sent.map(count),
            self.network_bytes_received.map(count),
            self.uptime.map(|uptime| count(uptime.as_secs())),
        ];
        let known = |flags, figure: &Option<u64>| flags << 1 | u64::from(figure.is_some());
        let flags = figures.iter().rev().fold(0, known);
        let [cpu, memory, disk, sent, received, uptime] = figures.map(Option::unwrap_or_default);
        let seconds = unix_seconds(self.time);
        [seconds, cpu, memory, disk, sent, received, uptime, flags]
    }

    /// Reads what [`to_words`](Sample::to_words) wrote; `None` for anything else: another number of words, a flag
    /// of a later version, a figure that no sample can have, a figure without its flag.
    pub fn from_words(words: &[u64]) -> Option<Sample> {
        let &[seconds, cpu, memory, disk, sent, received, uptime, flags] = words else {
            return None;
        };
        if flags >> FIGURES != 0 {
            return None;
        }
        let flag = |bit: u32| flags >> bit & 1 == 1;
        Some(Sample {
            time: UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?,
            hostname: None,
            cpu_percent: known(flag(0), cpu, percent)?,
            memory_percent: known(flag(1), memory, percent)?,
            disk_percent: known(flag(2), disk, percent)?,
            network_bytes_sent: known(flag(3), sent, sendable)?,
            network_bytes_received: known(flag(4), received, sendable)?,
            uptime: known(flag(5), uptime, sendable)?.map(Duration::from_secs),
        })
    }
}

/// The figure of a word, if it has one. The outer `None` refuses the row.
fn known<T>(flag: bool, word: u64, read: impl Fn(u64) -> Option<T>) -> Option<Option<T>> {
    if flag {
        read(word).map(Some)
    } else {
        (word == 0).then_some(None)
    }
}

fn sendable(word: u64) -> Option<u64> {
    (word <= MAX_COUNT).then_some(word)
}
