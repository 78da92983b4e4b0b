//! The host's part of the page.

use std::os::unix::ffi::OsStrExt;
use std::time::UNIX_EPOCH;

use promexport::{Counter, Gauge, Info, Page};
use sysinfo_linux::{
    BlockDevice, BlockKind, Cpu, CpuTimes, Disk, Interface, Load, Memory, NetworkKind, Pressure,
    Pressures, Processes,
};

use super::Writing;
use super::kept::Kept;
use crate::place::{Kind, Place};

static CPU: Counter<2> = Counter::new(
    "sigma_host_cpu_seconds_total",
    "Time the processors spent in each mode.",
    ["cpu", "mode"],
);
static CORES: Gauge<0> = Gauge::new("sigma_host_cpu_cores", "Processors that are online.", []);
static FORKS: Counter<0> = Counter::new(
    "sigma_host_forks_total",
    "Processes and threads that were started.",
    [],
);
static SWITCHES: Counter<0> =
    Counter::new("sigma_host_context_switches_total", "Context switches.", []);
static INTERRUPTS: Counter<0> = Counter::new("sigma_host_interrupts_total", "Interrupts.", []);
static RUNNING: Gauge<0> = Gauge::new(
    "sigma_host_processes_running",
    "Processes that run or could run.",
    [],
);
static BLOCKED: Gauge<0> = Gauge::new(
    "sigma_host_processes_blocked",
    "Processes that wait for a disk.",
    [],
);
static MEMORY_TOTAL: Gauge<0> = Gauge::new(
    "sigma_host_memory_total_bytes",
    "Memory of the host, or of its container where that has less.",
    [],
);
static MEMORY_AVAILABLE: Gauge<0> = Gauge::new(
    "sigma_host_memory_available_bytes",
    "Memory that programs could still get without swapping.",
    [],
);
static MEMORY_FREE: Gauge<0> = Gauge::new(
    "sigma_host_memory_free_bytes",
    "Memory that nothing is in.",
    [],
);
static MEMORY_BUFFERS: Gauge<0> = Gauge::new(
    "sigma_host_memory_buffers_bytes",
    "Cached blocks of devices.",
    [],
);
static MEMORY_CACHED: Gauge<0> = Gauge::new(
    "sigma_host_memory_cached_bytes",
    "Cached files, shared memory included.",
    [],
);
static SWAP_TOTAL: Gauge<0> = Gauge::new("sigma_host_swap_total_bytes", "Swap space.", []);
static SWAP_USED: Gauge<0> = Gauge::new("sigma_host_swap_used_bytes", "Swap space in use.", []);
static DISK_SIZE: Gauge<3> = Gauge::new(
    "sigma_host_filesystem_size_bytes",
    "Size of a file system.",
    FILE_SYSTEM,
);
static DISK_FREE: Gauge<3> = Gauge::new(
    "sigma_host_filesystem_free_bytes",
    "Free space, that kept for root included.",
    FILE_SYSTEM,
);
static DISK_AVAILABLE: Gauge<3> = Gauge::new(
    "sigma_host_filesystem_available_bytes",
    "Space that ordinary users can still fill.",
    FILE_SYSTEM,
);
static DISK_INODES: Gauge<3> = Gauge::new(
    "sigma_host_filesystem_inodes",
    "Inodes of a file system.",
    FILE_SYSTEM,
);
static DISK_FREE_INODES: Gauge<3> = Gauge::new(
    "sigma_host_filesystem_free_inodes",
    "Inodes that are free.",
    FILE_SYSTEM,
);
static DISK_READ_ONLY: Gauge<3> = Gauge::new(
    "sigma_host_filesystem_readonly",
    "Whether nothing can be written.",
    FILE_SYSTEM,
);
static READ_BYTES: Counter<1> = Counter::new(
    "sigma_host_disk_read_bytes_total",
    "Bytes read from a disk.",
    ["device"],
);
static WRITTEN_BYTES: Counter<1> = Counter::new(
    "sigma_host_disk_written_bytes_total",
    "Bytes written to a disk.",
    ["device"],
);
static READS: Counter<1> = Counter::new(
    "sigma_host_disk_reads_total",
    "Reads that a disk completed.",
    ["device"],
);
static WRITES: Counter<1> = Counter::new(
    "sigma_host_disk_writes_total",
    "Writes that a disk completed.",
    ["device"],
);
static BUSY: Counter<1> = Counter::new(
    "sigma_host_disk_busy_seconds_total",
    "Time in which a disk had requests under way.",
    ["device"],
);
static RECEIVED: Counter<1> = Counter::new(
    "sigma_host_network_receive_bytes_total",
    "Bytes received.",
    ["device"],
);
static SENT: Counter<1> = Counter::new(
    "sigma_host_network_transmit_bytes_total",
    "Bytes sent.",
    ["device"],
);
static RECEIVED_PACKETS: Counter<1> = Counter::new(
    "sigma_host_network_receive_packets_total",
    "Packets received.",
    ["device"],
);
static SENT_PACKETS: Counter<1> = Counter::new(
    "sigma_host_network_transmit_packets_total",
    "Packets sent.",
    ["device"],
);
static RECEIVE_ERRORS: Counter<1> = Counter::new(
    "sigma_host_network_receive_errors_total",
    "Packets received with an error.",
    ["device"],
);
static SEND_ERRORS: Counter<1> = Counter::new(
    "sigma_host_network_transmit_errors_total",
    "Packets that could not be sent.",
    ["device"],
);
static RECEIVE_DROPS: Counter<1> = Counter::new(
    "sigma_host_network_receive_drop_total",
    "Packets dropped on the way in.",
    ["device"],
);
static SEND_DROPS: Counter<1> = Counter::new(
    "sigma_host_network_transmit_drop_total",
    "Packets dropped on the way out.",
    ["device"],
);
static PHYSICAL: Gauge<2> = Gauge::new(
    "sigma_host_network_physical",
    "Whether an interface is the host's own connection to the outside: sums over those count each byte once.",
    ["device", "kind"],
);
static LOAD_1: Gauge<0> = Gauge::new("sigma_host_load1", "Load average of the last minute.", []);
static LOAD_5: Gauge<0> = Gauge::new(
    "sigma_host_load5",
    "Load average of the last 5 minutes.",
    [],
);
static LOAD_15: Gauge<0> = Gauge::new(
    "sigma_host_load15",
    "Load average of the last 15 minutes.",
    [],
);
static UPTIME: Gauge<0> = Gauge::new(
    "sigma_host_uptime_seconds",
    "Time since the host started.",
    [],
);
static BOOT: Gauge<0> = Gauge::new("sigma_host_boot_time_seconds", "When the host started.", []);
static WAITING: Counter<1> = Counter::new(
    "sigma_host_pressure_waiting_seconds_total",
    "Time in which some tasks waited for a resource.",
    ["resource"],
);
static STALLED: Counter<1> = Counter::new(
    "sigma_host_pressure_stalled_seconds_total",
    "Time in which all tasks waited for a resource.",
    ["resource"],
);
static PROCESSES: Gauge<1> = Gauge::new("sigma_host_processes", "Processes by state.", ["state"]);
static OPEN_FILES: Gauge<0> = Gauge::new(
    "sigma_host_open_files",
    "Files that are open on the whole host.",
    [],
);
static OPEN_FILES_LIMIT: Gauge<0> = Gauge::new(
    "sigma_host_open_files_limit",
    "Files that can be open at a time.",
    [],
);
static HOST: Info<4> = Info::new(
    "sigma_host_info",
    "What kind of host this is.",
    ["os", "kernel", "architecture", "virtualization"],
);

