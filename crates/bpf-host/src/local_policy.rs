//! The rules of this host: what no program may do here, however well it is signed.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::kernel_functions::{function_name, function_number};
use crate::scanned_object::ScannedObject;
use crate::{ProgramKind, Target, cgroup, interface};

/// The rules of this host.
#[derive(Clone, Debug)]
pub struct LocalPolicy {
    /// Numbers of kernel functions that no program may call.
    pub denied_functions: BTreeSet<u32>,
    /// The kinds that may be attached. `None` allows all.
    pub allowed_kinds: Option<BTreeSet<ProgramKind>>,
    /// Whether programs may be attached to the root cgroup, and so to every process.
    pub allow_root_cgroup: bool,
    /// Interfaces to which nothing is attached, such as the one that administrators come in by.
    pub protected_interfaces: BTreeSet<String>,
    /// Cgroups to which nothing is attached, by path below the root.
    pub protected_cgroups: BTreeSet<PathBuf>,
}

impl LocalPolicy {
    /// Functions that change or stop other processes: `bpf_probe_write_user`, `bpf_override_return`,
    /// `bpf_send_signal`, `bpf_send_signal_thread`.
    pub const DENIED_BY_DEFAULT: [&str; 4] = [
        "bpf_probe_write_user",
        "bpf_override_return",
        "bpf_send_signal",
        "bpf_send_signal_thread",
    ];

    /// Denies these functions instead of the usual ones. `Err` holds a name that the kernel does not have.
    pub fn with_denied_functions(mut self, names: &[&str]) -> std::result::Result<Self, String> {
        self.denied_functions = numbers(names)?;
        Ok(self)
    }

    /// Whether the object holds what is forbidden wherever it would be attached.
    pub fn check_object(&self, object: &ScannedObject) -> Result<()> {
        if let Some(number) = object
            .functions()
            .intersection(&self.denied_functions)
            .next()
        {
            return Err(Error::policy(format!(
                "the object calls {}",
                function_name(*number)
            )));
        }
        let forbidden = |kind| {
            self.allowed_kinds
                .as_ref()
                .is_some_and(|allowed| !allowed.contains(&kind))
        };
        match object
            .programs()
            .iter()
            .find(|program| forbidden(program.kind))
        {
            Some(program) => Err(Error::policy(format!(
                "program `{}` is of the kind {}",
                program.name, program.kind
            ))),
            None => Ok(()),
        }
    }

    pub(crate) fn check_target(&self, target: &Target, cgroup_root: &Path) -> Result<()> {
        match target {
            Target::Xdp { interface, .. } | Target::Tc { interface, .. } => {
                self.check_interface(interface)
            }
            Target::Cgroup { path } => self.check_cgroup(path, cgroup_root),
            _ => Ok(()),
        }
    }

    /// By index, because an interface can have other names.
    fn check_interface(&self, name: &str) -> Result<()> {
        let index = interface::index(name)
            .map_err(|source| Error::kernel(format!("find interface {name}"), source))?;
        let is_it = |protected: &&String| {
            *protected == name || interface::index(protected).is_ok_and(|other| other == index)
        };
        match self.protected_interfaces.iter().find(is_it) {
            Some(_) => Err(Error::policy(format!("interface {name} is protected"))),
            None => Ok(()),
        }
    }

    /// By directory, because a path can be written in many ways.
    fn check_cgroup(&self, path: &Path, root: &Path) -> Result<()> {
        let failed = |source| Error::kernel(format!("open cgroup {}", path.display()), source);
        let directory = cgroup::open(root, path).map_err(failed)?;
        if !self.allow_root_cgroup && cgroup::is_root(root, &directory).map_err(failed)? {
            return Err(Error::policy(
                "the root cgroup holds every process of this host",
            ));
        }
        let same = |protected: &&PathBuf| self.is_same(root, protected, &directory);
        match self.protected_cgroups.iter().find(same) {
            Some(_) => Err(Error::policy(format!(
                "cgroup {} is protected",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    fn is_same(&self, root: &Path, protected: &Path, directory: &File) -> bool {
        use std::os::unix::fs::MetadataExt;
        let inode = directory.metadata().map(|metadata| metadata.ino());
        inode
            .ok()
            .is_some_and(|inode| cgroup::id(root, protected).is_ok_and(|other| other == inode))
    }
}

impl Default for LocalPolicy {
    fn default() -> Self {
        Self {
            denied_functions: numbers(&Self::DENIED_BY_DEFAULT).unwrap_or_default(),
            allowed_kinds: None,
            allow_root_cgroup: false,
            protected_interfaces: BTreeSet::new(),
            protected_cgroups: BTreeSet::new(),
        }
    }
}

/// The numbers of functions given by name; `Err` holds the first name that no kernel has.
fn numbers(names: &[&str]) -> std::result::Result<BTreeSet<u32>, String> {
    names
        .iter()
        .map(|name| function_number(name).ok_or_else(|| (*name).to_owned()))
        .collect()
}
