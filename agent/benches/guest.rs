//! What the guest role costs, beside Debian's node_exporter and a C program that answers one fixed page.
//!
//! `cargo static-guest && SIGMA_AGENT_BINARY=$PWD/target/x86_64-unknown-linux-gnu/guest/sigma-agent cargo bench -p sigma-agent --bench guest`
//! measures the binary as it ships. Server and clients have one processor each, where there are two.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures, and one that fails is meant to stop"
)]

mod peers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use peers::{Connection, Running, floor, hear_of_the_end, node_exporter, wait};

/// Odd numbers, so that one of them is the median.
const STARTS: usize = 11;
const ROUNDS: usize = 5;
/// Requests of a round one by one, and over each of the connections at once.
const ONE_BY_ONE: usize = 2_000;
const CONNECTIONS: usize = 8;
const AT_ONCE: usize = 2_500;
/// Until helpers of the start have gone, and the first samples are taken.
const SETTLED: Duration = Duration::from_secs(4);
/// What memory is looked at after.
const MANY: usize = 100_000;
/// Threads come and go; a look at how many there are.
const LOOKS: usize = 20;

struct Subject {
    name: &'static str,
    binary: PathBuf,
    arguments: &'static str,
    page: &'static str,
    first: &'static str,
}

/// What was measured of one.
struct Figures {
    name: &'static str,
    bytes: u64,
    start: f64,
    /// VmRSS and RssAnon in KiB: idle, and after many requests.
    idle: [u64; 2],
    after: [u64; 2],
    threads: u64,
    /// p50 and p99 in seconds, requests a second.
    rounds: [Vec<f64>; 3],
}

