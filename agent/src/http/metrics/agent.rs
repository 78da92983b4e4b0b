//! The agent's own part of the page.

use std::time::UNIX_EPOCH;

use periodic::{Health, State};
use promexport::{Counter, Gauge, Info, Page};

use crate::process::usage;
use crate::shared::Shared;

static BUILD: Info<1> = Info::new("sigma_build_info", "The agent's version.", ["version"]);
static TASK_UP: Gauge<1> = Gauge::new(
    "sigma_task_up",
    "Whether the last run of a task succeeded; absent before its first run has ended.",
    ["task"],
);
static TASK_RUNS: Counter<1> = Counter::new(
    "sigma_task_runs_total",
    "Runs of a task that ended.",
    ["task"],
);
static TASK_FAILURES: Counter<1> = Counter::new(
    "sigma_task_failures_total",
    "Runs of a task that failed.",
    ["task"],
);
static TASK_LAST: Gauge<1> = Gauge::new(
    "sigma_task_last_success_timestamp_seconds",
    "When a task last succeeded.",
    ["task"],
);
static TASK_SECONDS: Gauge<1> = Gauge::new(
    "sigma_task_last_duration_seconds",
    "How long the last run of a task took.",
    ["task"],
);
static CPU: Counter<0> = Counter::new(
    "process_cpu_seconds_total",
    "Processor time of the agent.",
    [],
);
static RESIDENT: Gauge<0> = Gauge::new(
    "process_resident_memory_bytes",
    "Resident memory of the agent.",
    [],
);
static VIRTUAL: Gauge<0> = Gauge::new(
    "process_virtual_memory_bytes",
    "Virtual memory of the agent.",
    [],
);
static THREADS: Gauge<0> = Gauge::new("process_threads", "Threads of the agent.", []);
static FILES: Gauge<0> = Gauge::new("process_open_fds", "Files that the agent has open.", []);
static FILES_LIMIT: Gauge<0> =
    Gauge::new("process_max_fds", "Files that the agent may have open.", []);
static START: Gauge<0> = Gauge::new("process_start_time_seconds", "When the agent started.", []);

pub(super) fn write(page: &mut Page, shared: &Shared, tasks: &[Health]) {
    page.info(&BUILD, [env!("CARGO_PKG_VERSION")]);
    tasks.iter().for_each(|health| task(page, health));
    process(page, shared);
}

fn task(page: &mut Page, health: &Health) {
    let task = [&*health.name];
    match health.state {
        State::Waiting => {}
        state => page.gauge(&TASK_UP, task, state == State::Ok),
    }
    page.counter(&TASK_RUNS, task, health.runs);
    page.counter(&TASK_FAILURES, task, health.failures);
    if let Some(since) = health
        .last_success
        .and_then(|success| success.wall.duration_since(UNIX_EPOCH).ok())
    {
        page.gauge(&TASK_LAST, task, since);
    }
    if let Some(took) = health.last_duration {
        page.gauge(&TASK_SECONDS, task, took);
    }
}

/// The figures that every Prometheus client tells of its process.
fn process(page: &mut Page, shared: &Shared) {
    let Some(usage) = usage() else {
        return;
    };
    page.counter(&CPU, (), usage.cpu);
    page.gauge(&RESIDENT, (), usage.resident_bytes);
    page.gauge(&VIRTUAL, (), usage.virtual_bytes);
    page.gauge(&THREADS, (), usage.threads);
    if let Some(files) = usage.open_files {
        page.gauge(&FILES, (), files);
    }
    if let Some(limit) = usage.max_files {
        page.gauge(&FILES_LIMIT, (), limit);
    }
    if let Ok(since) = shared.began.duration_since(UNIX_EPOCH) {
        page.gauge(&START, (), since);
    }
}
