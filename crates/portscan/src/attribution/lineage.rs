//! From the process that was found to the ancestor that passed the socket on to it.

use std::collections::HashMap;
use std::num::NonZeroU32;

use super::procfs::{Holding, ProcDir};

/// Longest way up.
const MAX_STEPS: usize = 16;

/// Parents and their files, read once for one search.
pub(super) struct Lineage<'a> {
    dir: &'a ProcDir,
    parents: HashMap<u32, Option<u32>>,
    sockets: HashMap<Holding, Option<NonZeroU32>>,
}

impl<'a> Lineage<'a> {
    pub(super) fn new(dir: &'a ProcDir) -> Self {
        Self {
            dir,
            parents: HashMap::new(),
            sockets: HashMap::new(),
        }
    }

    /// The topmost ancestor that has the socket under the same number, as children inherit it.
    pub(super) fn master(&mut self, found: Holding, inode: NonZeroU32) -> Holding {
        let mut master = found;
        for _ in 0..MAX_STEPS {
            let Some(parent) = self.parent(master.pid) else {
                break;
            };
            let above = Holding {
                pid: parent,
                ..master
            };
            if self.socket(above) != Some(inode) {
                break;
            }
            master = above;
        }
        master
    }

    fn parent(&mut self, pid: u32) -> Option<u32> {
        *self
            .parents
            .entry(pid)
            .or_insert_with(|| self.dir.parent(pid))
    }

    fn socket(&mut self, holding: Holding) -> Option<NonZeroU32> {
        *self
            .sockets
            .entry(holding)
            .or_insert_with(|| self.dir.socket(holding))
    }
}
