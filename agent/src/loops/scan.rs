//! Looks at the ports again and again.

use std::collections::BTreeSet;
use std::sync::Arc;

use periodic::{Failure, Outcome, Retry};

use crate::ports::Ports;

/// The loop's state.
pub(crate) struct Scan {
    ports: Arc<Ports>,
    /// Warnings that were said already.
    said: BTreeSet<String>,
}

impl Scan {
    pub(crate) fn new(ports: Arc<Ports>) -> Self {
        Self {
            ports,
            said: BTreeSet::new(),
        }
    }

    pub(crate) async fn run(&mut self) -> Outcome {
        let ports = Arc::clone(&self.ports);
        let looked = tokio::task::spawn_blocking(move || {
            ports.refresh_leases();
            ports.look()
        });
        match looked.await {
            Ok(Ok(scanned)) => {
                for warning in &scanned.picture.warnings {
                    let warning = warning.to_string();
                    // Figures in it change from scan to scan; the words are said once.
                    let words: String = warning.chars().filter(|c| !c.is_ascii_digit()).collect();
                    if self.said.insert(words) {
                        tracing::warn!("port scan: {warning}");
                    }
                }
                Ok(())
            }
            Ok(Err(error)) => Err(Failure::new(
                format!("port scan: {error}"),
                Retry::NextPeriod,
            )),
            Err(_) => Err(Failure::new("the port scan was cut off", Retry::NextPeriod)),
        }
    }
}
