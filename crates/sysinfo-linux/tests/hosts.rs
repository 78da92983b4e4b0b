//! Whole hosts read below their fixture trees; the expected figures were read off the files.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says aloud what it skips"
)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sysinfo_linux::{
    BlockKind, DiskKind, Host, HostnameSource, Network, NetworkKind, Root, Scope, Usage,
    Virtualization,
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

fn host(name: &str) -> Host {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    Host::new(Root::below(fixtures.join(name)))
}

fn kind(networks: &[Network], name: &str) -> NetworkKind {
    networks.iter().find(|it| it.name == name).unwrap().kind
}

fn physical(networks: &[Network]) -> Vec<&str> {
    let physical = networks.iter().filter(|it| it.physical);
    physical.map(|it| it.name.to_str().unwrap()).collect()
}

#[test]
fn a_debian_vm_tells_who_it_is() {
    let host = host("debian");
    let hostname = host.hostname().unwrap();
    assert_eq!(hostname.name, "web-3");
    assert_eq!(hostname.source, HostnameSource::Kernel);
    let os = host.os().unwrap();
    assert_eq!(os.id.as_deref(), Some("debian"));
    assert_eq!(os.version.as_deref(), Some("12"));
    assert_eq!(os.name.as_deref(), Some("Debian GNU/Linux"));
    assert_eq!(host.kernel().unwrap(), "6.1.0-56-cloud-amd64");
    assert_eq!(host.architecture().unwrap(), "x86_64");
    let id = host.machine_id().unwrap();
    assert_eq!(id.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    assert_eq!(host.virtualization(), Virtualization::Qemu);
}

#[test]
fn a_debian_vm_counts_hardware_and_not_what_stands_on_it() {
    let networks = host("debian").networks().unwrap();
    assert_eq!(physical(&networks), ["eth0", "eth1", "eth2"]);
    assert_eq!(kind(&networks, "bond0"), NetworkKind::Bond);
    assert_eq!(kind(&networks, "br0"), NetworkKind::Bridge);
    assert_eq!(kind(&networks, "docker0"), NetworkKind::Bridge);
    assert_eq!(kind(&networks, "eth0.100"), NetworkKind::Vlan);
    assert_eq!(kind(&networks, "vA"), NetworkKind::Virtual);
    assert_eq!(kind(&networks, "lo"), NetworkKind::Loopback);
    // bond0 received 110 bytes, all of them through eth2.
    let received: u64 = networks
        .iter()
        .filter(|it| it.physical)
        .map(|it| it.received.bytes)
        .sum();
    assert_eq!(received, 370 + 110);
}

#[test]
fn bind_mounts_are_not_counted_again() {
    let disks = host("debian").disks().unwrap();
    let places: Vec<_> = disks.iter().map(|it| it.mount_point.as_path()).collect();
    assert_eq!(places, [Path::new("/"), Path::new("/data")]);
    assert_eq!(disks[0].device, (254, 0));
    assert_eq!(disks[0].source, "/dev/vda");
    assert!(!disks[0].is_read_only);
}

#[test]
fn a_plain_host_has_no_limits() {
    let mut host = host("debian");
    assert_eq!(host.cpu_count().unwrap(), 4);
    let limits = host.limits(Scope::Container).unwrap();
    assert_eq!((limits.cpu_quota, limits.memory), (None, None));
    assert_eq!(host.cpu_limit().unwrap(), None);
}

#[test]
fn a_container_of_cgroup_v2_may_use_less_than_its_host_has() {
    let mut host = host("container-v2");
    assert_eq!(host.cpu_count().unwrap(), 4);
    assert_eq!(host.cpu_limit().unwrap(), Some(1.5));
    assert_eq!(host.limits(Scope::Process).unwrap().cpuset, Some(3));
    let memory = host.memory().unwrap();
    assert_eq!(memory.effective_total_bytes(), 256 * MIB);
    assert_eq!(host.memory_limit().unwrap(), memory.cgroup);
    let group = memory.cgroup.unwrap();
    assert!(group.used_bytes.unwrap() < 256 * MIB);
    assert_eq!(memory.effective_available_bytes(), group.available_bytes);
    assert_eq!(host.os().unwrap().id.as_deref(), Some("alpine"));
}

#[test]
fn a_container_of_cgroup_v2_shows_its_overlay_and_its_volume() {
    let mut host = host("container-v2");
    let disks = host.disks().unwrap();
    assert_eq!(disks[0].mount_point, Path::new("/"));
    assert_eq!(disks[0].kind, DiskKind::Overlay);
    assert!(disks.iter().any(|it| it.mount_point == Path::new("/vol")));
    let networks = host.networks().unwrap();
    assert_eq!(physical(&networks), ["eth0"]);
    assert_eq!(kind(&networks, "eth0"), NetworkKind::Uplink);
}

#[test]
fn docker_on_cgroup_v1_may_use_what_its_groups_allow() {
    let mut host = host("docker-v1");
    assert_eq!(host.virtualization(), Virtualization::Docker);
    assert_eq!(host.cpu_limit().unwrap(), Some(0.5));
    assert_eq!(host.memory().unwrap().effective_total_bytes(), 128 * MIB);
    let disks = host.disks().unwrap();
    assert_eq!(disks[0].kind, DiskKind::Overlay);
    // One disk of the machine, seen through a volume and through etc/hostname.
    assert_eq!(disks.len(), 2);
    assert_eq!(disks[1].mount_point, Path::new("/vol"));
}

#[test]
fn a_virtual_machine_made_from_an_image_of_docker_is_no_container() {
    let host = host("firecracker");
    assert!(host.root().rootfs().join(".dockerenv").exists());
    assert_eq!(host.virtualization(), Virtualization::Firecracker);
}

#[test]
fn the_service_s_own_limit_is_not_the_container_s() {
    let mut host = host("lxc");
    let service = std::fs::read_to_string(host.root().proc().join("self/cgroup")).unwrap();
    assert_eq!(service, "0::/system.slice/agent.service\n");
    assert_eq!(host.memory().unwrap().cgroup.unwrap().limit_bytes, 2 * GIB);
    assert_eq!(host.limits(Scope::Container).unwrap().cpu_quota, Some(2.0));
}

#[test]
fn lxcfs_tells_the_container_s_own_memory_and_uptime() {
    let mut host = host("lxc");
    assert_eq!(host.virtualization(), Virtualization::Lxc);
    let memory = host.memory().unwrap();
    assert!(memory.is_virtualized);
    assert_eq!(memory.zfs_arc, None, "the ARC is the machine's");
    assert_eq!(memory.effective_total_bytes(), 2 * GIB);
    // memory.max - (memory.current - inactive_file) is more than meminfo says.
    assert_eq!(memory.effective_available_bytes(), Some(1_843_068_928));
    assert_eq!(memory.swap_used_bytes(), Some(4096 * KIB));
    let uptime = host.uptime().unwrap();
    assert!(uptime.is_virtualized);
    assert_eq!(uptime.since_boot, Duration::from_secs(96_024));
    // btime is the machine's start: the container's is now less its uptime.
    let age = SystemTime::now()
        .duration_since(host.boot_time().unwrap())
        .unwrap();
    assert!(
        age.abs_diff(uptime.since_boot) < Duration::from_secs(60),
        "{age:?}"
    );
}

#[test]
fn the_inner_end_of_a_veth_is_a_container_s_connection() {
    let networks = host("lxc").networks().unwrap();
    assert_eq!(physical(&networks), ["eth0"]);
    assert_eq!(kind(&networks, "eth0"), NetworkKind::Uplink);
    assert_eq!(networks[1].received.bytes, 918_273_645);
    assert_eq!(networks[1].sent.packets, 654_321);
}

#[test]
fn the_root_of_an_lxc_container_on_zfs_is_a_disk_and_lxcfs_is_none() {
    let disks = host("lxc").disks().unwrap();
    assert_eq!(disks.len(), 1);
    assert_eq!(disks[0].source, "rpool/data/subvol-101-disk-0");
    assert_eq!(disks[0].kind, DiskKind::Local);
}

#[test]
fn openvz_is_limited_by_its_beancounters() {
    let mut host = host("openvz");
    assert_eq!(host.virtualization(), Virtualization::OpenVz);
    let memory = host.memory().unwrap();
    let counter = memory.openvz.unwrap().memory().unwrap();
    assert_eq!(counter.limit_bytes, Some(GIB));
    assert_eq!(counter.held_bytes, Some(512 * MIB));
    assert_eq!(memory.effective_total_bytes(), GIB);
    // 1 GiB - 512 MiB held is less than free + buffers + cached + reclaimable - shared.
    assert_eq!(memory.effective_available_bytes(), Some(512 * MIB));
    let networks = host.networks().unwrap();
    assert_eq!(physical(&networks), ["venet0"]);
    assert_eq!(networks[1].sent.bytes, 1_827_364_554);
    assert_eq!(host.disks().unwrap()[0].fs_type, "simfs");
    let total = host.cpu().unwrap().total;
    assert_eq!(
        (total.steal, total.guest, total.guest_nice),
        (Some(0), Some(0), None)
    );
    assert!(host.disk_io().unwrap_err().is_missing());
    assert!(host.pressure().unwrap_err().is_missing());
    assert!(host.os().unwrap_err().is_missing());
    assert_eq!(host.machine_id().unwrap(), None);
}

#[test]
fn kernel_3_10_has_no_available_memory_and_gets_an_estimate() {
    let mut host = host("kernel-3.10");
    let memory = host.memory().unwrap();
    assert_eq!(memory.meminfo.available_bytes, None);
    let estimate = 143_208 + 164_048 + 2_411_224 + 310_216 - 95_352;
    assert_eq!(memory.effective_available_bytes(), Some(estimate * KIB));
    assert_eq!(memory.used_bytes(), Some((3_882_076 - estimate) * KIB));
    assert!(host.architecture().unwrap_err().is_missing());
    assert_eq!(
        host.os().unwrap().pretty_name.as_deref(),
        Some("CentOS Linux 7 (Core)")
    );
    assert_eq!(host.hostname().unwrap().name, "el7.example.net");
    let uptime = host.uptime().unwrap();
    assert!(!uptime.is_virtualized);
    assert_eq!(uptime.since_boot, Duration::from_millis(454_031_770));
    let start = host.boot_time().unwrap();
    assert_eq!(
        start,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    );
}

#[test]
fn without_sys_the_names_of_interfaces_and_disks_must_do() {
    let mut host = host("kernel-3.10");
    let networks = host.networks().unwrap();
    assert_eq!(physical(&networks), ["eth0"]);
    assert_eq!(kind(&networks, "virbr0"), NetworkKind::Bridge);
    assert_eq!(kind(&networks, "eth0.12"), NetworkKind::Vlan);
    let kinds: Vec<_> = host.disk_io().unwrap().iter().map(|it| it.kind).collect();
    use BlockKind::{Disk, Partition, Stacked, Virtual};
    assert_eq!(kinds, [Disk, Partition, Stacked, Virtual]);
    let sda = &host.disk_io().unwrap()[0].device;
    assert_eq!(sda.read_bytes, 8_273_645 * 512);
    assert_eq!(sda.busy_time, Duration::from_millis(273_645));
    assert_eq!((sda.discarded_bytes, sda.flushes), (None, None));
}

#[test]
fn what_zfs_would_give_back_is_available_and_its_minimum_is_not() {
    let memory = host("zfs").memory().unwrap();
    let arc = memory.zfs_arc.unwrap();
    assert_eq!(arc.size_bytes, 15 * GIB);
    // 9 GiB + 256 MiB + 3 GiB + 256 MiB are not in use, 13 GiB are above the minimum.
    assert_eq!(arc.evictable_bytes(), 12 * GIB + 512 * MIB);
    let expected = 10_240_000 * KIB + 12 * GIB + 512 * MIB;
    assert_eq!(memory.effective_available_bytes(), Some(expected));
}

#[test]
fn each_dataset_of_zfs_is_listed_and_lxcfs_is_not() {
    let disks = host("zfs").disks().unwrap();
    let sources: Vec<_> = disks.iter().map(|it| it.source.to_str().unwrap()).collect();
    assert_eq!(
        sources,
        ["rpool/ROOT/pve-1", "rpool", "rpool/data", "/dev/sda2"]
    );
}

#[test]
fn of_all_mounts_the_real_file_systems_are_listed_once() {
    let disks = host("mounts").disks().unwrap();
    let listed: Vec<_> = disks
        .iter()
        .map(|it| (it.mount_point.as_os_str().as_bytes(), it.kind))
        .collect();
    use DiskKind::{Automount, Fuse, Local, Network};
    let expected: &[(&[u8], DiskKind)] = &[
        (b"/", Local),
        (b"/boot/efi", Local),
        (b"/boot", Local),
        (b"/net/auto", Automount),
        (b"/mnt/nfs share", Network),
        (b"/mnt/nfs share/scratch", Local),
        (b"/mnt/cifs", Network),
        (b"/mnt/ssh", Fuse),
        (b"/mnt/ntfs", Fuse),
        (b"/d", Local),
        (b"/mnt/tab\tnl\nback\\slash#hash", Local),
        (b"/proc/sys/fs/binfmt_misc", Automount),
        (b"/mnt/\xff\xfe", Local),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn what_may_hang_is_not_asked_and_what_is_not_there_is_hidden() {
    let disks = host("mounts").disks().unwrap();
    for disk in &disks {
        let below_nfs = disk.mount_point.starts_with("/mnt/nfs share");
        match disk.usage {
            Usage::NotAsked => assert!(disk.kind != DiskKind::Local || below_nfs),
            Usage::Hidden => assert_eq!(disk.kind, DiskKind::Local),
            Usage::Known(_) => assert_eq!(disk.mount_point, Path::new("/")),
            ref other => panic!("{other:?}"),
        }
    }
    let read_only = disks.iter().find(|it| it.is_read_only).unwrap();
    assert!(
        read_only
            .mount_point
            .as_os_str()
            .as_bytes()
            .starts_with(b"/mnt/tab")
    );
}

#[test]
fn arm64_has_no_flag_and_no_firmware_text() {
    let mut host = host("arm64");
    assert_eq!(host.architecture().unwrap(), "aarch64");
    assert_eq!(host.cpu_count().unwrap(), 2);
    assert_eq!(host.virtualization(), Virtualization::Unknown);
    assert_eq!(physical(&host.networks().unwrap()), ["eth0"]);
}

#[test]
fn all_of_256_processors_are_read() {
    let mut host = host("cores-256");
    let cpu = host.cpu().unwrap();
    assert_eq!(cpu.cores.len(), 256);
    assert_eq!(cpu.cores[255].index, 255);
    let user: u64 = cpu.cores.iter().map(|core| core.times.user).sum();
    assert_eq!(cpu.total.user, user);
    assert_eq!(host.cpu_count().unwrap(), 256);
    assert_eq!(cpu.running, Some(12));
}

#[test]
fn processors_keep_their_numbers_where_others_are_offline() {
    let cpu = sysinfo_linux::parse::stat(
        b"cpu  4 0 4 8 0 0 0\ncpu0 1 0 1 2 0 0 0\ncpu1 bad\ncpu3 3 0 3 6 0 0 0\n",
    );
    let numbers: Vec<u32> = cpu.unwrap().cores.iter().map(|core| core.index).collect();
    assert_eq!(numbers, [0, 3]);
}

#[test]
fn a_group_outside_the_namespace_sets_no_limit() {
    // Docker with `--pid=host`: process 1 is the machine's.
    let directory = Scratch::new("outside");
    directory.write(
        "proc/1/mountinfo",
        b"50 49 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    );
    directory.write("proc/1/cgroup", b"0::/../../init.scope\n");
    directory.write("sys/fs/cgroup/memory.max", b"1048576\n");
    let host = Host::new(Root::below(&directory.0));
    assert_eq!(host.limits(Scope::Container).unwrap().memory, None);
    directory.write("proc/1/cgroup", b"0::/\n");
    let limits = host.limits(Scope::Container).unwrap();
    assert_eq!(limits.memory.unwrap().limit_bytes, 1_048_576);
}

#[test]
fn the_lowest_limit_of_all_groups_above_counts() {
    let directory = Scratch::new("nested");
    directory.write(
        "proc/1/mountinfo",
        b"50 49 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    );
    directory.write("proc/1/cgroup", b"0::/outer/inner\n");
    directory.write("sys/fs/cgroup/outer/memory.max", b"1000\n");
    directory.write("sys/fs/cgroup/outer/memory.current", b"900\n");
    directory.write("sys/fs/cgroup/outer/memory.stat", b"inactive_file 50\n");
    directory.write("sys/fs/cgroup/outer/cpu.max", b"50000 100000\n");
    directory.write("sys/fs/cgroup/outer/inner/memory.max", b"700\n");
    directory.write("sys/fs/cgroup/outer/inner/memory.current", b"100\n");
    directory.write("sys/fs/cgroup/outer/inner/cpu.max", b"max 100000\n");
    let limits = Host::new(Root::below(&directory.0))
        .limits(Scope::Container)
        .unwrap();
    assert_eq!(limits.cpu_quota, Some(0.5));
    let memory = limits.memory.unwrap();
    assert_eq!((memory.limit_bytes, memory.used_bytes), (700, Some(100)));
    assert_eq!(
        memory.available_bytes,
        Some(150),
        "the outer group is nearly full"
    );
}

#[test]
fn containers_are_told_by_what_their_managers_leave() {
    let root = "46 35 0:25 / / rw - overlay overlay rw,lowerdir=/var/lib/";
    let cases = [
        ("docker/overlay2/l/A", Virtualization::Docker),
        ("containers/storage/overlay/l/A", Virtualization::Podman),
        (
            "containerd/io.containerd.snapshotter.v1.overlayfs/s/1",
            Virtualization::OtherContainer,
        ),
    ];
    let directory = Scratch::new("managers");
    let host = Host::new(Root::below(&directory.0));
    assert_eq!(host.virtualization(), Virtualization::Unknown);
    for (layers, expected) in cases {
        directory.write("proc/1/mountinfo", format!("{root}{layers}\n").as_bytes());
        assert_eq!(host.virtualization(), expected);
    }
    let account = "50 46 0:30 / /run/secrets/kubernetes.io/serviceaccount ro - tmpfs tmpfs rw\n";
    directory.write("proc/1/mountinfo", account.as_bytes());
    assert_eq!(host.virtualization(), Virtualization::Kubernetes);
    directory.write("proc/1/environ", b"PATH=/bin\0container=systemd-nspawn\0");
    assert_eq!(host.virtualization(), Virtualization::SystemdNspawn);
}

#[test]
fn machines_are_told_by_their_firmware() {
    let directory = Scratch::new("machines");
    let host = Host::new(Root::below(&directory.0));
    let dmi = |name: &str, text: &[u8]| directory.write(&format!("sys/class/dmi/id/{name}"), text);
    dmi("sys_vendor", b"Dell Inc.\n");
    assert_eq!(host.virtualization(), Virtualization::None);
    directory.write("proc/cpuinfo", b"flags\t\t: fpu hypervisor lahf_lm\n");
    assert_eq!(host.virtualization(), Virtualization::OtherVm);
    dmi("sys_vendor", b"QEMU\n");
    assert_eq!(host.virtualization(), Virtualization::Qemu);
    let clocks = "sys/devices/system/clocksource/clocksource0/available_clocksource";
    directory.write(clocks, b"kvm-clock tsc acpi_pm \n");
    assert_eq!(host.virtualization(), Virtualization::Kvm);
    dmi("sys_vendor", b"Amazon EC2\n");
    assert_eq!(host.virtualization(), Virtualization::Amazon);
    dmi("product_version", b"Hyper-V UEFI Release v4.1\n");
    dmi("sys_vendor", b"Microsoft Corporation\n");
    assert_eq!(host.virtualization(), Virtualization::HyperV);
}

#[test]
fn the_mounted_hostname_goes_before_the_kernel_s() {
    let directory = Scratch::new("hostname");
    let host = Host::new(Root::below(&directory.0));
    assert!(host.hostname().unwrap_err().is_missing());
    directory.write("proc/sys/kernel/hostname", b"a1b2c3d4e5f6\n");
    assert_eq!(host.hostname().unwrap().name, "a1b2c3d4e5f6");
    for empty in [&b""[..], b"\n", b"  \nsecond\n", b"\xff\xfe\n"] {
        directory.write("etc/host_hostname", empty);
        assert_eq!(host.hostname().unwrap().source, HostnameSource::Kernel);
    }
    directory.write("etc/host_hostname", b" vps-7.example.net \nsecond\n");
    let hostname = host.hostname().unwrap();
    assert_eq!(hostname.name, "vps-7.example.net");
    assert_eq!(hostname.source, HostnameSource::Mounted);
}

#[test]
fn a_host_without_a_name_is_an_error_that_names_the_file() {
    let directory = Scratch::new("no-hostname");
    directory.write("proc/sys/kernel/hostname", b"(none)\n");
    let error = Host::new(Root::below(&directory.0)).hostname().unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("sys/kernel/hostname: line 1: empty, or not text")
    );
    assert!(!error.is_missing());
}

#[test]
fn links_in_another_root_stay_below_it() {
    let directory = Scratch::new("links");
    directory.write("static/os-release", b"ID=nixos\n");
    std::fs::create_dir_all(directory.0.join("etc")).unwrap();
    std::os::unix::fs::symlink("/static/os-release", directory.0.join("etc/os-release")).unwrap();
    let os = Host::new(Root::below(&directory.0)).os().unwrap();
    assert_eq!(os.id.as_deref(), Some("nixos"));
}

#[test]
fn a_fixture_that_is_replaced_is_read_anew() {
    let directory = Scratch::new("replaced");
    let mut host = Host::new(Root::below(&directory.0));
    directory.write("proc/loadavg", b"1.00 2.00 3.00 1/2 3\n");
    assert_eq!(host.load().unwrap().one, 1.0);
    directory.write("new", b"4.00 5.00 6.00 1/2 3\n");
    std::fs::rename(directory.0.join("new"), directory.0.join("proc/loadavg")).unwrap();
    assert_eq!(host.load().unwrap().one, 4.0);
}

#[test]
fn one_sick_source_hides_no_other() {
    let directory = Scratch::new("sick");
    directory.write("proc/loadavg", b"0.10 0.20 0.30 1/2 3\n");
    directory.write("proc/meminfo", b"\xff\xff\n");
    let basics = Host::new(Root::below(&directory.0)).basics();
    assert!(basics.load.is_ok() && basics.root_disk.is_ok());
    assert!(basics.cpu.unwrap_err().is_missing());
    let error = basics.memory.unwrap_err().to_string();
    assert!(
        error.ends_with("proc/meminfo: line 1: no MemTotal"),
        "{error}"
    );
}

#[test]
fn another_host_s_network_is_that_of_its_process_1() {
    let directory = Scratch::new("net");
    let table = |name: &str| format!("h\nh\n{name}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    directory.write("proc/net/dev", table("mine").as_bytes());
    let mut host = Host::new(Root::below(&directory.0));
    assert_eq!(host.interfaces().unwrap()[0].name, "mine");
    directory.write("proc/1/net/dev", table("theirs").as_bytes());
    assert_eq!(host.interfaces().unwrap()[0].name, "theirs");
}

#[test]
fn names_may_be_any_bytes() {
    let directory = Scratch::new("bytes");
    directory.write(
        "proc/net/dev",
        b"h\nh\n\xff\xc3:\xe2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
    );
    directory.write("proc/1/stat", b"1 (a) Z) b\n) S 0 1 1 0 -1");
    directory.write("proc/12/stat", b"12 (\xff) R 0 1 1 0 -1");
    directory.write("proc/13/stat", b"13 (odd) ? 0");
    let mut host = Host::new(Root::below(&directory.0));
    let networks = host.networks().unwrap();
    assert_eq!(networks[0].name, OsStr::from_bytes(b"\xff\xc3:\xe2"));
    assert_eq!(networks[0].sent.compressed, 16);
    assert_eq!(networks[0].kind, NetworkKind::Only);
    let processes = host.processes().unwrap();
    assert_eq!(
        (processes.total, processes.sleeping, processes.running),
        (2, 1, 1)
    );
    assert_eq!(host.process_count().unwrap(), 3);
}

/// A directory that goes away with the test.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sysinfo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, relative: &str, bytes: &[u8]) {
        let path = self.0.join(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
