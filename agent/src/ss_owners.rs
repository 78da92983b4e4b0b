//! Owners of sockets by the words of `ss`: only for those who ask for it by name.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use portscan::{Picture, Process};

/// Where `ss` is installed; PATH is not asked, since the agent may run as root.
const PLACES: [&str; 4] = ["/usr/bin/ss", "/usr/sbin/ss", "/bin/ss", "/sbin/ss"];

/// TCP and UDP, all states, numbers only, with processes and inodes.
const ARGUMENTS: &str = "-tuanpe";

/// How long it may run.
const LIMIT: Duration = Duration::from_secs(5);

/// The most of its output that is read.
const MAX_OUTPUT: u64 = 64 << 20;

/// Puts the owners that `ss` knows into the picture.
pub(crate) fn attribute(picture: &mut Picture) -> Result<(), String> {
    let owners = by_inode(&output()?);
    picture.set_owners(|socket| {
        let inode = socket.inode.map(|inode| u64::from(inode.get()));
        inode
            .and_then(|inode| owners.get(&inode))
            .cloned()
            .unwrap_or_default()
    });
    Ok(())
}

fn by_inode(output: &[u8]) -> HashMap<u64, Vec<Arc<Process>>> {
    let mut owners = HashMap::new();
    for socket in ss_parse::parse(output).sockets {
        // A row that can be read in two ways could name a process that has nothing to do with it.
        if let (Some(inode), false, false) =
            (socket.inode, socket.ambiguous, socket.processes.is_empty())
        {
            let process = |process: &ss_parse::Process| {
                Arc::new(Process::named(process.pid, name(&process.name)))
            };
            owners.insert(inode, socket.processes.iter().map(process).collect());
        }
    }
    owners
}

fn name(bytes: &[u8]) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

/// Runs `ss` and reads what it prints; it is killed if it takes too long.
fn output() -> Result<Vec<u8>, String> {
    let place = PLACES
        .iter()
        .find(|place| Path::new(place).exists())
        .ok_or("ss is not installed (package iproute2)")?;
    let mut child = Command::new(place)
        .arg(ARGUMENTS)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{place}: {error}"))?;
    let stdout = child.stdout.take().ok_or("ss has no output")?;
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(MAX_OUTPUT).read_to_end(&mut bytes);
        // Nobody waits any more if the time is over.
        let _ = send.send(read.map(|_| bytes));
    });
    let received = receive.recv_timeout(LIMIT);
    // Either it has ended, or it is not to go on.
    let _ = child.kill();
    let _ = child.wait();
    match received {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(format!("{place}: {error}")),
        Err(RecvTimeoutError::Timeout) => {
            Err(format!("{place} did not end within {} s", LIMIT.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(format!("{place}: its output could not be read"))
        }
    }
}
