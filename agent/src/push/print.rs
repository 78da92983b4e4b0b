//! `backlog`: the samples that could not be sent, for people and scripts.

use std::io::{ErrorKind, Write};

use serde_json::Value;
use spool::Spool;

use super::backlog::{options, sample};
use crate::cli::Backlog;

/// Prints one JSON object a line, oldest first; the agent that fills the backlog may be running.
pub(crate) fn run(backlog: &Backlog) -> Result<(), String> {
    let failed = |error: spool::Error| {
        let folder = backlog.folder.display();
        let advice = if backlog.folder.is_dir() {
            "run it as root or as the agent's user"
        } else {
            "nothing was ever kept there, or the agent has another --push-state-dir"
        };
        format!("the backlog in {folder}: failed to {error}; {advice}")
    };
    let mut spool = Spool::open_copy(&backlog.folder, options(backlog)).map_err(failed)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut printed = Ok(());
    for record in spool.iter().map_err(failed)? {
        let Some(sample) = sample(&record.map_err(failed)?) else {
            continue;
        };
        printed = writeln!(out, "{}", plain(&sample.to_json(None)));
        if printed.is_err() {
            break;
        }
    }
    match printed.and_then(|()| out.flush()) {
        // A reader that went away (`| head`) is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot print: {error}"))
        }
        _ => Ok(()),
    }
}

/// The body of a request without the server's second name for each figure.
fn plain(body: &str) -> Value {
    const SECOND_NAMES: [&str; 5] = [
        "cpu_pct",
        "mem_used_pct",
        "disk_used_pct",
        "net_tx_bytes",
        "net_rx_bytes",
    ];
    let mut value: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        for name in SECOND_NAMES {
            object.remove(name);
        }
    }
    value
}
