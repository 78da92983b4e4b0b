//! A disk that crashes, fills up and fails on demand, and forgets on a power cut what nobody asked it to keep.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use spool::disk::{File, Folder};

use crate::random::Random;

/// A write of so many bytes reaches the disk whole or not at all.
const SECTOR: usize = 512;

pub const ENOSPC: i32 = 28;
pub const EIO: i32 = 5;
pub const EROFS: i32 = 30;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The process ends in the middle of the operation with this number.
    Crash { at: u64 },
    /// Operations from this number on, so many of them, fail with this error number.
    Fail { at: u64, count: u64, errno: i32 },
    /// Operations that change something fail, from this number on, so many of them.
    FailWrites { at: u64, count: u64, errno: i32 },
    /// One in so many operations that change something fails.
    SometimesWrites { one_in: u64, errno: i32 },
}

enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

#[derive(Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// From and to: cannot be read.
    bad: Option<(usize, usize)>,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// To what a name was bound, if to anything.
    pending_names: Vec<(String, Option<usize>)>,
    operations: u64,
    fault: Option<Fault>,
    crashed: bool,
    random: Random,
    capacity: Option<usize>,
}

/// The disk, which survives its users.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.state().random = Random::new(seed);
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn folder(&self) -> Box<dyn Folder> {
        Box::new(self.clone())
    }

    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    pub fn fail(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    pub fn limit(&self, capacity: Option<usize>) {
        self.state().capacity = capacity;
    }

    pub fn crashed(&self) -> bool {
        self.state().crashed
    }

    /// The process is gone, the kernel has what it was told.
    pub fn restart(&self) {
        let mut state = self.state();
        state.crashed = false;
        state.fault = None;
    }

    /// Of what was not synced, each sector and each name is there with this chance in a hundred.
    pub fn power_cut(&self, percent: u64) {
        let mut state = self.state();
        let State {
            inodes,
            random,
            pending_names,
            durable_names,
            ..
        } = &mut *state;
        for inode in inodes {
            let changes = std::mem::take(&mut inode.pending);
            for change in changes {
                inode.settle(&change, || random.below(100) < percent);
            }
            inode.content = inode.durable.clone();
        }
        for (name, bound) in std::mem::take(pending_names) {
            if random.below(100) < percent {
                match bound {
                    Some(inode) => durable_names.insert(name, inode),
                    None => durable_names.remove(&name),
                };
            }
        }
        state.names = state.durable_names.clone();
        drop(state);
        self.restart();
    }

    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].content.clone()
    }

    /// Puts a file there, as if it had always been.
    pub fn put(&self, name: &str, content: &[u8]) {
        let mut state = self.state();
        state.inodes.push(Inode {
            content: content.to_vec(),
            durable: content.to_vec(),
            ..Inode::default()
        });
        let inode = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), inode);
        state.durable_names.insert(name.to_owned(), inode);
    }

    pub fn take_away(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// From now on, this part of a file cannot be read.
    pub fn scratch(&self, name: &str, from: usize, to: usize) {
        let mut state = self.state();
        let inode = state.names[name];
        state.inodes[inode].bad = Some((from, to));
    }

    /// What is there, on another disk.
    pub fn copy(&self) -> Self {
        let copy = Self::new(1);
        for name in self.names() {
            copy.put(&name, &self.read(&name));
        }
        copy
    }

    /// All that is in the folder together.
    pub fn bytes(&self) -> u64 {
        self.names()
            .iter()
            .map(|name| self.read(name).len() as u64)
            .sum()
    }
}

impl Inode {
    /// Lets a change reach the disk as far as `lucky` goes.
    fn settle(&mut self, change: &Change, mut lucky: impl FnMut() -> bool) {
        match change {
            Change::Write(offset, bytes) => {
                let mut place = *offset;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (piece, behind) = rest.split_at(rest.len().min(SECTOR - place % SECTOR));
                    if lucky() {
                        write(&mut self.durable, piece, place);
                    }
                    place += piece.len();
                    rest = behind;
                }
            }
            Change::Cut(length) => {
                if lucky() {
                    self.durable.truncate(*length);
                }
            }
        }
    }
}

