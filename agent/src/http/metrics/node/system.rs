//! The kernel as a whole: its name, load, pressure, processes, files and entropy.

use promexport::{Counter, Gauge, Info, Page};

use super::Outcome;
use super::tree::Tree;

static UNAME: Info<6> = Info::new(
    "node_uname_info",
    "What the kernel says of itself.",
    [
        "sysname",
        "release",
        "version",
        "machine",
        "nodename",
        "domainname",
    ],
);
static LOAD: [Gauge<0>; 3] = [
    Gauge::new("node_load1", "Load average of the last minute.", []),
    Gauge::new("node_load5", "Load average of the last 5 minutes.", []),
    Gauge::new("node_load15", "Load average of the last 15 minutes.", []),
];
static CPU_WAITING: Counter<0> = Counter::new(
    "node_pressure_cpu_waiting_seconds_total",
    "Time in which some tasks waited for a processor.",
    [],
);
static IO_WAITING: Counter<0> = Counter::new(
    "node_pressure_io_waiting_seconds_total",
    "Time in which some tasks waited for a disk.",
    [],
);
static IO_STALLED: Counter<0> = Counter::new(
    "node_pressure_io_stalled_seconds_total",
    "Time in which all tasks waited for a disk.",
    [],
);
static MEMORY_WAITING: Counter<0> = Counter::new(
    "node_pressure_memory_waiting_seconds_total",
    "Time in which some tasks waited for memory.",
    [],
);
static MEMORY_STALLED: Counter<0> = Counter::new(
    "node_pressure_memory_stalled_seconds_total",
    "Time in which all tasks waited for memory.",
    [],
);
static IRQ_STALLED: Counter<0> = Counter::new(
    "node_pressure_irq_stalled_seconds_total",
    "Time in which all tasks waited for interrupts.",
    [],
);
static STATES: Gauge<1> = Gauge::new(
    "node_processes_state",
    "Processes in each state.",
    ["state"],
);
static PIDS: Gauge<0> = Gauge::new("node_processes_pids", "Processes.", []);
static THREADS: Gauge<0> = Gauge::new("node_processes_threads", "Threads.", []);
static MAX_PIDS: Gauge<0> = Gauge::new(
    "node_processes_max_processes",
    "Process numbers that the kernel gives.",
    [],
);
static MAX_THREADS: Gauge<0> = Gauge::new(
    "node_processes_max_threads",
    "Threads that the kernel can have.",
    [],
);
static FILES: Gauge<0> = Gauge::new(
    "node_filefd_allocated",
    "Files that are open on the whole host.",
    [],
);
static FILES_LIMIT: Gauge<0> = Gauge::new(
    "node_filefd_maximum",
    "Files that can be open at a time.",
    [],
);
static ENTROPY: Gauge<0> = Gauge::new(
    "node_entropy_available_bits",
    "Bits of entropy that the kernel has.",
    [],
);
static ENTROPY_SIZE: Gauge<0> = Gauge::new(
    "node_entropy_pool_size_bits",
    "Bits of entropy that the kernel can have.",
    [],
);

pub(super) fn uname(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let machine = tree.place.kind(&tree.place.host()).architecture.clone();
    let mut word = |name: &str| -> std::io::Result<String> {
        let text = tree.proc(&format!("sys/kernel/{name}"))?;
        Ok(text.trim_end_matches('\n').to_owned())
    };
    let labels = [
        word("ostype")?,
        word("osrelease")?,
        word("version")?,
        machine.ok_or("the architecture is not known")?,
        word("hostname")?,
        word("domainname")?,
    ];
    page.info(&UNAME, labels);
    Ok(())
}

pub(super) fn loadavg(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let load = tree.place.host().load()?;
    for (family, value) in LOAD.iter().zip([load.one, load.five, load.fifteen]) {
        page.gauge(family, (), value);
    }
    Ok(())
}

pub(super) fn pressure(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let told = tree.place.host().pressure()?;
    let some = |pressure: Option<sysinfo_linux::Pressure>| pressure.and_then(|one| one.some);
    let full = |pressure: Option<sysinfo_linux::Pressure>| pressure.and_then(|one| one.full);
    for (family, stall) in [
        (&CPU_WAITING, some(told.cpu)),
        (&IO_WAITING, some(told.io)),
        (&IO_STALLED, full(told.io)),
        (&MEMORY_WAITING, some(told.memory)),
        (&MEMORY_STALLED, full(told.memory)),
        (&IRQ_STALLED, full(told.irq)),
    ] {
        if let Some(stall) = stall {
            page.counter(family, (), stall.total);
        }
    }
    Ok(())
}

pub(super) fn processes(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let (counted, load) = {
        let mut host = tree.place.host();
        (tree.place.processes(&host)?, host.load()?)
    };
    for (state, count) in [
        ("R", counted.running),
        ("S", counted.sleeping),
        ("D", counted.uninterruptible),
        ("I", counted.idle),
        ("T", counted.stopped),
        ("Z", counted.zombie),
    ] {
        page.gauge(&STATES, [state], count);
    }
    page.gauge(&PIDS, (), counted.total);
    if let Some(threads) = load.tasks {
        page.gauge(&THREADS, (), threads);
    }
    number(page, tree, "sys/kernel/pid_max", &MAX_PIDS)?;
    number(page, tree, "sys/kernel/threads-max", &MAX_THREADS)
}

pub(super) fn filefd(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let files = tree.place.host().open_files()?;
    page.gauge(&FILES, (), files.open);
    page.gauge(&FILES_LIMIT, (), files.limit);
    Ok(())
}

pub(super) fn entropy(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    number(page, tree, "sys/kernel/random/entropy_avail", &ENTROPY)?;
    number(page, tree, "sys/kernel/random/poolsize", &ENTROPY_SIZE)
}

/// Shows a file that holds one number.
fn number(page: &mut Page, tree: &mut Tree<'_>, file: &str, family: &Gauge<0>) -> Outcome {
    let value: u64 = tree.proc(file)?.trim_ascii().parse()?;
    page.gauge(family, (), value);
    Ok(())
}
