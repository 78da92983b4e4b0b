//! A table for people: who has which port, what only looks free, what is free.
//!
//! `ports [RANGES] [exact|listen|bind]`, for instance `ports 1-65535 listen`.

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use portscan::{Config, Method, Owners, Picture, PortRanges, Process, Scanner, Sources, Verdict};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let ranges: PortRanges = arguments.next().as_deref().unwrap_or("1-65535").parse()?;
    let method = match arguments.next().as_deref() {
        None | Some("exact") => Method::Exact,
        Some("listen") => Method::Listen,
        Some("bind") => Method::Bind,
        Some(other) => return Err(format!("unknown method {other:?}").into()),
    };
    let cgroup = Some("/sys/fs/cgroup".into());
    let mut scanner = Scanner::new(Config {
        method,
        cgroup,
        owners: Owners::All,
        ..Config::new("/proc")
    });
    let picture = scanner.scan(&ranges, &[], Instant::now())?;
    print(&picture, &mut io::stdout().lock())?;
    Ok(())
}

fn print(picture: &Picture, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<6} {:<10} {:<8} HELD BY",
        "PORT", "VERDICT", "SOCKETS"
    )?;
    for (port, verdict) in picture
        .ports()
        .filter(|(_, verdict)| *verdict != Verdict::Free)
    {
        let sockets = picture.sockets_of(port);
        let mut owners: Vec<String> = sockets
            .iter()
            .flat_map(|socket| &socket.owners)
            .map(|owner| describe(owner))
            .collect();
        owners.dedup();
        writeln!(
            out,
            "{port:<6} {verdict:<10} {:<8} {}",
            sockets.len(),
            owners.join(", ")
        )?;
    }
    let summary = picture.summary(&Sources::default(), 10);
    writeln!(
        out,
        "\n{} of {} ports available; used: {:?}",
        summary.available, summary.total, summary.used
    )?;
    writeln!(out, "{:?}, {} test binds", picture.timing, picture.probes)?;
    for warning in &picture.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

fn describe(process: &Process) -> String {
    // Names hold any bytes; a terminal should not obey them.
    let name = process.comm.to_string_lossy().escape_debug().to_string();
    let container = process
        .cgroup
        .container
        .as_ref()
        .map(|container| format!("{:?} {}", container.engine, container.id));
    match container.or_else(|| process.cgroup.unit.clone()) {
        Some(place) => format!("{name}[{}] ({place})", process.pid),
        None => format!("{name}[{}]", process.pid),
    }
}