const FILE_SYSTEM: [&str; 3] = ["device", "fstype", "mountpoint"];

pub(super) fn write(writing: &mut Writing, place: &Place, kept: &mut Kept) {
    let host = &mut *place.host();
    writing.source("cpu", || host.cpu(), |page, it| cpu(page, &it));
    writing.source("memory", || kept.memory(host), |page, it| memory(page, &it));
    writing.source(
        "filesystem",
        || host.disks(),
        |page, disks| disks.iter().for_each(|disk| file_system(page, disk)),
    );
    writing.source(
        "disk",
        || kept.disks(host),
        |page, disks| {
            disks
                .iter()
                .for_each(|(device, kind)| disk_io(page, device, *kind));
        },
    );
    writing.source(
        "network",
        || kept.networks(host),
        |page, networks| {
            for (interface, kind, physical) in &networks {
                network(page, interface, *kind, *physical);
            }
        },
    );
    writing.source("load", || host.load(), load);
    writing.source(
        "uptime",
        || host.uptime(),
        |page, uptime| page.gauge(&UPTIME, (), uptime.since_boot),
    );
    writing.source("pressure", || host.pressure(), pressure);
    writing.source("processes", || place.processes(host), processes);
    writing.source(
        "open_files",
        || host.open_files(),
        |page, files| {
            page.gauge(&OPEN_FILES, (), files.open);
            page.gauge(&OPEN_FILES_LIMIT, (), files.limit);
        },
    );
    if writing.wants("identity") {
        identity(&mut writing.page, place.kind(host));
    }
}

fn cpu(page: &mut Page, cpu: &Cpu) {
    for core in &cpu.cores {
        times(page, &core.index.to_string(), &core.times);
    }
    page.gauge(
        &CORES,
        (),
        u64::try_from(cpu.cores.len()).unwrap_or(u64::MAX),
    );
    for (family, value) in [
        (&FORKS, cpu.forks),
        (&SWITCHES, cpu.context_switches),
        (&INTERRUPTS, cpu.interrupts),
    ] {
        if let Some(value) = value {
            page.counter(family, (), value);
        }
    }
    gauge(page, &RUNNING, cpu.running);
    gauge(page, &BLOCKED, cpu.blocked);
    if let Some(since) = cpu
        .boot_time
        .and_then(|boot| boot.duration_since(UNIX_EPOCH).ok())
    {
        page.gauge(&BOOT, (), since);
    }
}

