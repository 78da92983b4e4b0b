//! What a scrape of the agent costs, beside Debian's node_exporter with the same six sources.
//!
//! `cargo bench -p sigma-agent --no-default-features --bench scrape` measures the agent as it ships, but for static linking;
//! the variable SIGMA_AGENT_BINARY names another binary by its whole path. Pages are asked for plain, not packed by gzip.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures, and one that fails is meant to stop"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

/// An odd number, so that one of them is the median.
const ROUNDS: usize = 5;
/// Scrapes of a round, one by one.
const SCRAPES: usize = 300;
/// Connections at once, and the requests over each of them.
const CONNECTIONS: usize = 8;
const REQUESTS: usize = 250;
const WARM_UP: usize = 20;
/// Nothing here takes this long; what does has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first scans learn the host, the next ones are steady.
const FIRST_SCANS: Duration = Duration::from_secs(3);
const STEADY_SCANS: Duration = Duration::from_secs(10);
/// A day's scrapes, one in 15 s, and its scans, one in 60 s.
const SCRAPES_A_DAY: f64 = 5760.0;
const SCANS_A_DAY: f64 = 1440.0;

const SIX: &str = "/metrics?collect[]=cpu&collect[]=memory&collect[]=load&collect[]=filesystem&collect[]=network&collect[]=identity";
const AGENT: &str = "--config /dev/null --hostname bench --api-url http://127.0.0.1:1/api --public-ip-lookup off --metrics-address 127.0.0.1 --metrics-port {port} --port-scan";
const PEER: &str = "--web.listen-address=127.0.0.1:{port} --web.disable-exporter-metrics --collector.disable-defaults --collector.cpu --collector.meminfo --collector.loadavg --collector.filesystem --collector.netdev --collector.uname";

/// Whether somebody wants the benchmark to end.
static TOLD_TO_STOP: AtomicBool = AtomicBool::new(false);

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

/// SIGINT and SIGTERM end the benchmark as a panic does, so that nothing it started outlives it.
fn hear_of_the_end() {
    let (ready, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).unwrap();
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            ready.send(()).unwrap();
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        TOLD_TO_STOP.store(true, Ordering::Relaxed);
    });
    heard.recv().unwrap();
}

fn go_on() {
    assert!(!TOLD_TO_STOP.load(Ordering::Relaxed), "told to stop");
}

fn wait(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        go_on();
        sleep(Duration::from_millis(20));
    }
}

fn node_exporter() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("prometheus-node-exporter"))
        .find(|path| path.is_file())
}

/// A started program; killed when the benchmark ends, well or by a panic.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    /// Starts it on a free port, with nothing of this environment, and waits until it answers.
    fn start(binary: &PathBuf, arguments: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new(binary)
            .args(arguments.replace("{port}", &port.to_string()).split(' '))
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap();
        let mut running = Self { child, port };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = running.child.try_wait().unwrap();
            let alive = ended.is_none() && start.elapsed() < PATIENCE;
            assert!(alive, "{}: {ended:?}", binary.display());
            wait(Duration::from_millis(1));
        }
        running
    }

    /// User's and system's time so far, of all threads, those that ended too.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
        let times = fields.skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A kept connection that asks for one page again and again.
struct Connection {
    stream: TcpStream,
    request: String,
    answer: Vec<u8>,
}

impl Connection {
    fn new(port: u16, page: &str) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            request: format!("GET {page} HTTP/1.1\r\nhost: x\r\n\r\n"),
            answer: Vec::new(),
        }
    }

    /// Reads a whole answer, by its length or to its last chunk, and gives its size.
    fn ask(&mut self) -> usize {
        go_on();
        self.stream.write_all(self.request.as_bytes()).unwrap();
        self.answer.clear();
        let (mut piece, mut end) = ([0; 1 << 16], None);
        // The text of a page has no carriage returns, so that only a last chunk looks like one.
        while end.is_none_or(|end| match end {
            0 => !self.answer.ends_with(b"\r\n0\r\n\r\n"),
            end => self.answer.len() < end,
        }) {
            let read = self.stream.read(&mut piece).unwrap();
            assert!(read > 0, "the connection was not kept");
            self.answer.extend_from_slice(&piece[..read]);
            end = end.or_else(|| self.end());
        }
        self.answer.len()
    }

    /// Where the answer ends, once its head is there; 0 if it comes in chunks.
    fn end(&self) -> Option<usize> {
        let mut fours = self.answer.windows(4);
        let head = fours.position(|four| four == b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&self.answer[..head]).to_lowercase();
        assert!(text.starts_with("http/1.1 200 "), "{text}");
        let mut lines = text.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        Some(length.map_or(0, |length| head + 4 + length.parse::<usize>().unwrap()))
    }
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
fn steady_scan(agent: &PathBuf) -> f64 {
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
