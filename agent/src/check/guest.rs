//! Whether the manager of this guest's host can be reached.

use std::time::Duration;

use tokio::net::TcpStream;

use super::Finding;
use crate::cli::Report;

/// How long a connection may take: the manager is on the same machine.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn look(report: &Report) -> Finding {
    const ABOUT: &str = "manager";
    let manager = &report.manager;
    let connecting = TcpStream::connect(manager.address);
    let why = match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(Ok(_)) => {
            return Finding::well(ABOUT, format!("{} can be reached", manager.authority));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no connection in time".to_owned(),
    };
    Finding::broken(
        ABOUT,
        format!("{}: {why}", manager.authority),
        "check --manager-url and the guest's network; the address is reported as soon as it answers",
    )
}
