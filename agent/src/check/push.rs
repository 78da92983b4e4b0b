//! Whether the server that samples are pushed to answers, and whether those that it does not take can be kept.

use std::time::Instant;

use super::Finding;
use crate::cli::{Backfill, Backlog, Push};
use crate::push;

const SERVER: &str = "server";
const BACKLOG: &str = "backlog";

/// The key is not tried: that would store a sample.
pub(super) async fn look(config: &Push, kept: &Backlog) -> Vec<Finding> {
    let mut findings = server(config).await;
    findings.push(backlog(config, kept));
    findings
}

async fn server(config: &Push) -> Vec<Finding> {
    let key = match config.key.read() {
        Ok(_) => None,
        Err(why) => Some(Finding::broken(
            SERVER,
            why,
            "mend the file, or name another one",
        )),
    };
    let client = match push::client(config) {
        Ok(client) => client,
        Err(why) => {
            return vec![Finding::broken(
                SERVER,
                why,
                "mend the file, or name another one",
            )];
        }
    };
    let start = Instant::now();
    let answer = client.health().await;
    let took = start.elapsed();
    let mut findings: Vec<Finding> = key.into_iter().collect();
    match answer {
        Ok(health) => {
            let state = health.state.as_deref().unwrap_or("well");
            findings.push(Finding::well(
                SERVER,
                format!(
                    "{} is {state}, after {} ms (whether it takes the key shows with the first sample)",
                    config.server_url.as_str(),
                    took.as_millis()
                ),
            ));
            findings.extend(health.date.map(super::clock));
        }
        Err(error) => findings.push(Finding::broken(
            SERVER,
            error.to_string(),
            "check the server's URL, the network and the server itself; the agent goes on trying",
        )),
    }
    findings
}

fn backlog(config: &Push, kept: &Backlog) -> Finding {
    let folder = &kept.folder;
    match spool::Spool::open(folder, push::options(kept)) {
        Ok(spool) if spool.is_empty() => Finding::well(
            BACKLOG,
            format!("{} can be written, nothing waits there", folder.display()),
        ),
        Ok(spool) if config.backfill == Backfill::Off => Finding::look(
            BACKLOG,
            format!(
                "{} samples of outages wait in {}",
                spool.len(),
                folder.display()
            ),
            "`backlog` prints them; --push-backfill sends them to servers that honour timestamps",
        ),
        Ok(spool) => Finding::well(
            BACKLOG,
            format!(
                "{} samples wait in {}, and are sent",
                spool.len(),
                folder.display()
            ),
        ),
        Err(error) if error.is_locked() => Finding::well(
            BACKLOG,
            format!("{} is used by a running agent", folder.display()),
        ),
        Err(error) => Finding::look(
            BACKLOG,
            format!("failed to {error}"),
            "samples that cannot be sent are kept in memory alone; give the folder to the agent's user, or set --push-state-dir",
        ),
    }
}
