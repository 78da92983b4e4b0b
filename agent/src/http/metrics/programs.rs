//! What the page tells of signed programs.

use promexport::{Counter, Gauge, Info, Page};

use crate::programs::nats::Figures;
use crate::programs::{Desk, Running};

static INFO: Info<5> = Info::new(
    "sigma_program_info",
    "A program at work.",
    ["artifact_id", "name", "version", "digest", "trust"],
);
static RUNNING: Gauge<0> = Gauge::new("sigma_programs_running", "Programs at work.", []);
static FAILED: Gauge<0> = Gauge::new(
    "sigma_programs_failed",
    "Assigned programs that do not run because something is wrong with them.",
    [],
);
static ASSIGNED: Gauge<0> = Gauge::new(
    "sigma_programs_assigned",
    "Programs in the last listing of the registry; absent before the first.",
    [],
);
static QUARANTINED: Gauge<0> = Gauge::new(
    "sigma_programs_quarantined",
    "Archives that are barred for a while.",
    [],
);
static KEYS: Gauge<0> = Gauge::new("sigma_programs_trusted_keys", "Keys that count now.", []);
static POLICY: Gauge<1> = Gauge::new(
    "sigma_programs_signature_policy",
    "1 for the policy in force: insecure-accept takes whatever the registry sends.",
    ["policy"],
);
static HEALTHY: Gauge<0> = Gauge::new(
    "sigma_programs_healthy",
    "Whether programs can be run and their state can be written.",
    [],
);
static REGISTRY: Gauge<0> = Gauge::new(
    "sigma_programs_registry_up",
    "Whether the registry answered when it was last asked.",
    [],
);
static LOADS: Counter<0> = Counter::new("sigma_programs_loads_total", "Programs loaded.", []);
static LOAD_FAILURES: Counter<0> = Counter::new(
    "sigma_programs_load_failures_total",
    "Loads that came to nothing.",
    [],
);
static UNLOADS: Counter<1> = Counter::new(
    "sigma_programs_unloads_total",
    "Programs unloaded, by why.",
    ["reason"],
);
static REFUSALS: Counter<1> = Counter::new(
    "sigma_programs_refusals_total",
    "Listed artifacts that were not trusted or could not be had, by why.",
    ["code"],
);
static ROLLBACKS: Counter<0> = Counter::new(
    "sigma_programs_rollbacks_total",
    "Rollbacks that were completed.",
    [],
);
static CUT_OFFS: Counter<0> = Counter::new(
    "sigma_programs_cut_offs_total",
    "Programs that were undone because they had cut off the agent.",
    [],
);
static WAITING: Gauge<0> = Gauge::new(
    "sigma_programs_outbox_messages",
    "Messages that wait to be published.",
    [],
);
static DROPPED: Counter<0> = Counter::new(
    "sigma_programs_outbox_dropped_total",
    "Messages that were given up because too many waited.",
    [],
);
static NATS_UP: Gauge<0> = Gauge::new(
    "sigma_programs_nats_up",
    "Whether there is a connection to NATS.",
    [],
);
static NATS_WAITING: Gauge<0> = Gauge::new(
    "sigma_programs_nats_waiting_messages",
    "Messages that must not be lost and wait for NATS.",
    [],
);
static NATS_MESSAGES: Counter<1> = Counter::new(
    "sigma_programs_nats_messages_total",
    "Messages by what became of them: published, given up, not permitted by the server.",
    ["result"],
);
static NATS_REQUESTS: Counter<1> = Counter::new(
    "sigma_programs_nats_requests_total",
    "Requests that came over NATS: understood, or not understood or not signed.",
    ["result"],
);
static TTL: Gauge<2> = Gauge::new(
    "sigma_program_ttl_seconds",
    "Time until a program is unloaded.",
    ["artifact_id", "name"],
);
static CPU: Counter<2> = Counter::new(
    "sigma_program_run_seconds_total",
    "Time spent in a program; absent unless the kernel counts.",
    ["artifact_id", "name"],
);
static RUNS: Counter<2> = Counter::new(
    "sigma_program_runs_total",
    "Runs of a program; absent unless the kernel counts.",
    ["artifact_id", "name"],
);
static MEMORY: Gauge<2> = Gauge::new(
    "sigma_program_memory_bytes",
    "Kernel memory that a program and its maps lock.",
    ["artifact_id", "name"],
);
static PACKETS: Counter<2> = Counter::new(
    "sigma_program_packets_total",
    "Packets, system calls or events that a program looked at.",
    ["artifact_id", "name"],
);
static VIOLATIONS: Counter<2> = Counter::new(
    "sigma_program_violations_total",
    "Broken rules; of an enforcing program, what it has blocked.",
    ["artifact_id", "name"],
);
static ERRORS: Counter<2> = Counter::new(
    "sigma_program_errors_total",
    "Errors of a program, and runs that were left out.",
    ["artifact_id", "name"],
);

