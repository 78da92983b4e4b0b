//! Pressure on processor, memory, disk and interrupts.

use crate::error::{Error, Result};
use crate::file::read_whole;
use crate::host::Host;
use crate::parse::{self, Pressure};

/// How long tasks waited for what. `None` where the kernel does not measure it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressures {
    /// Processor time (4.20; `full` since 5.13).
    pub cpu: Option<Pressure>,
    /// Memory (4.20).
    pub memory: Option<Pressure>,
    /// Disks (4.20).
    pub io: Option<Pressure>,
    /// Interrupts (6.1; only `full`).
    pub irq: Option<Pressure>,
}

impl Host {
    /// How long tasks waited for processor, memory and disk.
    ///
    /// # Errors
    ///
    /// When the kernel measures none of them: older than 4.20, or switched off.
    pub fn pressure(&self) -> Result<Pressures> {
        let read = |name: &str| {
            let path = self.root().proc().join("pressure").join(name);
            parse::pressure(&read_whole(&path)?).map_err(|e| Error::parse(&path, e))
        };
        let (cpu, memory, io) = (read("cpu"), read("memory").ok(), read("io").ok());
        match cpu {
            Err(error) if memory.is_none() && io.is_none() => Err(error),
            cpu => Ok(Pressures {
                cpu: cpu.ok(),
                memory,
                io,
                irq: read("irq").ok(),
            }),
        }
    }
}
