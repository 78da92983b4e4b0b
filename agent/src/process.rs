//! What this process itself costs, and whether another is an agent.

#[cfg(feature = "terminal")]
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The figures of one moment.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) open_files: Option<u64>,
    pub(crate) max_files: Option<u64>,
}

/// Reads them; `None` without a `/proc`.
pub(crate) fn usage() -> Option<Usage> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    let mut pages = statm
        .split_ascii_whitespace()
        .map_while(|word| word.parse::<u64>().ok());
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(cpu.tv_nsec).ok()?;
    Some(Usage {
        cpu: Duration::new(u64::try_from(cpu.tv_sec).ok()?, nanoseconds),
        virtual_bytes: pages.next()?.checked_mul(page)?,
        resident_bytes: pages.next()?.checked_mul(page)?,
        threads: entries("/proc/self/task")?,
        // Less the one that the counting itself opens.
        open_files: entries("/proc/self/fd").map(|files| files.saturating_sub(1)),
        max_files: getrlimit(Resource::Nofile).current,
    })
}

fn entries(folder: &str) -> Option<u64> {
    u64::try_from(std::fs::read_dir(folder).ok()?.count()).ok()
}

/// The id of a process below `proc`, other than this one, that runs as an agent: not for one answer, as its commands do.
#[cfg(feature = "terminal")]
pub(crate) fn running_agent(proc: &Path) -> Option<u32> {
    let own = std::process::id();
    let ids = std::fs::read_dir(proc).ok()?.filter_map(|entry| {
        let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        (id != own).then_some(id)
    });
    let mut agents: Vec<u32> = ids
        .filter(|id| is_agent(&proc.join(id.to_string())).unwrap_or(false))
        .collect();
    agents.sort_unstable();
    agents.first().copied()
}

/// Everybody may read a command line, which is empty for a process that has ended; its own file, only root and the same user.
#[cfg(feature = "terminal")]
fn is_agent(process: &Path) -> Option<bool> {
    let words = std::fs::read(process.join("cmdline")).ok()?;
    let mut words = words.split(|byte| *byte == 0);
    let program = std::str::from_utf8(words.next()?).ok()?;
    let name = Path::new(program).file_name()?.to_str()?;
    // A command stands before all options; without one, the agent runs.
    let command = words
        .next()
        .is_some_and(|word| word.first().is_some_and(|first| *first != b'-'));
    Some(
        !command
            && crate::cli::Role::ALL
                .iter()
                .any(|role| role.program() == name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_agree_with_the_kernels_text() {
        let usage = usage().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| -> u64 {
            status
                .lines()
                .find_map(|line| {
                    line.strip_prefix(name)?
                        .split_ascii_whitespace()
                        .next()?
                        .parse()
                        .ok()
                })
                .unwrap()
        };
        let kib = usage.resident_bytes / 1024;
        assert!(kib.abs_diff(field("VmRSS:")) < 4096, "{kib} KiB");
        assert!(usage.threads >= 1 && usage.open_files.unwrap() >= 3);
    }
}
