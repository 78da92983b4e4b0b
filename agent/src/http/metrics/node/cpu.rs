//! Processors: what they did, how fast they are, how long tasks waited for them.

use std::time::UNIX_EPOCH;

use promexport::{Counter, Gauge, Page};
use sysinfo_linux::CpuTimes;

use super::kept::Aged;
use super::tree::{Tree, number, numbered};
use super::{Family, Outcome};

static SECONDS: Counter<2> = Counter::new(
    "node_cpu_seconds_total",
    "Seconds the processors spent in each mode.",
    ["cpu", "mode"],
);
static GUEST: Counter<2> = Counter::new(
    "node_cpu_guest_seconds_total",
    "Seconds the processors spent in guests for each mode.",
    ["cpu", "mode"],
);
static INTERRUPTS: Counter<0> = Counter::new("node_intr_total", "Interrupts.", []);
static SWITCHES: Counter<0> = Counter::new("node_context_switches_total", "Context switches.", []);
static FORKS: Counter<0> = Counter::new(
    "node_forks_total",
    "Processes and threads that were started.",
    [],
);
static BOOT: Gauge<0> = Gauge::new("node_boot_time_seconds", "When the host started.", []);
static RUNNING: Gauge<0> = Gauge::new("node_procs_running", "Processes that run or could run.", []);
static BLOCKED: Gauge<0> = Gauge::new("node_procs_blocked", "Processes that wait for a disk.", []);

/// Files of a processor's `cpufreq`, in kHz.
static FREQUENCIES: [(&str, Gauge<1>); 6] = [
    frequency_of(
        "cpuinfo_cur_freq",
        "node_cpu_frequency_hertz",
        "Frequency as the hardware tells it.",
    ),
    frequency_of(
        "cpuinfo_min_freq",
        "node_cpu_frequency_min_hertz",
        "Lowest possible frequency.",
    ),
    frequency_of(
        "cpuinfo_max_freq",
        "node_cpu_frequency_max_hertz",
        "Highest possible frequency.",
    ),
    frequency_of(
        "scaling_cur_freq",
        "node_cpu_scaling_frequency_hertz",
        "Frequency as the kernel set it.",
    ),
    frequency_of(
        "scaling_min_freq",
        "node_cpu_scaling_frequency_min_hertz",
        "Lowest frequency that the kernel may set.",
    ),
    frequency_of(
        "scaling_max_freq",
        "node_cpu_scaling_frequency_max_hertz",
        "Highest frequency that the kernel may set.",
    ),
];

const fn frequency_of(
    file: &'static str,
    name: &'static str,
    help: &'static str,
) -> (&'static str, Gauge<1>) {
    (file, Gauge::new(name, help, ["cpu"]))
}

/// The last three columns of a processor's line in `schedstat`, and what makes them base units.
static SCHEDULER: [(Family<1>, f64); 3] = [
    (
        Family::counter(
            "node_schedstat_running_seconds_total",
            "Seconds a processor spent running processes.",
            ["cpu"],
        ),
        1e9,
    ),
    (
        Family::counter(
            "node_schedstat_waiting_seconds_total",
            "Seconds processes waited for a processor.",
            ["cpu"],
        ),
        1e9,
    ),
    (
        Family::counter(
            "node_schedstat_timeslices_total",
            "Time slices a processor ran.",
            ["cpu"],
        ),
        1.0,
    ),
];

pub(super) fn cpu(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    for core in tree.place.host().cpu()?.cores {
        let (index, times) = (core.index.to_string(), core.times);
        for (family, mode, ticks) in [
            (&SECONDS, "user", Some(times.user)),
            (&SECONDS, "nice", Some(times.nice)),
            (&SECONDS, "system", Some(times.system)),
            (&SECONDS, "idle", Some(times.idle)),
            (&SECONDS, "iowait", Some(times.iowait)),
            (&SECONDS, "irq", Some(times.irq)),
            (&SECONDS, "softirq", Some(times.softirq)),
            (&SECONDS, "steal", times.steal),
            (&GUEST, "user", times.guest),
            (&GUEST, "nice", times.guest_nice),
        ] {
            if let Some(ticks) = ticks {
                page.counter(family, [&*index, mode], seconds(ticks));
            }
        }
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows no other numbers than these"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / CpuTimes::TICKS_PER_SECOND as f64
}

pub(super) fn stat(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let stat = tree.place.host().cpu()?;
    for (family, value) in [
        (&INTERRUPTS, stat.interrupts),
        (&SWITCHES, stat.context_switches),
        (&FORKS, stat.forks),
    ] {
        if let Some(value) = value {
            page.counter(family, (), value);
        }
    }
    for (family, value) in [(&RUNNING, stat.running), (&BLOCKED, stat.blocked)] {
        if let Some(value) = value {
            page.gauge(family, (), value);
        }
    }
    if let Some(since) = stat
        .boot_time
        .and_then(|boot| boot.duration_since(UNIX_EPOCH).ok())
    {
        page.gauge(&BOOT, (), since);
    }
    Ok(())
}

pub(super) fn frequency(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let kept = tree.kept.frequencies.as_ref().and_then(Aged::get);
    let processors = match kept {
        Some(processors) => processors.clone(),
        None => {
            let mut found = numbered(&tree.sys("devices/system/cpu"), "cpu")?;
            found
                .iter_mut()
                .for_each(|(_, folder)| folder.push("cpufreq"));
            found.retain(|(_, folder)| folder.is_dir());
            tree.kept.frequencies = Some(Aged::now(found.clone()));
            found
        }
    };
    for (index, folder) in processors {
        let cpu = [index.to_string()];
        for (file, family) in &FREQUENCIES {
            if let Some(khz) = number(&folder.join(file)) {
                page.gauge(family, cpu.each_ref(), khz * 1000.0);
            }
        }
    }
    Ok(())
}

pub(super) fn schedstat(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    for line in tree.proc("schedstat")?.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(cpu) = words.next().and_then(|word| word.strip_prefix("cpu")) else {
            continue;
        };
        for ((family, unit), word) in SCHEDULER.iter().zip(words.skip(6)) {
            if let Ok(value) = word.parse::<f64>() {
                family.write(page, [cpu], value / unit);
            }
        }
    }
    Ok(())
}
