//! `programs reap`: detaches what has expired when no agent can, from the pins alone.

use std::time::Duration;

use bpf_host::{Host, LocalPolicy, Status};
use rustix::time::{ClockId, clock_gettime};

use super::{Told, host};
use crate::cli::programs_command::Places;

pub(super) fn run(wanted: &Places, all: bool) -> Result<Told, String> {
    let Some(pins) = &wanted.pins else {
        return Ok(Told::well(
            "no program outlives the agent here\n".to_owned(),
        ));
    };
    if !pins.is_dir() {
        return Ok(Told::well(format!(
            "{}: nothing was left attached\n",
            pins.display()
        )));
    }
    let places = host::places(&wanted.host, Some(pins));
    let mut kernel = Host::open(places, LocalPolicy::default()).map_err(|e| e.to_string())?;
    let mut text = String::new();
    let mended = kernel.recovery();
    for what in mended.removed.iter().chain(&mended.repaired) {
        text.push_str(&format!("{what}: left unfinished by a crash, mended\n"));
    }
    let now = since_boot();
    let due = |status: &Status| all || status.deadline.is_some_and(|deadline| deadline <= now);
    let reaped = kernel.reap(due);
    if let Ok(slots) = &reaped {
        text.extend(slots.iter().map(|slot| format!("{slot}: detached\n")));
    }
    for status in kernel.status() {
        let left = match status.deadline {
            Some(deadline) => format!("{} s left", deadline.saturating_sub(now).as_secs()),
            None => "no end".to_owned(),
        };
        text.push_str(&format!("{}: stays attached, {left}\n", status.slot));
    }
    match reaped {
        Ok(_) if text.is_empty() => Ok(Told::well("nothing is attached\n".to_owned())),
        Ok(_) => Ok(Told::well(text)),
        Err(error) => Err(format!("{text}not everything could be detached: {error}")),
    }
}

/// The clock that the deadlines beside the pins count by.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}
