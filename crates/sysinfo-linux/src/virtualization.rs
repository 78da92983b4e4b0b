//! What the host runs in: a container, a virtual machine, or nothing.

use std::path::Path;

use crate::file::{first_line, read_below, read_whole};
use crate::host::Host;
use crate::parse::{self, Mount};

/// What the host runs in. A container inside a virtual machine is a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Virtualization {
    /// Its own hardware.
    None,
    /// Nothing that can be read here tells.
    Unknown,
    /// A container of Docker.
    Docker,
    /// A container of Podman.
    Podman,
    /// A container of Kubernetes, with whatever runtime.
    Kubernetes,
    /// A container of LXC, LXD or Incus.
    Lxc,
    /// A container of OpenVZ or Virtuozzo.
    OpenVz,
    /// A container of systemd-nspawn.
    SystemdNspawn,
    /// The Windows Subsystem for Linux.
    Wsl,
    /// A container of something else.
    OtherContainer,
    /// A virtual machine of Firecracker.
    Firecracker,
    /// A virtual machine of KVM, whoever manages it.
    Kvm,
    /// A virtual machine of QEMU without KVM.
    Qemu,
    /// A virtual machine of Amazon EC2 (Nitro).
    Amazon,
    /// A virtual machine of Google Compute Engine.
    Google,
    /// A virtual machine of Xen.
    Xen,
    /// A virtual machine of VMware.
    VmWare,
    /// A virtual machine of Microsoft's Hyper-V.
    HyperV,
    /// A virtual machine of VirtualBox.
    VirtualBox,
    /// A virtual machine of Parallels.
    Parallels,
    /// A virtual machine of FreeBSD's bhyve.
    Bhyve,
    /// A virtual machine of Apple's framework.
    Apple,
    /// A virtual machine of something else.
    OtherVm,
}

impl Virtualization {
    /// A short name, as `systemd-detect-virt` has it where it has one.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
            Self::Lxc => "lxc",
            Self::OpenVz => "openvz",
            Self::SystemdNspawn => "systemd-nspawn",
            Self::Wsl => "wsl",
            Self::OtherContainer => "container-other",
            Self::Firecracker => "firecracker",
            Self::Kvm => "kvm",
            Self::Qemu => "qemu",
            Self::Amazon => "amazon",
            Self::Google => "google",
            Self::Xen => "xen",
            Self::VmWare => "vmware",
            Self::HyperV => "microsoft",
            Self::VirtualBox => "oracle",
            Self::Parallels => "parallels",
            Self::Bhyve => "bhyve",
            Self::Apple => "apple",
            Self::OtherVm => "vm-other",
        }
    }

    /// Whether it shares the kernel with its host.
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(
            self,
            Self::Docker
                | Self::Podman
                | Self::Kubernetes
                | Self::Lxc
                | Self::OpenVz
                | Self::SystemdNspawn
                | Self::Wsl
                | Self::OtherContainer
        )
    }
}

impl Host {
    /// What the host runs in, as far as files tell.
    #[must_use]
    pub fn virtualization(&self) -> Virtualization {
        self.container().unwrap_or_else(|| self.machine())
    }

    fn container(&self) -> Option<Virtualization> {
        let proc = self.root().proc();
        let release = read_whole(&proc.join("sys/kernel/osrelease")).unwrap_or_default();
        if contains(&release, b"microsoft") || contains(&release, b"WSL2") {
            return Some(Virtualization::Wsl);
        }
        // A host of OpenVZ has both, its containers only the first.
        if proc.join("vz").exists() && !proc.join("bc").exists() {
            return Some(Virtualization::OpenVz);
        }
        let mounts = self.mount_table().ok();
        let mounts = mounts.as_deref().unwrap_or_default();
        self.container_by_manager()
            .or_else(|| self.container_by_group())
            .or_else(|| container_by_mounts(mounts))
            .or_else(|| self.container_by_marks(mounts))
    }

