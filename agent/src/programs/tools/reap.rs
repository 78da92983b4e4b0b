//! `programs reap`: detaches what has expired when no agent can, from the pins alone.

use std::time::Duration;

use bpf_host::{Host, LocalPolicy, Status};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::{Told, host};
use crate::cli::programs_command::Places;

pub(super) fn run(wanted: &Places, all: bool, json: bool) -> Result<Told, String> {
    let nothing = |why: String| Ok(Told::well_as(json, &Reaped::default().value(), why));
    let Some(pins) = &wanted.pins else {
        return nothing("no program outlives the agent here\n".to_owned());
    };
    if !pins.is_dir() {
        return nothing(format!("{}: nothing was left attached\n", pins.display()));
    }
    let places = host::places(&wanted.host, Some(pins));
    let mut kernel = Host::open(places, LocalPolicy::default()).map_err(|e| e.to_string())?;
    let mended = kernel.recovery();
    let mended = mended.removed.iter().chain(&mended.repaired);
    let mended = mended.map(ToString::to_string).collect();
    let now = since_boot();
    let due = |status: &Status| all || status.deadline.is_some_and(|deadline| deadline <= now);
    let (detached, failure) = match kernel.reap(due) {
        Ok(slots) => (slots.iter().map(ToString::to_string).collect(), None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let left = |status: Status| {
        let left = status.deadline.map(|deadline| deadline.saturating_sub(now));
        (status.slot.to_string(), left.map(|left| left.as_secs()))
    };
    let reaped = Reaped {
        mended,
        detached,
        attached: kernel.status().into_iter().map(left).collect(),
    };
    match failure {
        None => Ok(Told::well_as(json, &reaped.value(), reaped.text())),
        Some(error) => Err(format!(
            "{}not everything could be detached: {error}",
            reaped.lines()
        )),
    }
}

/// What was done, and what is left.
#[derive(Default)]
struct Reaped {
    /// Left unfinished by a crash.
    mended: Vec<String>,
    detached: Vec<String>,
    /// With the seconds it has left; `None`: no end.
    attached: Vec<(String, Option<u64>)>,
}

impl Reaped {
    fn text(&self) -> String {
        let lines = self.lines();
        if lines.is_empty() {
            return "nothing is attached\n".to_owned();
        }
        lines
    }

    fn lines(&self) -> String {
        let mended = self.mended.iter();
        let mended = mended.map(|what| format!("{what}: left unfinished by a crash, mended\n"));
        let detached = self
            .detached
            .iter()
            .map(|slot| format!("{slot}: detached\n"));
        let attached = self.attached.iter().map(|(slot, left)| match left {
            Some(left) => format!("{slot}: stays attached, {left} s left\n"),
            None => format!("{slot}: stays attached, no end\n"),
        });
        mended.chain(detached).chain(attached).collect()
    }

    fn value(&self) -> Value {
        let attached =
            |(slot, left): &(String, Option<u64>)| json!({ "slot": slot, "seconds_left": left });
        json!({
            "mended": self.mended,
            "detached": self.detached,
            "attached": self.attached.iter().map(attached).collect::<Vec<_>>(),
        })
    }
}

/// The clock that the deadlines beside the pins count by.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}
