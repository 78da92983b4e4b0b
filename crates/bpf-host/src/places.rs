//! Where on this host things are. The caller says it; tests and containers say something else.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Where on this host things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where procfs is mounted.
    pub proc_root: PathBuf,
    /// Where sysfs is mounted.
    pub sys_root: PathBuf,
    /// Where tracefs is mounted. `None` means: below sysfs, at `kernel/tracing`.
    pub tracefs: Option<PathBuf>,
    /// Where the cgroup2 file system is mounted; on hybrid hosts it is not at `fs/cgroup` itself.
    pub cgroup_root: PathBuf,
    /// A folder of the caller's own in a bpffs. `None` means that nothing can persist.
    pub pins: Option<PathBuf>,
}

impl Places {
    pub(crate) fn kernel_types(&self) -> PathBuf {
        self.sys_root.join("kernel/btf/vmlinux")
    }

    pub(crate) fn tracefs(&self) -> PathBuf {
        self.tracefs
            .clone()
            .unwrap_or_else(|| self.sys_root.join("kernel/tracing"))
    }

    /// How many values a per-CPU map has: one per processor that could ever be there.
    pub(crate) fn possible_cpus(&self) -> Result<usize> {
        let path = self.sys_root.join("devices/system/cpu/possible");
        let count = fs::read_to_string(&path)
            .and_then(|text| last_of(&text).ok_or_else(|| io::ErrorKind::InvalidData.into()));
        Ok(count
            .map_err(|source| Error::kernel(format!("read {}", path.display()), source))?
            .saturating_add(1))
    }

    /// The processors that are there now.
    pub(crate) fn online_cpus(&self) -> Result<Vec<u32>> {
        let path = self.sys_root.join("devices/system/cpu/online");
        let cpus = fs::read_to_string(&path)
            .and_then(|text| ranges(&text).ok_or_else(|| io::ErrorKind::InvalidData.into()));
        cpus.map_err(|source| Error::kernel(format!("read {}", path.display()), source))
    }
}

fn last_of(text: &str) -> Option<usize> {
    text.trim().rsplit([',', '-']).next()?.parse().ok()
}

/// `0-3,8` → 0, 1, 2, 3, 8.
fn ranges(text: &str) -> Option<Vec<u32>> {
    const MOST: u32 = 8192;
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        cpus.extend(first..=last.min(MOST));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::{last_of, ranges};

    #[test]
    fn lists_of_processors() {
        assert_eq!(ranges("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(ranges("0\n"), Some(vec![0]));
        assert_eq!(ranges(""), None);
        assert_eq!(last_of("0-127\n"), Some(127));
        assert_eq!(last_of("0\n"), Some(0));
    }
}
