//! What changes rarely about a host.

use std::time::SystemTime;

use crate::json::Object;

/// What changes rarely about a host. What is `None` is not sent, and the server keeps what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemInfo {
    /// The name of the host. It overwrites the one that the server shows.
    pub hostname: Option<String>,
    /// The distribution, such as `debian`.
    pub platform: Option<String>,
    /// Its version, such as `13`.
    pub platform_version: Option<String>,
    /// The release of the kernel, as `uname -r` prints it.
    pub kernel_version: Option<String>,
    /// Logical processors.
    pub cpu_cores: Option<u64>,
    /// Memory in MiB, whatever the name says: so does the original agent.
    pub memory_total_mb: Option<u64>,
    /// Size of the root file system in GiB.
    pub disk_total_gb: Option<u64>,
    /// When the host was booted. Sent in whole seconds.
    pub last_boot_time: Option<SystemTime>,
}

impl SystemInfo {
    pub(crate) fn to_object(&self) -> Object {
        let mut info = Object::default();
        info.text("hostname", self.hostname.as_deref());
        info.text("platform", self.platform.as_deref());
        info.text("platform_version", self.platform_version.as_deref());
        info.text("kernel_version", self.kernel_version.as_deref());
        info.count("cpu_cores", self.cpu_cores);
        info.count("memory_total_mb", self.memory_total_mb);
        info.count("disk_total_gb", self.disk_total_gb);
        info.moment("last_boot_time", self.last_boot_time);
        info
    }
}