fn write_nats(page: &mut Page, nats: &Figures) {
    page.gauge(&NATS_UP, (), nats.connected);
    page.gauge(&NATS_WAITING, (), nats.waiting);
    page.counter(&NATS_MESSAGES, ["published"], nats.published);
    page.counter(&NATS_MESSAGES, ["dropped"], nats.dropped);
    page.counter(&NATS_MESSAGES, ["denied"], nats.denied);
    page.counter(&NATS_REQUESTS, ["understood"], nats.requests);
    page.counter(&NATS_REQUESTS, ["bad"], nats.bad_requests);
}

pub(super) fn write(page: &mut Page, desk: &Desk) {
    let view = desk.view();
    page.gauge(&HEALTHY, (), view.problems.is_empty());
    page.gauge(&REGISTRY, (), desk.registry_answers());
    page.gauge(&POLICY, [desk.settings().policy.name()], true);
    page.gauge(&RUNNING, (), view.running.len());
    page.gauge(&FAILED, (), view.failed.len());
    if let Some(assigned) = view.assigned {
        page.gauge(&ASSIGNED, (), assigned);
    }
    page.gauge(&QUARANTINED, (), view.quarantined.len());
    page.gauge(&KEYS, (), view.keys);
    let counts = &view.counts;
    page.counter(&LOADS, (), counts.loads);
    page.counter(&LOAD_FAILURES, (), counts.load_failures);
    for (reason, count) in &counts.unloads {
        page.counter(&UNLOADS, [*reason], *count);
    }
    for (code, count) in &counts.refusals {
        page.counter(&REFUSALS, [*code], *count);
    }
    page.counter(&ROLLBACKS, (), counts.rollbacks);
    page.counter(&CUT_OFFS, (), counts.cut_offs);
    page.gauge(&WAITING, (), desk.outbox().len());
    page.counter(&DROPPED, (), desk.outbox().dropped());
    if let Some(nats) = desk.nats() {
        write_nats(page, &nats);
    }
    let now = view.now();
    for running in &view.running {
        let name = [running.id.as_str(), running.name.as_str()];
        page.info(
            &INFO,
            [
                &running.id,
                &running.name,
                &running.version,
                &running.digest,
                &running.trust,
            ],
        );
        if let Some(now) = &now {
            page.gauge(&TTL, name, running.deadline.seconds_left(now));
        }
        figures(page, running, name);
    }
}

fn figures(page: &mut Page, running: &Running, name: [&str; 2]) {
    let numbers = &running.numbers;
    if let Some(seconds) = numbers.run_seconds {
        page.counter(&CPU, name, seconds);
    }
    if let Some(bytes) = numbers.memory_bytes {
        page.gauge(&MEMORY, name, bytes);
    }
    for (counter, figure) in [
        (&RUNS, numbers.runs),
        (&PACKETS, numbers.packets),
        (&VIOLATIONS, numbers.violations),
        (&ERRORS, numbers.errors),
    ] {
        if let Some(figure) = figure {
            page.counter(counter, name, figure);
        }
    }
}
