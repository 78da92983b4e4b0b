//! Socket → process: remembers who holds what, and searches only for what is new.

mod handle;
mod lineage;
mod owners;
mod procfs;
mod report;
mod search;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Owners, Protocol, Socket};
use lineage::Lineage;
use owners::OwnerTable;
use procfs::{Holding, ProcDir};
pub use report::Attribution;
use search::{Denied, Reach, Search};

/// Entries that are looked at again in each scan: a holder may have closed its socket while a child keeps it.
const REVERIFIED_PER_SCAN: usize = 2;
/// First pause before a socket that nobody seems to hold is searched for again; doubles each time.
const FIRST_RETRY: Duration = Duration::from_secs(15);
const MAX_DOUBLINGS: u32 = 8;
/// Connections come and go: they alone cause a search of all processes no more often than this.
const CONNECTIONS_PAUSE: Duration = Duration::from_secs(60);

/// The kernel's name of a socket, or its inode where the kernel does not tell the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Cookie(u64),
    Inode(NonZeroU32),
}

#[derive(Debug)]
struct Known {
    holder: Option<Holding>,
    seen_in: u64,
    misses: u32,
    retry_at: Instant,
}

/// Remembers owners from scan to scan.
#[derive(Debug)]
pub(crate) struct Attributor {
    proc: PathBuf,
    cgroup: Option<PathBuf>,
    dir: Option<ProcDir>,
    owners: OwnerTable,
    known: HashMap<Key, Known>,
    scan: u64,
    denied: Denied,
    connections_after: Option<Instant>,
}

impl Attributor {
    pub(crate) fn new(proc: PathBuf, cgroup: Option<PathBuf>) -> Self {
        Self {
            proc,
            cgroup,
            dir: None,
            owners: OwnerTable::default(),
            known: HashMap::new(),
            scan: 0,
            denied: Denied::default(),
            connections_after: None,
        }
    }

    /// Fills in the owners of the sockets that `relevant` picks.
    pub(crate) fn attribute(
        &mut self,
        sockets: &mut [Socket],
        relevant: impl Fn(&Socket) -> bool,
        owners: Owners,
        now: Instant,
    ) -> Attribution {
        let mut picked: Vec<&mut Socket> = sockets
            .iter_mut()
            .filter(|socket| relevant(socket))
            .collect();
        let mut report = Attribution::default();
        if self.dir.is_none() {
            match ProcDir::open(&self.proc) {
                Ok(dir) => self.dir = Some(dir),
                Err(error) => report.failure = Some(format!("{}: {error}", self.proc.display())),
            }
        }
        if let Some(dir) = self.dir.take() {
            self.scan += 1;
            self.owners.drop_dead(&dir);
            match owners {
                Owners::First => self.fill_first(&dir, &mut picked, now, &mut report),
                Owners::All => self.fill_all(&dir, &mut picked, &mut report),
                Owners::Skip => {}
            }
            self.dir = Some(dir);
        }
        report.unlisted_processes = self.denied.list;
        report.unread_processes = self.denied.read;
        for socket in &picked {
            match (socket.inode, socket.owners.is_empty()) {
                (None, _) => report.ownerless += 1,
                (_, true) => report.unattributed += 1,
                (_, false) => report.attributed += 1,
            }
        }
        report
    }

    /// One owner for each socket: from memory, and by a search that stops at the last find.
    fn fill_first(
        &mut self,
        dir: &ProcDir,
        picked: &mut [&mut Socket],
        now: Instant,
        report: &mut Attribution,
    ) {
        self.reverify(dir, picked, now);
        let wanted = self.recall(picked, now);
        if !wanted.is_empty() {
            self.search_for(dir, &wanted, now, report);
            self.recall(picked, now);
        }
        self.forget();
    }

