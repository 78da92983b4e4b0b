//! `user_beancounters`: what an OpenVZ container may use.

use super::fields::{Malformed, lines, number, words};

/// What an OpenVZ container has and may have; unlimited is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beancounters {
    /// Memory that is promised, and the promise's limit.
    pub private: Counter,
    /// Memory that is there, and its limit (containers with vSwap).
    pub physical: Counter,
}

/// One line of the file, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    /// What is in use.
    pub held_bytes: Option<u64>,
    /// What may be in use; `None` is no limit.
    pub limit_bytes: Option<u64>,
}

impl Beancounters {
    /// The counter that limits memory: physical pages, else promised ones.
    #[must_use]
    pub fn memory(&self) -> Option<Counter> {
        [self.physical, self.private]
            .into_iter()
            .find(|counter| counter.limit_bytes.is_some())
    }
}

/// OpenVZ kernels exist for x86 alone.
const PAGE_BYTES: u64 = 4096;
/// `LONG_MAX` and, on 32 bits, `INT_MAX` pages stand for no limit.
const UNLIMITED: [u64; 2] = [9_223_372_036_854_775_807, 2_147_483_647];

/// Parses `user_beancounters` of a container (a host's has one block for each container: the
/// first counts).
///
/// # Errors
///
/// When there is neither `privvmpages` nor `physpages`.
pub fn user_beancounters(bytes: &[u8]) -> Result<Beancounters, Malformed> {
    let (mut private, mut physical) = (None, None);
    for line in lines(bytes) {
        let mut words = words(line).skip_while(|word| word.ends_with(b":"));
        let counter = match words.next() {
            Some(b"privvmpages") => &mut private,
            Some(b"physpages") => &mut physical,
            _ => continue,
        };
        counter.get_or_insert_with(|| pages(words));
    }
    if private.is_none() && physical.is_none() {
        return Err(Malformed::at(1, "neither privvmpages nor physpages"));
    }
    Ok(Beancounters {
        private: private.unwrap_or_default(),
        physical: physical.unwrap_or_default(),
    })
}

/// The columns are held, maxheld, barrier, limit, failcnt.
fn pages<'a>(words: impl Iterator<Item = &'a [u8]>) -> Counter {
    let mut numbers = words.map(number);
    let held = numbers.next().flatten();
    let limit = numbers.nth(2).flatten();
    Counter {
        held_bytes: held.and_then(|pages| pages.checked_mul(PAGE_BYTES)),
        limit_bytes: limit
            .filter(|pages| !UNLIMITED.contains(pages))
            .and_then(|pages| pages.checked_mul(PAGE_BYTES)),
    }
}
