//! Processes, counted by what they do.

use std::fs::{ReadDir, read_dir};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::parse;

/// How many processes do what. Threads are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processes {
    /// All of them.
    pub total: u64,
    /// Run or could run.
    pub running: u64,
    /// Wait for something.
    pub sleeping: u64,
    /// Wait for something and cannot be disturbed, mostly a disk.
    pub uninterruptible: u64,
    /// Threads of the kernel that have nothing to do.
    pub idle: u64,
    /// Were stopped, by a signal or a debugger.
    pub stopped: u64,
    /// Have ended, and their parents have not noticed.
    pub zombie: u64,
    /// Anything else.
    pub other: u64,
}

impl Host {
    /// How many processes there are: one pass over the names in proc.
    ///
    /// # Errors
    ///
    /// When proc cannot be listed.
    pub fn process_count(&self) -> Result<u64> {
        let mut count = 0;
        for _ in self.process_ids()? {
            count += 1;
        }
        Ok(count)
    }

    /// How many processes do what: reads one file for each of them.
    ///
    /// # Errors
    ///
    /// When proc cannot be listed.
    pub fn processes(&self) -> Result<Processes> {
        let path = self.root().proc();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = openat(CWD, path, flags, Mode::empty()).map_err(|e| Error::read(path, e))?;
        let mut counted = Processes::default();
        for id in self.process_ids()? {
            // One that has ended meanwhile is not there any more.
            if let Some(state) = state_of(&proc, &id) {
                counted.add(state);
            }
        }
        Ok(counted)
    }

    fn process_ids(&self) -> Result<ProcessIds> {
        let path = self.root().proc();
        let entries = read_dir(path).map_err(|e| Error::read(path, e))?;
        Ok(ProcessIds(entries))
    }
}

impl Processes {
    fn add(&mut self, state: char) {
        let counter = match state {
            'R' => &mut self.running,
            'S' => &mut self.sleeping,
            'D' => &mut self.uninterruptible,
            'I' => &mut self.idle,
            'T' | 't' => &mut self.stopped,
            'Z' => &mut self.zombie,
            _ => &mut self.other,
        };
        *counter += 1;
        self.total += 1;
    }
}

/// The names in proc that are numbers.
struct ProcessIds(ReadDir);

impl Iterator for ProcessIds {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let names = self
            .0
            .by_ref()
            .map_while(|entry| Some(entry.ok()?.file_name()));
        names
            .filter_map(|name| name.into_string().ok())
            .find(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

fn state_of(proc: &OwnedFd, id: &str) -> Option<char> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(proc, format!("{id}/stat"), flags, Mode::empty()).ok()?;
    // The name, at most 64 bytes long, and the state are at the front.
    let mut front = [0; 128];
    let length = rustix::io::read(&file, &mut front).ok()?;
    parse::process_state(front.get(..length)?).ok()
}
