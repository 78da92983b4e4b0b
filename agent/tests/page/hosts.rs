//! A host made of files that a test can change while the agent reads them.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::parts::{Agent, connect, folder, wait_for};

/// Nobody answers there: the page has to work all the same.
const NOWHERE: &str = "http://127.0.0.1:1/api";

/// An agent of this host that has looked at its ports, and does so every second.
pub(crate) fn scanning() -> Agent {
    let often = [
        "--port-scan",
        "--port-scan-interval",
        "1",
        "--interval",
        "60",
    ];
    let agent = Agent::start(NOWHERE, &often);
    wait_for("the first scan", || {
        (agent.task("scan")["runs"].as_u64()? > 0).then_some(())
    });
    agent
}

/// A folder that looks like `/` to the agent; removed at the end.
pub(crate) struct HostFiles(PathBuf);

impl HostFiles {
    /// Half of the memory is used; load 0.42; one disk and one network card, which carried nothing yet.
    pub(crate) fn new(hostname: &str, mount: &str) -> Self {
        let host = Self(folder("host"));
        host.put("proc/stat", &stat(0, 0));
        host.put("proc/meminfo", "MemTotal:        8000000 kB\nMemFree:         1000000 kB\nMemAvailable:    2000000 kB\nBuffers:               0 kB\nCached:          1000000 kB\nSwapTotal:       1000000 kB\nSwapFree:         900000 kB\n");
        host.put("proc/loadavg", "0.42 0.36 0.30 1/100 4242\n");
        host.put("proc/uptime", "93784.00 80000.00\n");
        host.put("proc/net/dev", &net_dev(0));
        host.put("proc/sys/kernel/hostname", &format!("{hostname}\n"));
        host.put("proc/sys/kernel/osrelease", "6.1.0-test\n");
        host.put("etc/hostname", &format!("{hostname}\n"));
        host.put("etc/os-release", "PRETTY_NAME=\"Test OS 1\"\n");
        let table = format!(
            "22 1 254:1 / {} rw - ext4 /dev/{} rw\n",
            octal(mount),
            octal(mount)
        );
        host.put("proc/self/mountinfo", &table);
        host.put("proc/1/mountinfo", &table);
        host.put("proc/1/net/dev", &net_dev(0));
        host
    }

    /// An agent that takes these files for its host.
    pub(crate) fn agent(&self, port: u16) -> Agent {
        let agent = Agent::start_on(
            port,
            NOWHERE,
            &["--host-root", self.path(), "--interval", "60"],
        );
        connect(agent.port);
        agent
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Busy and idle ticks since the start, of one processor.
    pub(crate) fn set_cpu(&self, busy: u32, idle: u32) {
        self.put("proc/stat", &stat(busy, idle));
    }

    /// Bytes that the network card received since the start.
    pub(crate) fn set_received(&self, bytes: u32) {
        self.put("proc/net/dev", &net_dev(bytes));
        self.put("proc/1/net/dev", &net_dev(bytes));
    }

    /// Writes over a file: the agent keeps some open, and must find the new text in the old file.
    fn put(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for HostFiles {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Of one length whatever the figures, so that writing it over leaves nothing behind.
fn stat(busy: u32, idle: u32) -> String {
    let line = format!(
        "{busy:08} 00000000 00000000 {idle:08} 00000000 00000000 00000000 00000000 00000000 00000000"
    );
    format!(
        "cpu  {line}\ncpu0 {line}\nctxt 1\nbtime 1700000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n"
    )
}

fn net_dev(received: u32) -> String {
    format!(
        "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n  eth0: {received:010} 0000000001    0    0    0     0          0         0 0000000000 0000000001    0    0    0     0       0          0\n"
    )
}

/// White space as the kernel writes it in the table of mounts.
fn octal(path: &str) -> String {
    path.replace(' ', "\\040")
}
