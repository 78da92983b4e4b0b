//! The search for sockets among the open files of processes: likely places first, stop at the last find.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{RawDir, SeekFrom, readlinkat_raw, seek};
use rustix::io::Errno;

use super::procfs::{Holding, ProcDir, socket_inode};

/// Most links that one search reads: about three seconds of work.
const MAX_LINKS: usize = 2_000_000;
/// Most processes that one search looks at.
const MAX_PROCESSES: usize = 200_000;

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The given processes only.
    Given,
    /// All processes, until every socket has one holder.
    Everyone,
    /// All files of all processes, for every holder of every socket.
    EveryLink,
}

/// Processes that could not be looked into.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Denied {
    /// The list of their files was refused.
    pub(super) list: usize,
    /// The list was given, the files were refused.
    pub(super) read: usize,
}

/// One search.
pub(super) struct Search<'a> {
    dir: &'a ProcDir,
    missing: HashSet<NonZeroU32>,
    every_holder: bool,
    /// Processes that may not be looked into, or are gone.
    closed: HashSet<u32>,
    /// Processes without files beyond what was looked at.
    exhausted: HashSet<u32>,
    names: Vec<MaybeUninit<u8>>,
    pub(super) found: HashMap<NonZeroU32, Vec<Holding>>,
    pub(super) denied: Denied,
    pub(super) links_read: usize,
}

/// Which processes are looked at in which part of their files, in this order: servers open their
/// listeners early, and who had sockets before is likely to have the new one.
const STEPS: [(Who, Range<u32>); 13] = [
    (Who::Likely, 3..7),
    (Who::Likely, 7..16),
    (Who::Likely, 16..64),
    (Who::Likely, 64..1024),
    (Who::Rest, 3..7),
    (Who::Rest, 7..16),
    (Who::Rest, 16..64),
    (Who::Rest, 64..256),
    (Who::Rest, 256..1024),
    (Who::Likely, 0..3),
    (Who::Rest, 0..3),
    (Who::Likely, 1024..u32::MAX),
    (Who::Rest, 1024..u32::MAX),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Likely,
    Rest,
}

impl<'a> Search<'a> {
    pub(super) fn new(dir: &'a ProcDir, inodes: impl Iterator<Item = NonZeroU32>) -> Self {
        Self {
            dir,
            missing: inodes.collect(),
            every_holder: false,
            closed: HashSet::new(),
            exhausted: HashSet::new(),
            names: vec![MaybeUninit::uninit(); 16 * 1024],
            found: HashMap::new(),
            denied: Denied::default(),
            links_read: 0,
        }
    }

    /// Looks at the processes in `likely` first.
    pub(super) fn run(&mut self, likely: &[u32], reach: Reach) {
        if reach == Reach::EveryLink {
            self.every_holder = true;
            self.look_at(&self.processes(), &(0..u32::MAX));
            return;
        }
        let mut rest: Option<Vec<u32>> = None;
        for (who, files) in &STEPS {
            if self.missing.is_empty() {
                return;
            }
            match who {
                Who::Likely => self.look_at(likely, files),
                Who::Rest if reach == Reach::Given => {}
                Who::Rest => {
                    let rest = rest.get_or_insert_with(|| self.newest_without(likely));
                    self.look_at(rest, files);
                }
            }
        }
    }

    fn newest_without(&self, likely: &[u32]) -> Vec<u32> {
        let likely: HashSet<u32> = likely.iter().copied().collect();
        let mut rest = self.processes();
        rest.retain(|pid| !likely.contains(pid));
        rest.sort_unstable_by(|a, b| b.cmp(a));
        rest
    }

    fn processes(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        let mut names = vec![MaybeUninit::uninit(); 32 * 1024];
        // Another open directory: the kept one's position belongs to nobody.
        let Ok(dir) = self.dir.open_dir(".") else {
            return pids;
        };
        let mut entries = RawDir::new(dir, &mut names);
        while let Some(Ok(entry)) = entries.next() {
            pids.extend(number(entry.file_name()));
            if pids.len() >= MAX_PROCESSES {
                break;
            }
        }
        pids
    }

    fn look_at(&mut self, pids: &[u32], files: &Range<u32>) {
        for pid in pids {
            let done = self.missing.is_empty() && !self.every_holder;
            if done || self.links_read >= MAX_LINKS {
                return;
            }
            if self.closed.contains(pid) || (files.start > 0 && self.exhausted.contains(pid)) {
                continue;
            }
            match self.dir.open_dir(&format!("{pid}/fd")) {
                Ok(dir) => {
                    if !self.look_into(*pid, &dir, files) {
                        self.exhausted.insert(*pid);
                    }
                }
                Err(error) => {
                    self.denied.list += usize::from(error == Errno::ACCESS);
                    self.closed.insert(*pid);
                }
            }
        }
    }

    /// Whether there may be files beyond the range.
    fn look_into(&mut self, pid: u32, dir: &OwnedFd, files: &Range<u32>) -> bool {
        // In these directories, file N stands at position N + 2.
        if files.start > 0 && seek(dir, SeekFrom::Start(u64::from(files.start) + 2)).is_err() {
            return false;
        }
        let mut names = std::mem::take(&mut self.names);
        let more = self.read_links(pid, dir, files, &mut names);
        self.names = names;
        more
    }

    fn read_links(
        &mut self,
        pid: u32,
        dir: &OwnedFd,
        files: &Range<u32>,
        names: &mut [MaybeUninit<u8>],
    ) -> bool {
        // An entry takes 24 bytes; reading far beyond the range would be work for nothing.
        let wanted = usize::try_from(files.end - files.start)
            .unwrap_or(usize::MAX)
            .saturating_mul(24);
        let size = names.len().min(wanted);
        let mut entries = RawDir::new(dir, names.get_mut(..size).unwrap_or_default());
        let mut link = [0u8; 64];
        while let Some(Ok(entry)) = entries.next() {
            let Some(fd) = number(entry.file_name()) else {
                continue;
            };
            if fd >= files.end {
                return true;
            }
            if self.links_read >= MAX_LINKS {
                return false;
            }
            self.links_read += 1;
            match readlinkat_raw(dir.as_fd(), entry.file_name(), &mut link[..]) {
                Ok(length) => {
                    self.note(link.get(..length).unwrap_or_default(), Holding { pid, fd });
                }
                Err(Errno::ACCESS) => {
                    self.denied.read += 1;
                    self.closed.insert(pid);
                    return false;
                }
                Err(_) => {}
            }
            if self.missing.is_empty() && !self.every_holder {
                return false;
            }
        }
        false
    }

    fn note(&mut self, link: &[u8], holding: Holding) {
        let Some(inode) = socket_inode(link) else {
            return;
        };
        let wanted = if self.every_holder {
            self.missing.contains(&inode)
        } else {
            self.missing.remove(&inode)
        };
        if wanted {
            self.found.entry(inode).or_default().push(holding);
        }
    }
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}