    /// What the container's manager told process 1, or what its init left behind of it.
    fn container_by_manager(&self) -> Option<Virtualization> {
        let environment = read_whole(&self.root().proc().join("1/environ")).unwrap_or_default();
        let told = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(b"container="))
            .and_then(first_line);
        let left = || first_line(&read_below(self.root(), "run/systemd/container").ok()?);
        Some(match told.or_else(left)?.as_str() {
            "lxc" | "lxc-libvirt" => Virtualization::Lxc,
            "docker" => Virtualization::Docker,
            "podman" => Virtualization::Podman,
            "systemd-nspawn" => Virtualization::SystemdNspawn,
            "wsl" => Virtualization::Wsl,
            _ => Virtualization::OtherContainer,
        })
    }

    /// The name of process 1's control group, where it has not got a namespace of its own.
    fn container_by_group(&self) -> Option<Virtualization> {
        let bytes = read_whole(&self.root().proc().join("1/cgroup")).ok()?;
        let groups = parse::cgroup(&bytes).ok()?;
        groups.iter().find_map(|group| {
            let path = group.path.to_string_lossy();
            let has = |part: &str| path.contains(part);
            if has("/kubepods") {
                Some(Virtualization::Kubernetes)
            } else if has("/docker/") || has("/docker-") {
                Some(Virtualization::Docker)
            } else if has("/libpod-") {
                Some(Virtualization::Podman)
            } else if has("/lxc/") || has("/lxc.payload") {
                Some(Virtualization::Lxc)
            } else {
                None
            }
        })
    }

    /// Files that engines put into the root directory. Images of virtual machines made from a
    /// container have them too: a root that is a whole disk is not a container's.
    fn container_by_marks(&self, mounts: &[Mount]) -> Option<Virtualization> {
        if mounts.iter().any(is_whole_disk_at_root) {
            return None;
        }
        let has = |name: &str| self.root().rootfs().join(name).exists();
        if has("run/.containerenv") {
            return Some(Virtualization::Podman);
        }
        has(".dockerenv").then_some(Virtualization::Docker)
    }

    fn machine(&self) -> Virtualization {
        let sys = self.root().sys();
        let proc = self.root().proc();
        let text = |path: &Path| read_whole(path).unwrap_or_default();
        // Only root may read the table. Its maker's name is at bytes 10 to 15.
        let firmware = text(&sys.join("firmware/acpi/tables/DSDT"));
        if firmware.get(10..16) == Some(b"FIRECK") {
            return Virtualization::Firecracker;
        }
        let dmi = DMI_FILES.map(|name| text(&sys.join("class/dmi/id").join(name)));
        if let Some(vendor) = machine_by_vendor(&dmi, VENDORS) {
            return vendor;
        }
        let clocks =
            text(&sys.join("devices/system/clocksource/clocksource0/available_clocksource"));
        let tree = text(&proc.join("device-tree/hypervisor/compatible"));
        let processor = text(&proc.join("cpuinfo"));
        let hypervisor = text(&sys.join("hypervisor/type"));
        if contains(&clocks, b"kvm-clock") || contains(&tree, b"linux,kvm") {
            Virtualization::Kvm
        } else if contains(&hypervisor, b"xen") || contains(&tree, b"xen,xen") {
            Virtualization::Xen
        } else if contains(&clocks, b"hyperv_clocksource") {
            Virtualization::HyperV
        } else if let Some(vendor) = machine_by_vendor(&dmi, EMULATORS) {
            vendor
        } else if processor
            .split(|byte| *byte == b' ')
            .any(is_hypervisor_flag)
        {
            Virtualization::OtherVm
        } else if dmi.iter().all(Vec::is_empty) {
            Virtualization::Unknown
        } else {
            Virtualization::None
        }
    }
}

/// Kubernetes mounts an account's secrets, LXC mounts lxcfs over files of proc, and engines build
/// the root of layers in directories of their own.
fn container_by_mounts(mounts: &[Mount]) -> Option<Virtualization> {
    let has_account = |mount: &Mount| mount.mount_point.ends_with(KUBERNETES_ACCOUNT);
    if mounts.iter().any(has_account) {
        return Some(Virtualization::Kubernetes);
    }
    mounts.iter().find_map(|mount| {
        let proc = Path::new("/").join("proc");
        let in_proc = mount.mount_point.starts_with(&proc);
        if in_proc && mount.fs_type == "fuse.lxcfs" {
            return Some(Virtualization::Lxc);
        }
        if mount.mount_point != Path::new("/") || mount.fs_type != "overlay" {
            return None;
        }
        let layers = mount.super_options.to_string_lossy();
        if layers.contains("/containers/storage/") {
            Some(Virtualization::Podman)
        } else if layers.contains("/docker/") {
            Some(Virtualization::Docker)
        } else if layers.contains("/io.containerd.") {
            Some(Virtualization::OtherContainer)
        } else {
            None
        }
    })
}

const KUBERNETES_ACCOUNT: &str = "run/secrets/kubernetes.io/serviceaccount";

fn is_whole_disk_at_root(mount: &Mount) -> bool {
    mount.mount_point == Path::new("/") && mount.root == Path::new("/") && mount.device.0 != 0
}

const DMI_FILES: [&str; 5] = [
    "product_name",
    "sys_vendor",
    "board_vendor",
    "bios_vendor",
    "product_version",
];

/// How the firmware calls itself or its maker; clouds on KVM before KVM itself.
const VENDORS: &[(&str, Virtualization)] = &[
    ("Amazon EC2", Virtualization::Amazon),
    ("Google Compute Engine", Virtualization::Google),
    ("VMware", Virtualization::VmWare),
    ("VMW", Virtualization::VmWare),
    ("innotek GmbH", Virtualization::VirtualBox),
    ("VirtualBox", Virtualization::VirtualBox),
    ("Xen", Virtualization::Xen),
    ("Parallels", Virtualization::Parallels),
    ("BHYVE", Virtualization::Bhyve),
    ("Apple Virtualization", Virtualization::Apple),
    ("Hyper-V", Virtualization::HyperV),
    ("KVM", Virtualization::Kvm),
    ("OpenStack", Virtualization::Kvm),
];

/// Firmware that is the same with KVM and without; asked when nothing speaks for KVM.
const EMULATORS: &[(&str, Virtualization)] = &[
    ("QEMU", Virtualization::Qemu),
    ("Bochs", Virtualization::Qemu),
];

fn machine_by_vendor(
    dmi: &[Vec<u8>],
    vendors: &[(&str, Virtualization)],
) -> Option<Virtualization> {
    // Whole machines of a cloud carry its name as well: c5.metal.
    if dmi
        .iter()
        .any(|text| text.trim_ascii().ends_with(b".metal"))
    {
        return None;
    }
    vendors.iter().find_map(|(mark, vendor)| {
        let has_mark = dmi.iter().any(|text| text.starts_with(mark.as_bytes()));
        has_mark.then_some(*vendor)
    })
}

fn is_hypervisor_flag(word: &[u8]) -> bool {
    word.trim_ascii() == b"hypervisor"
}

fn contains(text: &[u8], mark: &[u8]) -> bool {
    text.windows(mark.len())
        .any(|part| part.eq_ignore_ascii_case(mark))
}
