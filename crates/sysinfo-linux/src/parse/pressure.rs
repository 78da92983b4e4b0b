//! `pressure/*`: how long tasks waited for processor, memory or disk (PSI).

use std::time::Duration;

use super::fields::{Malformed, decimal, lines, number, words};

/// One file of `pressure`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// Some tasks waited.
    pub some: Option<Stall>,
    /// All tasks that had something to do waited.
    pub full: Option<Stall>,
}

/// How much waiting there was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    /// Percent of the last 10 seconds.
    pub percent_10s: f64,
    /// Percent of the last minute.
    pub percent_60s: f64,
    /// Percent of the last 5 minutes.
    pub percent_300s: f64,
    /// Since the start.
    pub total: Duration,
}

/// Parses a file of `pressure`.
///
/// # Errors
///
/// When there is neither a `some` nor a `full` line.
pub fn pressure(bytes: &[u8]) -> Result<Pressure, Malformed> {
    let mut found = Pressure::default();
    for line in lines(bytes) {
        let mut words = words(line);
        match words.next() {
            Some(b"some") => found.some = stall(words),
            Some(b"full") => found.full = stall(words),
            _ => {}
        }
    }
    if found.some.is_none() && found.full.is_none() {
        return Err(Malformed::at(1, "neither some nor full"));
    }
    Ok(found)
}

fn stall<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Stall> {
    let (mut ten, mut sixty, mut three_hundred, mut total) = (None, None, None, None);
    for word in words {
        let mut parts = word.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next()?, parts.next()?);
        match name {
            b"avg10" => ten = decimal(value),
            b"avg60" => sixty = decimal(value),
            b"avg300" => three_hundred = decimal(value),
            b"total" => total = number(value),
            _ => {}
        }
    }
    Some(Stall {
        percent_10s: ten?,
        percent_60s: sixty?,
        percent_300s: three_hundred?,
        total: Duration::from_micros(total?),
    })
}
