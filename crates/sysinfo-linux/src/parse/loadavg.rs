//! `loadavg`: how many tasks wanted to run, on average.

use super::fields::{Malformed, decimal, number, words};

/// The file `loadavg`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Average of the last minute.
    pub one: f64,
    /// Average of the last 5 minutes.
    pub five: f64,
    /// Average of the last 15 minutes.
    pub fifteen: f64,
    /// Tasks that can run now.
    pub runnable: Option<u64>,
    /// Tasks (processes and threads) that exist now.
    pub tasks: Option<u64>,
}

/// Parses `loadavg`.
///
/// # Errors
///
/// When one of the three averages is missing or no number.
pub fn loadavg(bytes: &[u8]) -> Result<Load, Malformed> {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let mut words = words(line);
    let mut average = || words.next().and_then(decimal);
    let (Some(one), Some(five), Some(fifteen)) = (average(), average(), average()) else {
        return Err(Malformed::at(1, "three averages are needed"));
    };
    let mut tasks = words
        .next()
        .unwrap_or_default()
        .splitn(2, |byte| *byte == b'/')
        .map(number);
    Ok(Load {
        one,
        five,
        fifteen,
        runnable: tasks.next().flatten(),
        tasks: tasks.next().flatten(),
    })
}
