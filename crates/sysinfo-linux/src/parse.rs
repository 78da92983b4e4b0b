//! The kernel's text files as values: pure functions of bytes, one for each file, named after it.
//!
//! Nothing here reads a file. Bytes may be anything: what cannot be understood is left out, and
//! only a file that says nothing useful at all is an error.

mod arcstats;
mod cgroup;
mod diskstats;
mod fields;
mod file_nr;
mod loadavg;
mod meminfo;
mod mountinfo;
mod net_dev;
mod os_release;
mod pid_stat;
mod pressure;
mod stat;
mod uptime;
mod user_beancounters;
mod vmstat;

pub use arcstats::{ZfsArc, arcstats};
pub use cgroup::{Membership, cgroup};
pub use diskstats::{BlockDevice, diskstats};
pub use fields::Malformed;
pub use file_nr::{OpenFiles, file_nr};
pub use loadavg::{Load, loadavg};
pub use meminfo::{Meminfo, meminfo};
pub use mountinfo::{Mount, mountinfo};
pub use net_dev::{Interface, Received, Sent, net_dev};
pub use os_release::{Os, os_release};
pub use pid_stat::{process_start, process_state};
pub use pressure::{Pressure, Stall, pressure};
pub use stat::{Core, Cpu, CpuTimes, CpuUsage, stat};
pub use uptime::uptime;
pub use user_beancounters::{Beancounters, Counter, user_beancounters};
pub use vmstat::{Vmstat, vmstat};

pub(crate) use cgroup::{cpu_max, limit, named, processors};
pub(crate) use fields::as_f64;