    /// Hands out what is known; returns the sockets to search for.
    fn recall(&mut self, picked: &mut [&mut Socket], now: Instant) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for socket in picked {
            let Some((key, inode)) = key(socket) else {
                continue;
            };
            let known = self.known.entry(key).or_insert(Known {
                holder: None,
                seen_in: 0,
                misses: 0,
                retry_at: now,
            });
            known.seen_in = self.scan;
            let owner = known.holder.and_then(|holder| self.owners.get(holder.pid));
            match owner {
                Some(owner) => socket.owners = vec![Arc::clone(owner)],
                None => {
                    if known.holder.take().is_some() {
                        known.retry_at = now;
                        known.misses = 0;
                    }
                    if known.retry_at <= now {
                        wanted.push(Wanted {
                            key,
                            inode,
                            cgroup_id: socket.cgroup_id,
                            lasting: is_lasting(socket),
                        });
                    }
                }
            }
        }
        wanted
    }

    fn search_for(
        &mut self,
        dir: &ProcDir,
        wanted: &[Wanted],
        now: Instant,
        report: &mut Attribution,
    ) {
        let everyone = wanted.iter().any(|socket| socket.lasting)
            || self.connections_after.is_none_or(|at| at <= now);
        let mut search = Search::new(dir, wanted.iter().map(|socket| socket.inode));
        let hints = self.cgroup.as_deref().map_or_else(Vec::new, |mount| {
            handle::processes_of(mount, wanted.iter().filter_map(|socket| socket.cgroup_id))
        });
        let mut first = hints;
        first.extend(self.owners.pids());
        search.run(
            &first,
            if everyone {
                Reach::Everyone
            } else {
                Reach::Given
            },
        );
        report.links_read += search.links_read;
        if everyone {
            self.denied = search.denied;
            self.connections_after = Some(now + CONNECTIONS_PAUSE);
        }
        let found = search.found;
        let mut lineage = Lineage::new(dir);
        for socket in wanted {
            let holder = found
                .get(&socket.inode)
                .and_then(|holdings| holdings.first())
                .map(|found| lineage.master(*found, socket.inode))
                .filter(|master| self.owners.adopt(dir, *master, socket.inode).is_some());
            let Some(known) = self.known.get_mut(&socket.key) else {
                continue;
            };
            known.holder = holder;
            if holder.is_none() && everyone {
                known.retry_at = now + FIRST_RETRY * 2u32.pow(known.misses.min(MAX_DOUBLINGS));
                known.misses += 1;
            }
        }
    }

    /// Every owner of every socket: reads all links of all processes.
    fn fill_all(&mut self, dir: &ProcDir, picked: &mut [&mut Socket], report: &mut Attribution) {
        let mut search = Search::new(dir, picked.iter().filter_map(|socket| socket.inode));
        search.run(&[], Reach::EveryLink);
        report.links_read += search.links_read;
        self.denied = search.denied;
        let found = search.found;
        for socket in picked {
            let Some(inode) = socket.inode else { continue };
            let mut holdings = found.get(&inode).cloned().unwrap_or_default();
            holdings.sort_unstable_by_key(|holding| holding.pid);
            holdings.dedup_by_key(|holding| holding.pid);
            let owners = holdings
                .into_iter()
                .filter_map(|holding| self.owners.adopt(dir, holding, inode));
            socket.owners = owners.collect();
        }
    }

    /// Looks at a few entries again, others in each scan.
    fn reverify(&mut self, dir: &ProcDir, picked: &[&mut Socket], now: Instant) {
        if picked.is_empty() {
            return;
        }
        let turn = usize::try_from(self.scan)
            .unwrap_or_default()
            .wrapping_mul(REVERIFIED_PER_SCAN);
        for step in 0..REVERIFIED_PER_SCAN.min(picked.len()) {
            let at = turn.wrapping_add(step) % picked.len();
            let Some((key, inode)) = picked.get(at).and_then(|socket| key(socket)) else {
                continue;
            };
            let Some(known) = self.known.get_mut(&key) else {
                continue;
            };
            let Some(holding) = known.holder else {
                continue;
            };
            if dir.holds(holding, inode) {
                self.owners.refresh(dir, holding.pid);
            } else {
                known.holder = None;
                known.retry_at = now;
                known.misses = 0;
            }
        }
    }

    /// Drops sockets that are gone, and processes that hold none any more.
    fn forget(&mut self) {
        let scan = self.scan;
        self.known.retain(|_, known| known.seen_in == scan);
        let holders: HashSet<u32> = self
            .known
            .values()
            .filter_map(|known| Some(known.holder?.pid))
            .collect();
        self.owners.keep(&holders);
    }
}

#[derive(Debug)]
struct Wanted {
    key: Key,
    inode: NonZeroU32,
    cgroup_id: Option<u64>,
    lasting: bool,
}

fn key(socket: &Socket) -> Option<(Key, NonZeroU32)> {
    let inode = socket.inode?;
    Some((socket.cookie.map_or(Key::Inode(inode), Key::Cookie), inode))
}

/// Listeners, bound and UDP sockets: worth a search of all processes.
fn is_lasting(socket: &Socket) -> bool {
    socket.protocol == Protocol::Udp || socket.is_listening() || socket.is_bound_only()
}
