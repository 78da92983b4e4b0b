//! `sigma-agent ports`: who has which port, once; and free ones for scripts.

use std::path::PathBuf;

use portscan::{Process, Socket, Verdict};
use serde_json::json;

use crate::cli::{PortsWanted, Scan};
use crate::http::ports_page;
use crate::place::Place;
use crate::ports::{Holders, Ports, Scanned, Wish, place};
use crate::table::aligned;
use crate::terminal::Progress;

/// Owners that are named in one cell.
const OWNERS: usize = 3;

/// The text to print.
pub(crate) fn run(wanted: &PortsWanted, progress: &Progress) -> Result<String, String> {
    progress.at("looking at ports, and into every process for who has them");
    let ports = open(&wanted.scan, &Place::new(&wanted.place));
    let Some(count) = wanted.allocate else {
        let scanned = ports
            .look()
            .map_err(|error| format!("cannot scan: {error}"))?;
        return Ok(if wanted.json {
            format!("{:#}\n", ports_page(&scanned))
        } else {
            table(&scanned)
        });
    };
    let given = ports
        .allocate(Wish {
            count,
            udp: true,
            ephemeral: false,
            hold: None,
        })
        .map_err(|error| error.to_string())?;
    if wanted.json {
        return Ok(format!("{}\n", json!({ "ports": given.ports })));
    }
    Ok(given.ports.iter().map(|port| format!("{port}\n")).collect())
}

fn open(scan: &Scan, place: &Place) -> Ports {
    let (proc, cgroup): (PathBuf, PathBuf) = (place.proc().to_owned(), place.cgroup());
    Ports::new(scan, proc, cgroup, Holders::All)
}

/// A line for each port that is not simply free, and what it adds up to.
fn table(scanned: &Scanned) -> String {
    let (picture, summary) = (&scanned.picture, &scanned.summary);
    let head = ["port", "verdict", "socket", "owner"]
        .map(str::to_owned)
        .to_vec();
    let mut rows = vec![head];
    for (port, verdict) in picture
        .ports()
        .filter(|(_, verdict)| *verdict != Verdict::Free)
    {
        let sockets = picture.sockets_of(port);
        if sockets.is_empty() {
            rows.push(vec![port.to_string(), verdict.to_string()]);
        }
        for (index, socket) in sockets.iter().enumerate() {
            let (port, verdict) = if index == 0 {
                (port.to_string(), verdict.to_string())
            } else {
                Default::default()
            };
            rows.push(vec![
                port,
                verdict,
                format!("{} {}", socket.protocol, place(socket.local)),
                owners(socket),
            ]);
        }
    }
    let mut text = if rows.len() > 1 {
        aligned(&rows)
    } else {
        String::new()
    };
    let verdicts: Vec<String> = summary
        .verdicts
        .iter()
        .filter(|(_, ports)| *ports > 0)
        .map(|(verdict, ports)| format!("{ports} {verdict}"))
        .collect();
    text.push_str(&format!(
        "{}: {} ports, {} available ({})\n",
        picture.ranges,
        summary.total,
        summary.available,
        verdicts.join(", ")
    ));
    for warning in &picture.warnings {
        text.push_str(&format!("! {warning}\n"));
    }
    text
}

fn owners(socket: &Socket) -> String {
    let names: Vec<String> = socket
        .owners
        .iter()
        .take(OWNERS)
        .map(|owner| name(owner))
        .collect();
    match socket.owners.len().saturating_sub(OWNERS) {
        0 if names.is_empty() => "?".to_owned(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn name(owner: &Process) -> String {
    let place = owner
        .cgroup
        .container
        .as_ref()
        .map(|container| container.id.get(..12).unwrap_or(&container.id).to_owned())
        .or_else(|| owner.cgroup.unit.clone());
    let place = place.map_or_else(String::new, |place| format!(" in {place}"));
    format!("{} ({}){place}", owner.comm.to_string_lossy(), owner.pid)
}
