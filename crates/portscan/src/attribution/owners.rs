//! The processes that are known to hold sockets, and how their end is noticed.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::procfs::{Holding, ProcDir};
use crate::Process;

/// Watching takes a file descriptor for each process; beyond this, start times are compared.
const MAX_PIDFDS: usize = 512;

/// Holders of sockets by pid.
#[derive(Debug, Default)]
pub(super) struct OwnerTable {
    owners: HashMap<u32, Owner>,
}

#[derive(Debug)]
struct Owner {
    process: Arc<Process>,
    watch: Watch,
}

#[derive(Debug)]
enum Watch {
    /// Becomes readable when the process ends.
    Pidfd(OwnedFd),
    /// Another start time under the same pid is another process.
    Start(u64),
}

impl OwnerTable {
    pub(super) fn get(&self, pid: u32) -> Option<&Arc<Process>> {
        self.owners.get(&pid).map(|owner| &owner.process)
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.owners.keys().copied()
    }

    /// Watches the process first and reads the link again then, so that a recycled pid is noticed.
    pub(super) fn adopt(
        &mut self,
        dir: &ProcDir,
        holding: Holding,
        inode: NonZeroU32,
    ) -> Option<Arc<Process>> {
        if let Some(known) = self.get(holding.pid) {
            return Some(Arc::clone(known));
        }
        let watch = self.watch(dir, holding.pid)?;
        if !dir.holds(holding, inode) {
            return None;
        }
        let process = Arc::new(dir.describe(holding.pid)?);
        self.owners.insert(
            holding.pid,
            Owner {
                process: Arc::clone(&process),
                watch,
            },
        );
        Some(process)
    }

    fn watch(&self, dir: &ProcDir, pid: u32) -> Option<Watch> {
        if dir.same_pids && self.owners.len() < MAX_PIDFDS {
            let raw = Pid::from_raw(i32::try_from(pid).ok()?)?;
            if let Ok(fd) = pidfd_open(raw, PidfdFlags::empty()) {
                return Some(Watch::Pidfd(fd));
            }
        }
        dir.start_time(pid).map(Watch::Start)
    }

    /// Notices that a process took another name.
    pub(super) fn refresh(&mut self, dir: &ProcDir, pid: u32) {
        let Some(owner) = self.owners.get_mut(&pid) else {
            return;
        };
        if dir.comm(pid).is_some_and(|comm| comm != owner.process.comm)
            && let Some(process) = dir.describe(pid)
        {
            owner.process = Arc::new(process);
        }
    }

    /// Drops the processes that are not among `pids`.
    pub(super) fn keep(&mut self, pids: &HashSet<u32>) {
        self.owners.retain(|pid, _| pids.contains(pid));
    }

    /// Drops the processes that have ended: one system call for all that are watched.
    pub(super) fn drop_dead(&mut self, dir: &ProcDir) {
        let mut dead = HashSet::new();
        let mut pids = Vec::new();
        let mut fds = Vec::new();
        for (pid, owner) in &self.owners {
            match &owner.watch {
                Watch::Pidfd(fd) => {
                    pids.push(*pid);
                    fds.push(PollFd::new(fd, PollFlags::IN));
                }
                Watch::Start(start) => {
                    if dir.start_time(*pid) != Some(*start) {
                        dead.insert(*pid);
                    }
                }
            }
        }
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if !fds.is_empty() && poll(&mut fds, Some(&at_once)).is_ok() {
            let ended = pids
                .iter()
                .zip(&fds)
                .filter(|(_, fd)| !fd.revents().is_empty());
            dead.extend(ended.map(|(pid, _)| *pid));
        }
        if !dead.is_empty() {
            self.owners.retain(|pid, _| !dead.contains(pid));
        }
    }
}
