#![doc = include_str!("../README.md")]

mod ask;
mod basics;
mod disk;
mod disk_io;
mod error;
mod file;
mod file_system;
mod host;
mod identity;
mod limits;
mod memory;
mod mounts;
mod network;
pub mod parse;
mod pressure;
mod process;
mod root;
mod virtualization;

pub use basics::Basics;
pub use disk::{Disk, DiskKind, DiskUsage, Usage};
pub use disk_io::{BlockKind, DiskIo};
pub use error::{Error, Result};
pub use host::{Host, Uptime};
pub use identity::{Hostname, HostnameSource};
pub use limits::{Limits, MemoryLimit, Scope};
pub use memory::Memory;
pub use network::{Network, NetworkKind};
pub use parse::{
    Beancounters, BlockDevice, Core, Counter, Cpu, CpuTimes, CpuUsage, Interface, Load, Meminfo,
    OpenFiles, Os, Pressure, Received, Sent, Stall, Vmstat, ZfsArc,
};
pub use pressure::Pressures;
pub use process::Processes;
pub use root::Root;
pub use virtualization::Virtualization;