fn write(content: &mut Vec<u8>, bytes: &[u8], offset: usize) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl State {
    /// Counts an operation and says how it ends, if not well. A crash is an error from then on.
    fn next(&mut self, changes: bool) -> io::Result<()> {
        let dead = || Err(io::Error::other("the process has ended"));
        if self.crashed {
            return dead();
        }
        let number = self.operations;
        self.operations += 1;
        let hit = |at: u64, count: u64| (at..at.saturating_add(count)).contains(&number);
        let errno = match self.fault {
            Some(Fault::Crash { at }) if number == at => {
                self.crashed = true;
                return dead();
            }
            Some(Fault::Fail { at, count, errno }) if hit(at, count) => errno,
            Some(Fault::FailWrites { at, count, errno }) if changes && hit(at, count) => errno,
            Some(Fault::SometimesWrites { one_in, errno })
                if changes && self.random.below(one_in) == 0 =>
            {
                errno
            }
            _ => return Ok(()),
        };
        Err(io::Error::from_raw_os_error(errno))
    }

    fn bind(&mut self, name: &str, inode: Option<usize>) {
        match inode {
            Some(inode) => self.names.insert(name.to_owned(), inode),
            None => self.names.remove(name),
        };
        self.pending_names.push((name.to_owned(), inode));
    }

    /// How many bytes of a write fit.
    fn room(&self, inode: usize, offset: usize, wanted: usize) -> usize {
        let Some(capacity) = self.capacity else {
            return wanted;
        };
        let linked: usize = self
            .names
            .values()
            .map(|inode| self.inodes[*inode].content.len())
            .sum();
        let own = self.inodes[inode].content.len();
        let longest = (own + capacity.saturating_sub(linked)).max(own);
        longest.saturating_sub(offset).min(wanted)
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Folder for Disk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.state().next(false)?;
        Ok(self.names())
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.next(false)?;
        let inode = *state.names.get(name).ok_or_else(not_found)?;
        Ok(Box::new(Handle(self.clone(), inode)))
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.next(true)?;
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.bind(name, Some(inode));
        Ok(Box::new(Handle(self.clone(), inode)))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.next(true)?;
        let inode = *state.names.get(from).ok_or_else(not_found)?;
        state.bind(to, Some(inode));
        state.bind(from, None);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.next(true)?;
        if !state.names.contains_key(name) {
            return Err(not_found());
        }
        state.bind(name, None);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.next(true)?;
        state.durable_names = state.names.clone();
        state.pending_names.clear();
        Ok(())
    }
}

struct Handle(Disk, usize);

impl File for Handle {
    fn length(&mut self) -> io::Result<u64> {
        let mut state = self.0.state();
        state.next(false)?;
        Ok(state.inodes[self.1].content.len() as u64)
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.state();
        state.next(false)?;
        let inode = &state.inodes[self.1];
        let from = usize::try_from(offset).unwrap().min(inode.content.len());
        let to = (from + bytes.len()).min(inode.content.len());
        if inode
            .bad
            .is_some_and(|(start, end)| from < end && start < to)
        {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        bytes[..to - from].copy_from_slice(&inode.content[from..to]);
        Ok(to - from)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.state();
        let offset = usize::try_from(offset).unwrap();
        if state.crashed {
            return state.next(true).map(|()| 0);
        }
        let ended = state.next(true);
        let short = ended.is_err() || state.random.below(4) == 0;
        let wanted = if short {
            // A write that ends well writes something.
            let least = u64::from(ended.is_ok());
            let some = state.random.below(bytes.len() as u64 + 1 - least) + least;
            usize::try_from(some).unwrap()
        } else {
            bytes.len()
        };
        let length = state.room(self.1, offset, wanted);
        let inode = &mut state.inodes[self.1];
        write(&mut inode.content, &bytes[..length], offset);
        let written = bytes[..length].to_vec();
        inode.pending.push(Change::Write(offset, written));
        match ended {
            Ok(()) if length == 0 => Err(io::Error::from_raw_os_error(ENOSPC)),
            ended => ended.map(|()| length),
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.0.state();
        state.next(true)?;
        let length = usize::try_from(length).unwrap();
        let inode = &mut state.inodes[self.1];
        inode.content.truncate(length);
        inode.pending.push(Change::Cut(length));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.state();
        state.next(true)?;
        let inode = &mut state.inodes[self.1];
        inode.durable = inode.content.clone();
        inode.pending.clear();
        Ok(())
    }
}