fn main() {
    hear_of_the_end();
    let folder =
        std::env::temp_dir().join(format!("sigma-agent-guest-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let agent = std::env::var_os("SIGMA_AGENT_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_sigma-agent").into(), PathBuf::from);
    assert!(agent.is_absolute(), "SIGMA_AGENT_BINARY: not a whole path");
    let subjects = subjects(&agent, &folder);
    // Before anybody is kept on one processor.
    let starts: Vec<f64> = subjects.iter().map(started).collect();
    let subjects_and_starts = subjects.iter().zip(starts);
    let mut figures: Vec<Figures> = subjects_and_starts
        .map(|(one, start)| settled(one, start))
        .collect();
    let running: Vec<Running> = subjects.iter().map(start).collect();
    wait(SETTLED);
    for _ in 0..ROUNDS {
        for ((subject, running), figures) in subjects.iter().zip(&running).zip(&mut figures) {
            one_by_one(subject, running, figures);
            at_once(subject, running, figures);
        }
    }
    println!("\nbinary: {}", agent.display());
    println!(
        "{STARTS} starts; {ROUNDS} rounds by turns of {ONE_BY_ONE} requests over one connection and of {CONNECTIONS} connections with {AT_ONCE} each; medians\n"
    );
    table(&figures);
    let _ = std::fs::remove_dir_all(&folder);
}

fn subjects(agent: &Path, folder: &Path) -> Vec<Subject> {
    let mut subjects = vec![Subject {
        name: "guest agent",
        binary: agent.to_owned(),
        arguments: "--role guest --config /dev/null --metrics-address 127.0.0.1 --metrics-port {port}",
        page: "/metrics",
        first: "/health",
    }];
    match floor(folder) {
        Ok(binary) => subjects.push(Subject {
            name: "C floor",
            binary,
            arguments: "{port}",
            page: "/",
            first: "/",
        }),
        Err(why) => println!("skipped: C floor: {why}"),
    }
    match node_exporter() {
        Some(binary) => subjects.push(Subject {
            name: "node_exporter",
            binary,
            arguments: "--web.listen-address=127.0.0.1:{port} --web.disable-exporter-metrics --collector.disable-defaults --collector.cpu --collector.meminfo --collector.loadavg",
            page: "/metrics",
            first: "/",
        }),
        None => println!("skipped: node_exporter: prometheus-node-exporter is not on PATH"),
    }
    subjects
}

/// Servers get the first processor, this program the rest.
fn start(subject: &Subject) -> Running {
    let running = Running::start(&subject.binary, subject.arguments);
    running.stay_on(0);
    running
}

/// Seconds from the start to the first answer, the median of some.
fn started(subject: &Subject) -> f64 {
    let mut starts = [0.0; STARTS];
    for time in &mut starts {
        let begin = Instant::now();
        let running = Running::start(&subject.binary, subject.arguments);
        Connection::new(running.port, subject.first).ask();
        *time = begin.elapsed().as_secs_f64();
    }
    median(&starts)
}

/// Idle memory, and memory after many requests: of a program that nothing else has asked anything.
fn settled(subject: &Subject, start_seconds: f64) -> Figures {
    let running = start(subject);
    let memory = || ["VmRSS", "RssAnon"].map(|field| running.status(field));
    wait(SETTLED);
    let idle = memory();
    let mut threads = 0;
    let mut connection = Connection::new(running.port, subject.page);
    for turn in 0..LOOKS {
        (0..MANY / LOOKS).for_each(|_| {
            connection.ask();
        });
        if turn > 0 {
            threads = threads.max(running.status("Threads"));
        }
    }
    Figures {
        name: subject.name,
        bytes: std::fs::metadata(&subject.binary).unwrap().len(),
        start: start_seconds,
        idle,
        after: memory(),
        threads,
        rounds: Default::default(),
    }
}

fn one_by_one(subject: &Subject, running: &Running, figures: &mut Figures) {
    let mut connection = Connection::new(running.port, subject.page);
    let mut times = [0.0; ONE_BY_ONE];
    for time in &mut times {
        let start = Instant::now();
        connection.ask();
        *time = start.elapsed().as_secs_f64();
    }
    times.sort_unstable_by(f64::total_cmp);
    figures.rounds[0].push(times[ONE_BY_ONE / 2]);
    figures.rounds[1].push(times[ONE_BY_ONE * 99 / 100]);
}

fn at_once(subject: &Subject, running: &Running, figures: &mut Figures) {
    let connections = [(); CONNECTIONS].map(|()| Connection::new(running.port, subject.page));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for mut connection in connections {
            scope.spawn(move || (0..AT_ONCE).map(|_| connection.ask()).sum::<usize>());
        }
    });
    let requests = (CONNECTIONS * AT_ONCE) as f64;
    figures.rounds[2].push(requests / start.elapsed().as_secs_f64());
}

fn median(rounds: &[f64]) -> f64 {
    let mut rounds = rounds.to_vec();
    rounds.sort_unstable_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn table(figures: &[Figures]) {
    type Row = (&'static str, fn(&Figures) -> f64);
    const ROWS: [Row; 10] = [
        ("binary, bytes", |one| one.bytes as f64),
        ("start to first answer, ms", |one| one.start * 1e3),
        ("RSS idle, KiB", |one| one.idle[0] as f64),
        ("  of its own (RssAnon)", |one| one.idle[1] as f64),
        ("RSS after 100,000, KiB", |one| one.after[0] as f64),
        ("  of its own (RssAnon)", |one| one.after[1] as f64),
        ("threads", |one| one.threads as f64),
        ("p50 one by one, us", |one| median(&one.rounds[0]) * 1e6),
        ("p99 one by one, us", |one| median(&one.rounds[1]) * 1e6),
        ("requests/s, 8 at once", |one| median(&one.rounds[2])),
    ];
    print!("{:<28}", "");
    figures.iter().for_each(|one| print!("{:>15}", one.name));
    println!();
    for (label, figure) in ROWS {
        print!("{label:<28}");
        figures
            .iter()
            .for_each(|one| print!("{:>15.1}", figure(one)));
        println!();
    }
}
