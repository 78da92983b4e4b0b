//! Who the host is: hostname, distribution, kernel, architecture, machine id.

use crate::error::{Error, Result};
use crate::file::{first_line, read_below, read_first_line};
use crate::host::Host;
use crate::parse::{self, Malformed, Os};

/// A hostname and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname {
    /// The name.
    pub name: String,
    /// Who says so.
    pub source: HostnameSource,
}

/// Who says what the hostname is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostnameSource {
    /// `etc/host_hostname`, which an operator mounts into a container to give it the host's name.
    Mounted,
    /// The kernel.
    Kernel,
    /// `etc/hostname` of another host's root: the running kernel tells only the caller's own name.
    Configured,
}

impl Host {
    /// The hostname: that of a mounted `etc/host_hostname`, else the kernel's, without white space
    /// around it. Of another live host below this root, its `etc/hostname` goes before the
    /// kernel's answer, which is the caller's own name.
    ///
    /// # Errors
    ///
    /// When nobody names the host.
    pub fn hostname(&self) -> Result<Hostname> {
        let named = |name, source| Ok(Hostname { name, source });
        let in_root = |relative| first_line(&read_below(self.root(), relative).ok()?);
        if let Some(name) = in_root("etc/host_hostname") {
            return named(name, HostnameSource::Mounted);
        }
        let is_foreign = !self.root().owns_rootfs() && self.is_live();
        if is_foreign && let Some(name) = in_root("etc/hostname") {
            return named(name, HostnameSource::Configured);
        }
        let name = self.kernel_word("hostname")?;
        if name == KERNEL_HAS_NO_NAME {
            let path = self.root().proc().join("sys/kernel/hostname");
            return Err(Error::parse(&path, NOT_NAMED));
        }
        named(name, HostnameSource::Kernel)
    }

    /// The distribution, from `etc/os-release` or else `usr/lib/os-release`.
    ///
    /// # Errors
    ///
    /// When there is neither, or it names nothing.
    pub fn os(&self) -> Result<Os> {
        let mut name = "etc/os-release";
        let bytes = read_below(self.root(), name).or_else(|error| {
            if !error.is_missing() {
                return Err(error);
            }
            name = "usr/lib/os-release";
            read_below(self.root(), name)
        })?;
        parse::os_release(&bytes).map_err(|e| Error::parse(&self.root().rootfs().join(name), e))
    }

    /// The kernel's release, as `uname -r` prints it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn kernel(&self) -> Result<String> {
        self.kernel_word("osrelease")
    }

    /// The machine's architecture, as `uname -m` prints it. A copy of a host's files has it only
    /// from kernel 6.1 on.
    ///
    /// # Errors
    ///
    /// When the kernel's file is missing and the host is not running here.
    pub fn architecture(&self) -> Result<String> {
        self.kernel_word("arch").or_else(|error| {
            let uname = rustix::system::uname();
            match uname.machine().to_str() {
                Ok(machine) if self.is_live() => Ok(machine.to_owned()),
                _ => Err(error),
            }
        })
    }

    /// The id that was given to this installation: 32 hexadecimal digits. `None` when it was given
    /// none (yet). Copies of a virtual machine often share it.
    ///
    /// # Errors
    ///
    /// When a file that should have it cannot be read.
    pub fn machine_id(&self) -> Result<Option<String>> {
        for name in ["etc/machine-id", "var/lib/dbus/machine-id"] {
            match read_below(self.root(), name) {
                Ok(bytes) => {
                    if let Some(id) = first_line(&bytes).filter(|line| is_machine_id(line)) {
                        return Ok(Some(id));
                    }
                }
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What a file of `sys/kernel` says.
    fn kernel_word(&self, name: &str) -> Result<String> {
        let path = self.root().proc().join("sys/kernel").join(name);
        read_first_line(&path)?.ok_or_else(|| Error::parse(&path, NOT_NAMED))
    }
}

/// What the kernel says before anyone names the host.
const KERNEL_HAS_NO_NAME: &str = "(none)";
const NOT_NAMED: Malformed = Malformed {
    line: 1,
    what: "empty, or not text",
};

fn is_machine_id(line: &str) -> bool {
    line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}
