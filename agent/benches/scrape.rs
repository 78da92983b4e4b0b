//! What a scrape of the agent costs, beside Debian's node_exporter with the same six sources.
//!
//! `cargo bench -p sigma-agent --no-default-features --features roles --bench scrape` measures the agent as it ships, but for static linking;
//! the variable SIGMA_AGENT_BINARY names another binary by its whole path. Pages are asked for plain, not packed by gzip.

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

use peers::{Connection, Running, hear_of_the_end, node_exporter, wait};

/// An odd number, so that one of them is the median.
const ROUNDS: usize = 5;
/// Scrapes of a round, one by one.
const SCRAPES: usize = 300;
/// Connections at once, and the requests over each of them.
const CONNECTIONS: usize = 8;
const REQUESTS: usize = 250;
const WARM_UP: usize = 20;
/// The first scans learn the host, the next ones are steady.
const FIRST_SCANS: Duration = Duration::from_secs(3);
const STEADY_SCANS: Duration = Duration::from_secs(10);
/// A day's scrapes, one in 15 s, and its scans, one in 60 s.
const SCRAPES_A_DAY: f64 = 5760.0;
const SCANS_A_DAY: f64 = 1440.0;

const SIX: &str = "/metrics?collect[]=cpu&collect[]=memory&collect[]=load&collect[]=filesystem&collect[]=network&collect[]=identity";
const AGENT: &str = "--config /dev/null --hostname bench --api-url http://127.0.0.1:1/api --public-ip-lookup off --metrics-address 127.0.0.1 --metrics-port {port} --port-scan";
const PEER: &str = "--web.listen-address=127.0.0.1:{port} --web.disable-exporter-metrics --collector.disable-defaults --collector.cpu --collector.meminfo --collector.loadavg --collector.filesystem --collector.netdev --collector.uname";

fn main() {
    hear_of_the_end();
    let agent = std::env::var_os("SIGMA_AGENT_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_sigma-agent").into(), PathBuf::from);
    assert!(agent.is_absolute(), "SIGMA_AGENT_BINARY: not a whole path");
    let start = || Running::start(&agent, AGENT);
    let mut subjects = vec![
        Subject::new("agent, six", SIX, start()),
        Subject::new("agent, all", "/metrics", start()),
    ];
    match node_exporter() {
        Some(peer) => {
            let running = Running::start(&peer, PEER);
            subjects.push(Subject::new("node_exporter", "/metrics", running));
        }
        None => println!("skipped: node_exporter: prometheus-node-exporter is not on PATH"),
    }
    for _ in 0..ROUNDS {
        subjects.iter_mut().for_each(Subject::one_by_one);
        subjects.iter_mut().for_each(Subject::at_once);
    }
    println!("\nbinary: {}", agent.display());
    println!(
        "{ROUNDS} rounds by turns: {SCRAPES} scrapes over one connection, then {CONNECTIONS} connections with {REQUESTS} each; medians, CPU time summed\n"
    );
    table(&subjects);

    let scan = steady_scan(&agent);
    let day = subjects[1].cpu() * SCRAPES_A_DAY + scan * SCANS_A_DAY;
    println!(
        "\nCPU time of a day: agent, {SCRAPES_A_DAY} scrapes of all and {SCANS_A_DAY} scans of {:.2} ms (wall time, steady): {day:.2} s; node_exporter, its scrapes: {:.2} s",
        scan * 1e3,
        subjects.get(2).map_or(f64::NAN, Subject::cpu) * SCRAPES_A_DAY
    );
}

/// A page of a program at work, and the figures of each round.
struct Subject {
    name: &'static str,
    page: &'static str,
    running: Running,
    size: usize,
    ticks: u64,
    /// p50 and p99 in seconds, requests a second.
    rounds: [Vec<f64>; 3],
}

impl Subject {
    fn new(name: &'static str, page: &'static str, running: Running) -> Self {
        let mut connection = Connection::new(running.port, page);
        let size = (0..WARM_UP).map(|_| connection.ask()).max().unwrap();
        Self {
            name,
            page,
            running,
            size,
            ticks: 0,
            rounds: Default::default(),
        }
    }

    fn one_by_one(&mut self) {
        let mut connection = Connection::new(self.running.port, self.page);
        let before = self.running.ticks();
        let mut times = [0.0; SCRAPES];
        for time in &mut times {
            let start = Instant::now();
            connection.ask();
            *time = start.elapsed().as_secs_f64();
        }
        self.ticks += self.running.ticks() - before;
        times.sort_unstable_by(f64::total_cmp);
        self.rounds[0].push(times[SCRAPES / 2]);
        self.rounds[1].push(times[SCRAPES * 99 / 100]);
    }

    fn at_once(&mut self) {
        let new = |_| Connection::new(self.running.port, self.page);
        let connections = [(); CONNECTIONS].map(new);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for mut connection in connections {
                scope.spawn(move || (0..REQUESTS).map(|_| connection.ask()).sum::<usize>());
            }
        });
        let requests = (CONNECTIONS * REQUESTS) as f64;
        self.rounds[2].push(requests / start.elapsed().as_secs_f64());
    }

    fn median(&self, at: usize) -> f64 {
        let mut rounds = self.rounds[at].clone();
        rounds.sort_unstable_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    }

    /// Seconds of CPU time of a scrape, over all rounds.
    fn cpu(&self) -> f64 {
        let seconds = self.ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        seconds / (ROUNDS * SCRAPES) as f64
    }
}

type Row = (&'static str, fn(&Subject) -> f64);

const ROWS: [Row; 6] = [
    ("answer, KiB", |subject| subject.size as f64 / 1024.0),
    ("p50, ms", |subject| subject.median(0) * 1e3),
    ("p99, ms", |subject| subject.median(1) * 1e3),
    ("CPU of a scrape, ms", |subject| subject.cpu() * 1e3),
    ("CPU ticks in all", |subject| subject.ticks as f64),
    ("requests/s, 8 at once", |subject| subject.median(2)),
];

fn table(subjects: &[Subject]) {
    print!("{:<22}", "");
    subjects.iter().for_each(|one| print!("{:>15}", one.name));
    println!("{:>12}{:>12}", "six / node", "all / node");
    for (label, figure) in ROWS {
        let figures: Vec<f64> = subjects.iter().map(figure).collect();
        print!("{label:<22}");
        figures.iter().for_each(|one| print!("{one:>15.3}"));
        if let [six, all, peer] = figures[..] {
            print!("{:>12.3}{:>12.3}", six / peer, all / peer);
        }
        println!();
    }
}

/// The mean time of a scan, in seconds, from an agent that scans every second.
fn steady_scan(agent: &Path) -> f64 {
    let arguments = format!("{AGENT} --port-scan-interval 1");
    let running = Running::start(agent, &arguments);
    let reading = || {
        let mut connection = Connection::new(running.port, "/metrics?collect[]=ports");
        connection.ask();
        let page = String::from_utf8(connection.answer).unwrap();
        ["sigma_port_scan_seconds_total{", "sigma_port_scans_total{"].map(|name| {
            let lines = page.lines().filter(|line| line.starts_with(name));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            values.sum::<f64>()
        })
    };
    wait(FIRST_SCANS);
    let before = reading();
    wait(STEADY_SCANS);
    let after = reading();
    assert!(after[1] > before[1], "no scan in {STEADY_SCANS:?}");
    (after[0] - before[0]) / (after[1] - before[1])
}
