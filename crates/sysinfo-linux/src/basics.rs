//! The six sources that nearly everyone shows, read in one go.

use crate::disk::DiskUsage;
use crate::error::Result;
use crate::host::{Host, Uptime};
use crate::parse::{Cpu, Interface, Load, Meminfo};

/// One reading of the six basic sources; a sick source never hides the others.
#[derive(Debug)]
pub struct Basics {
    /// Processors.
    pub cpu: Result<Cpu>,
    /// Memory, as `meminfo` has it.
    pub memory: Result<Meminfo>,
    /// Load averages.
    pub load: Result<Load>,
    /// Time since the start.
    pub uptime: Result<Uptime>,
    /// Every interface.
    pub interfaces: Result<Vec<Interface>>,
    /// The file system of the root directory.
    pub root_disk: Result<DiskUsage>,
}

impl Host {
    /// Reads processors, memory, load, uptime, interfaces and the root directory's file system:
    /// seven system calls once the files are open.
    pub fn basics(&mut self) -> Basics {
        Basics {
            cpu: self.cpu(),
            memory: self.meminfo(),
            load: self.load(),
            uptime: self.uptime(),
            interfaces: self.interfaces(),
            root_disk: self.root_disk(),
        }
    }
}