fn times(page: &mut Page, core: &str, times: &CpuTimes) {
    let modes = [
        ("user", Some(times.user)),
        ("nice", Some(times.nice)),
        ("system", Some(times.system)),
        ("idle", Some(times.idle)),
        ("iowait", Some(times.iowait)),
        ("irq", Some(times.irq)),
        ("softirq", Some(times.softirq)),
        ("steal", times.steal),
    ];
    for (mode, ticks) in modes {
        if let Some(ticks) = ticks {
            page.counter(&CPU, [core, mode], seconds(ticks));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows no other numbers than these"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / CpuTimes::TICKS_PER_SECOND as f64
}

fn memory(page: &mut Page, memory: &Memory) {
    page.gauge(&MEMORY_TOTAL, (), memory.effective_total_bytes());
    gauge(page, &MEMORY_AVAILABLE, memory.effective_available_bytes());
    gauge(page, &MEMORY_FREE, memory.meminfo.free_bytes);
    gauge(page, &MEMORY_BUFFERS, memory.meminfo.buffers_bytes);
    gauge(page, &MEMORY_CACHED, memory.meminfo.cached_bytes);
    gauge(page, &SWAP_TOTAL, memory.meminfo.swap_total_bytes);
    gauge(page, &SWAP_USED, memory.swap_used_bytes());
}

fn file_system(page: &mut Page, disk: &Disk) {
    let Some(usage) = disk.known_usage() else {
        return;
    };
    let labels = [
        disk.source.as_bytes(),
        disk.fs_type.as_bytes(),
        disk.mount_point.as_os_str().as_bytes(),
    ];
    page.gauge(&DISK_SIZE, labels, usage.total_bytes);
    page.gauge(&DISK_FREE, labels, usage.free_bytes);
    page.gauge(&DISK_AVAILABLE, labels, usage.available_bytes);
    page.gauge(&DISK_READ_ONLY, labels, disk.is_read_only);
    if let Some(inodes) = usage.inodes {
        page.gauge(&DISK_INODES, labels, inodes);
    }
    if let Some(free) = usage.free_inodes {
        page.gauge(&DISK_FREE_INODES, labels, free);
    }
}

fn disk_io(page: &mut Page, disk: &BlockDevice, kind: BlockKind) {
    if !matches!(kind, BlockKind::Disk | BlockKind::Stacked) {
        return;
    }
    let device = [disk.name.as_bytes()];
    page.counter(&READ_BYTES, device, disk.read_bytes);
    page.counter(&WRITTEN_BYTES, device, disk.written_bytes);
    page.counter(&READS, device, disk.reads);
    page.counter(&WRITES, device, disk.writes);
    page.counter(&BUSY, device, disk.busy_time);
}

fn network(page: &mut Page, interface: &Interface, kind: NetworkKind, physical: bool) {
    if kind == NetworkKind::Loopback {
        return;
    }
    let device = [interface.name.as_bytes()];
    let (received, sent) = (&interface.received, &interface.sent);
    for (family, value) in [
        (&RECEIVED, received.bytes),
        (&SENT, sent.bytes),
        (&RECEIVED_PACKETS, received.packets),
        (&SENT_PACKETS, sent.packets),
        (&RECEIVE_ERRORS, received.errors),
        (&SEND_ERRORS, sent.errors),
        (&RECEIVE_DROPS, received.dropped),
        (&SEND_DROPS, sent.dropped),
    ] {
        page.counter(family, device, value);
    }
    let labels = [interface.name.as_bytes(), kind.as_str().as_bytes()];
    page.gauge(&PHYSICAL, labels, physical);
}

fn load(page: &mut Page, load: Load) {
    page.gauge(&LOAD_1, (), load.one);
    page.gauge(&LOAD_5, (), load.five);
    page.gauge(&LOAD_15, (), load.fifteen);
}

fn pressure(page: &mut Page, pressures: Pressures) {
    for (resource, pressure) in [
        ("cpu", pressures.cpu),
        ("memory", pressures.memory),
        ("io", pressures.io),
        ("irq", pressures.irq),
    ] {
        let Some(Pressure { some, full, .. }) = pressure else {
            continue;
        };
        if let Some(some) = some {
            page.counter(&WAITING, [resource], some.total);
        }
        if let Some(full) = full {
            page.counter(&STALLED, [resource], full.total);
        }
    }
}

fn processes(page: &mut Page, processes: Processes) {
    for (state, count) in [
        ("running", processes.running),
        ("sleeping", processes.sleeping),
        ("uninterruptible", processes.uninterruptible),
        ("idle", processes.idle),
        ("stopped", processes.stopped),
        ("zombie", processes.zombie),
        ("other", processes.other),
    ] {
        page.gauge(&PROCESSES, [state], count);
    }
}

fn identity(page: &mut Page, kind: &Kind) {
    let known = |fact: &Option<String>| fact.clone().unwrap_or_default();
    let labels = [
        known(&kind.os),
        known(&kind.kernel),
        known(&kind.architecture),
        kind.virtualization.unwrap_or_default().to_owned(),
    ];
    page.info(&HOST, labels);
}

fn gauge(page: &mut Page, family: &Gauge<0>, value: Option<u64>) {
    if let Some(value) = value {
        page.gauge(family, (), value);
    }
}
