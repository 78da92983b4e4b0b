//! The ports as the page draws them: runs of cells, the names of their owners, and who listens where.

use std::collections::HashMap;

use portscan::{Picture, Process, Socket, Verdict};
use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::ports::{Scanned, place};

/// Listening sockets that are listed at most.
const MOST: usize = 5_000;

/// The last scan; `scan` is its number.
pub(super) fn picture(scanned: &Scanned, scan: u64) -> Value {
    let (picture, summary) = (&scanned.picture, &scanned.summary);
    let mut owners = Owners::default();
    let cells = cells(picture, &mut owners);
    let listening = || {
        let sockets = picture.sockets().iter();
        sockets.filter(|socket| socket.is_listening())
    };
    let verdicts: Map<String, Value> = summary
        .verdicts
        .iter()
        .map(|(verdict, ports)| (verdict.as_str().to_owned(), (*ports).into()))
        .collect();
    json!({
        "scan": scan,
        "scanned_at": rfc3339(scanned.at),
        "scan_seconds": picture.timing.total.as_secs_f64(),
        "ranges": ranges(picture),
        "total": summary.total,
        "available": summary.available,
        "verdicts": verdicts,
        "warnings": picture.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "owners": owners.names,
        "cells": cells,
        "listeners": listening().take(MOST).map(listener).collect::<Vec<_>>(),
        "listeners_total": listening().count(),
    })
}

/// First and last port of each range.
fn ranges(picture: &Picture) -> Vec<(u16, u16)> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for (port, _) in picture.ports() {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    ranges
}

/// `[first port, how many, state, owner]` for each run of equal ports that are not free; owner −1 where none is known.
fn cells(picture: &Picture, owners: &mut Owners) -> Vec<Value> {
    let mut runs: Vec<(u16, u16, Verdict, Option<usize>)> = Vec::new();
    for (port, verdict) in picture.ports() {
        if verdict == Verdict::Free {
            continue;
        }
        let owner = picture.holder(port).map(|process| owners.number(process));
        match runs.last_mut() {
            Some((first, count, last, same))
                if first.checked_add(*count) == Some(port)
                    && (*last, *same) == (verdict, owner) =>
            {
                *count += 1;
            }
            _ => runs.push((port, 1, verdict, owner)),
        }
    }
    let run = |(first, count, verdict, owner): (u16, u16, Verdict, Option<usize>)| {
        let owner = owner.map_or(json!(-1), Into::into);
        json!([first, count, verdict.as_str(), owner])
    };
    runs.into_iter().map(run).collect()
}

/// The names of owners, each once.
#[derive(Default)]
struct Owners {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Owners {
    fn number(&mut self, process: &Process) -> usize {
        let name = process.comm.to_string_lossy().into_owned();
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = self.names.len();
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }
}

fn listener(socket: &Socket) -> Value {
    let owner = socket.owners.first();
    json!({
        "port": socket.port(),
        "local": place(socket.local),
        "ipv6": socket.local.is_ipv6(),
        "name": owner.map(|owner| owner.comm.to_string_lossy()),
        "pid": owner.map(|owner| owner.pid),
        "exe": owner.and_then(|owner| Some(owner.exe.as_ref()?.to_string_lossy())),
        "unit": owner.and_then(|owner| owner.cgroup.unit.as_ref()),
        "container": owner.and_then(|owner| owner.cgroup.container.as_ref()).map(|container| &container.id),
    })
}
