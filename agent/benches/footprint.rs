//! What the agent costs its host: size, start, memory and CPU time, beside a C program that does next to nothing.
//!
//! `cargo bench -p sigma-agent --no-default-features --features roles --bench footprint` measures the agent as it ships, but for static linking;
//! the variable SIGMA_AGENT_BINARY names another binary by its whole path, such as the one that `cargo static` made.
//!
//! All subjects are started by turns, then work side by side, so that what else the machine does hits them alike.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures, and one that fails is meant to stop"
)]

#[allow(dead_code, reason = "the benchmark needs no client certificates")]
#[path = "../tests/e2e/tls_front.rs"]
mod tls_front;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;
use tls_front::{Authority, Front};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// An odd number, so that one of them is the median.
const STARTS: usize = 11;

/// Contacts before the readings begin: the first ones register, shake hands and grow buffers.
const WARM_UP: u64 = 3;

/// Contacts between the readings: one a second.
const CONTACTS: u64 = 60;

/// Nothing here takes this long; what does has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what a thread has used. The agent's threads live a second longer than their work, so none goes unseen.
const LOOK: Duration = Duration::from_millis(200);

fn main() {
    hear_of_the_end();
    let place = Place::new();
    let (binary, api) = (agent_binary(), Api::start());
    let authority = Authority::new("footprint");
    let front = Front::start(&authority, None, api.port);
    let ca = place.file("ca.pem", &authority.pem());
    let key = place.file("key", &api.key);
    let agent = |name, url: String, ca: Option<&Path>, own_roots_only| Subject {
        name,
        contact: Contact::Beat,
        // Agents of one file would share their pages, and each would look smaller than it is alone.
        binary: place.copy(&binary, name),
        arguments: agent_arguments(&url, &key, ca),
        first_page: "/healthz",
        roots: ca.filter(|_| own_roots_only).map(Path::to_owned),
    };
    let mut subjects = vec![
        agent("agent, HTTP", api.url(), None, false),
        agent("agent, TLS", front.url(), Some(&ca), false),
        agent("agent, TLS, 1 root", front.url(), Some(&ca), true),
    ];
    for (name, other) in [
        ("C floor", floor(&place)),
        ("node_exporter", node_exporter()),
    ] {
        match other {
            Ok(subject) => subjects.push(subject),
            Err(why) => println!("skipped: {name}: {why}"),
        }
    }

    let starts = starts(&subjects);
    let before = front.handshakes().len();
    let used = work(&subjects);
    let handshakes = front.handshakes().len() - before;
    println!("\nbinary: {}", binary.display());
    println!(
        "{STARTS} starts by turns, then {CONTACTS} contacts side by side, one a second: the agents' heartbeats and the others' answers"
    );
    println!("TLS handshakes in that time: {handshakes} of two agents\n");
    print!("{}", table(&subjects, &rows(&subjects, &starts, &used)));
}

/// Whether somebody wants the benchmark to end.
static TOLD_TO_STOP: AtomicBool = AtomicBool::new(false);

/// SIGINT and SIGTERM end the benchmark as a panic does, so that nothing it started outlives it.
fn hear_of_the_end() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).unwrap();
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        TOLD_TO_STOP.store(true, Ordering::Relaxed);
    });
}

/// Waits a little, unless the benchmark is to end.
fn pause(time: Duration) {
    assert!(!TOLD_TO_STOP.load(Ordering::Relaxed), "told to stop");
    sleep(time);
}

/// The binary to measure.
fn agent_binary() -> PathBuf {
    let path = std::env::var_os("SIGMA_AGENT_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_sigma-agent").into(), PathBuf::from);
    assert!(
        path.is_absolute() && path.is_file(),
        "SIGMA_AGENT_BINARY: {} is not the whole path of a file",
        path.display()
    );
    path
}

fn agent_arguments(url: &str, key: &Path, ca: Option<&Path>) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--config",
        "/dev/null",
        "--hostname",
        "bench",
        "--public-ip-lookup",
        "off",
        "--interval",
        "1",
        "--metrics-address",
        "127.0.0.1",
        "--metrics-port",
        "{port}",
        "--api-url",
        url,
        "--api-key-file",
        key.to_str().unwrap(),
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(ca) = ca {
        arguments.extend(["--api-ca".to_owned(), ca.to_str().unwrap().to_owned()]);
    }
    arguments
}

/// Answers one fixed page, from one thread, and dies with its parent.
const FLOOR: &str = include_str!("peers/floor.c");

/// The C program, compiled.
fn floor(place: &Place) -> Result<Subject, String> {
    let binary = place.0.join("floor");
    let output = Command::new("cc")
        .args(["-O2", "-static", "-s", "-o"])
        .arg(&binary)
        .arg(place.file("floor.c", FLOOR))
        .output()
        .map_err(|error| format!("no C compiler: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(Subject {
        name: "C floor",
        contact: Contact::Answer("/healthz"),
        binary,
        arguments: vec!["{port}".to_owned()],
        first_page: "/healthz",
        roots: None,
    })
}

/// The peer that many hosts run anyway, where it is installed.
fn node_exporter() -> Result<Subject, String> {
    let name = "prometheus-node-exporter";
    let binary = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{name} is not installed"))?;
    Ok(Subject {
        name: "node_exporter",
        contact: Contact::Answer("/metrics"),
        binary,
        arguments: vec!["--web.listen-address=127.0.0.1:{port}".to_owned()],
        first_page: "/",
        roots: None,
    })
}

/// What a subject does once a second.
#[derive(Clone, Copy)]
enum Contact {
    /// It sends a heartbeat by itself.
    Beat,
    /// It is asked for this page.
    Answer(&'static str),
}

/// A program to measure.
struct Subject {
    name: &'static str,
    contact: Contact,
    binary: PathBuf,
    /// `{port}` in them stands for the port to listen on.
    arguments: Vec<String>,
    /// What tells that it has started: a page that costs it no work.
    first_page: &'static str,
    /// The one file of roots to trust, instead of the system's.
    roots: Option<PathBuf>,
}

impl Subject {
    /// Starts it on a free port, with nothing of this environment, and waits until it answers.
    fn start(&self) -> (Running, Duration) {
        let port = free_port();
        let number = port.to_string();
        let mut command = Command::new(&self.binary);
        let arguments = self.arguments.iter();
        command
            .args(arguments.map(|argument| argument.replace("{port}", &number)))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(roots) = &self.roots {
            command.env("SSL_CERT_FILE", roots);
        }
        let start = Instant::now();
        let child = command.spawn().unwrap();
        let mut running = Running { child, port };
        while get(port, self.first_page).is_none() {
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended: {ended:?}", self.name);
            assert!(start.elapsed() < PATIENCE, "{} is silent", self.name);
            pause(Duration::from_micros(100));
        }
        (running, start.elapsed())
    }
}

/// A started program; killed when the benchmark ends, well or by a panic.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    /// How many heartbeats the agent has sent. Asking costs it time, so nothing asks between two readings.
    fn beats(&self) -> u64 {
        let status: Value = serde_json::from_str(&get(self.port, "/status").unwrap()).unwrap();
        let loops = status["loops"].as_array().unwrap();
        let beat = loops.iter().find(|one| one["name"] == "heartbeat").unwrap();
        assert_eq!(beat["failures"], 0, "{beat}");
        beat["runs"].as_u64().unwrap()
    }

    fn proc(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).ok()
    }

    /// A figure of a file of `Name: value` lines.
    fn figure(&self, file: &str, name: &str) -> Option<f64> {
        let text = self.proc(file)?;
        let values = text.lines().find_map(|line| line.strip_prefix(name))?;
        values
            .trim_start_matches(':')
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process, from looks at its threads: the kernel's own sum over them is told in hundredths of a second alone.
#[derive(Default)]
struct CpuTime(HashMap<String, u64>);

impl CpuTime {
    fn look(&mut self, running: &Running) {
        let folder = format!("/proc/{}/task", running.child.id());
        for thread in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let times = std::fs::read_to_string(thread.path().join("schedstat"));
            let used = times
                .ok()
                .and_then(|times| times.split(' ').next()?.parse().ok());
            if let (Ok(id), Some(nanoseconds)) = (thread.file_name().into_string(), used) {
                self.0.insert(id, nanoseconds);
            }
        }
    }

    /// Seconds so far; `None` where the kernel counts no such times.
    fn seconds(&self) -> Option<f64> {
        let nanoseconds: u64 = self.0.values().sum();
        (nanoseconds > 0).then_some(nanoseconds as f64 / 1e9)
    }
}

/// The times of every subject's starts, shortest first.
fn starts(subjects: &[Subject]) -> Vec<Vec<Duration>> {
    let mut times = vec![Vec::new(); subjects.len()];
    for _ in 0..STARTS {
        for (subject, times) in subjects.iter().zip(&mut times) {
            let (_running, time) = subject.start();
            times.push(time);
        }
    }
    for times in &mut times {
        times.sort_unstable();
    }
    times
}

/// What one subject uses after its contacts.
struct Used {
    /// By the rows of `MEMORY`, in KiB.
    memory: [Option<f64>; MEMORY.len()],
    threads: Option<f64>,
    cpu_seconds_per_contact: Option<f64>,
}

/// Figures of memory: the file and the name there.
const MEMORY: [(&str, &str); 4] = [
    ("status", "VmRSS"),
    ("smaps_rollup", "Pss"),
    ("status", "RssAnon"),
    ("status", "RssFile"),
];

/// A subject at work.
struct Worker<'a> {
    subject: &'a Subject,
    running: Running,
    cpu: CpuTime,
    answers: u64,
}

impl Worker<'_> {
    /// The contacts so far and the seconds of CPU time they took.
    fn reading(&mut self) -> (u64, Option<f64>) {
        self.cpu.look(&self.running);
        let seconds = self.cpu.seconds();
        match self.subject.contact {
            Contact::Beat => (self.running.beats(), seconds),
            Contact::Answer(_) => (self.answers, seconds),
        }
    }

    fn used(&mut self, (contacts, seconds): (u64, Option<f64>)) -> Used {
        let memory = MEMORY.map(|(file, name)| self.running.figure(file, name));
        let threads = self.running.figure("status", "Threads");
        let (contacts_now, seconds_now) = self.reading();
        let more = (contacts_now - contacts) as f64;
        Used {
            memory,
            threads,
            cpu_seconds_per_contact: seconds_now
                .zip(seconds)
                .map(|(now, before)| (now - before) / more),
        }
    }
}

/// Lets all subjects work at the same time.
fn work(subjects: &[Subject]) -> Vec<Used> {
    let mut workers: Vec<Worker> = subjects
        .iter()
        .map(|subject| Worker {
            subject,
            running: subject.start().0,
            cpu: CpuTime::default(),
            answers: 0,
        })
        .collect();
    spend(&mut workers, WARM_UP);
    let before: Vec<_> = workers.iter_mut().map(Worker::reading).collect();
    spend(&mut workers, CONTACTS);
    workers
        .iter_mut()
        .zip(before)
        .map(|(worker, before)| worker.used(before))
        .collect()
}

/// One contact a second: agents beat by themselves, the others are asked.
fn spend(workers: &mut [Worker], contacts: u64) {
    for _ in 0..contacts {
        let start = Instant::now();
        for worker in workers.iter_mut() {
            if let Contact::Answer(page) = worker.subject.contact {
                get(worker.running.port, page).unwrap();
                worker.answers += 1;
            }
        }
        while start.elapsed() < Duration::from_secs(1) {
            for worker in workers.iter_mut() {
                worker.cpu.look(&worker.running);
            }
            pause(LOOK);
        }
    }
}

/// Says a figure in its unit.
type Say = fn(f64) -> String;

const MIB: Say = |kib| format!("{:.2} MiB", kib / 1024.0);
const MILLISECONDS: Say = |seconds| format!("{:.2} ms", seconds * 1e3);
const COUNT: Say = |count| count.to_string();

/// A row of the table: what it is about, and a figure for each subject that has one.
type Row = (&'static str, Say, Vec<Option<f64>>);

fn rows(subjects: &[Subject], starts: &[Vec<Duration>], used: &[Used]) -> Vec<Row> {
    let start = |at: usize| {
        starts
            .iter()
            .map(|times| Some(times[at].as_secs_f64()))
            .collect()
    };
    let memory = |row: usize| used.iter().map(|used| used.memory[row]).collect();
    let sizes = subjects
        .iter()
        .map(|subject| std::fs::metadata(&subject.binary).unwrap().len());
    vec![
        (
            "binary",
            MIB,
            sizes.map(|bytes| Some(bytes as f64 / 1024.0)).collect(),
        ),
        (
            "start to first 200, median",
            MILLISECONDS,
            start(STARTS / 2),
        ),
        ("start to first 200, shortest", MILLISECONDS, start(0)),
        (
            "start to first 200, longest",
            MILLISECONDS,
            start(STARTS - 1),
        ),
        ("VmRSS", MIB, memory(0)),
        ("Pss", MIB, memory(1)),
        ("RssAnon", MIB, memory(2)),
        ("RssFile", MIB, memory(3)),
        (
            "threads",
            COUNT,
            used.iter().map(|used| used.threads).collect(),
        ),
        (
            "CPU time of a contact",
            MILLISECONDS,
            used.iter()
                .map(|used| used.cpu_seconds_per_contact)
                .collect(),
        ),
    ]
}

/// The rows as Markdown that is aligned for reading too, with the first subject's ratio to every other program at the end.
fn table(subjects: &[Subject], rows: &[Row]) -> String {
    let others: Vec<usize> = (0..subjects.len())
        .filter(|at| matches!(subjects[*at].contact, Contact::Answer(_)))
        .collect();
    let mut head = vec![String::new()];
    head.extend(subjects.iter().map(|subject| subject.name.to_owned()));
    head.extend(
        others
            .iter()
            .map(|at| format!("HTTP / {}", subjects[*at].name)),
    );
    let rule = vec![String::new(); head.len()];
    let mut lines = vec![head, rule];
    for (label, say, figures) in rows {
        let absent = || "-".to_owned();
        let mut line = vec![(*label).to_owned()];
        line.extend(figures.iter().map(|figure| figure.map_or_else(absent, say)));
        line.extend(others.iter().map(|at| {
            let both = figures[0].zip(figures[*at]);
            both.map_or_else(absent, |(ours, theirs)| format!("{:.1}", ours / theirs))
        }));
        lines.push(line);
    }
    aligned(&lines)
}

/// The second line becomes the rule below the head; all columns but the first end at the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &match (number, at) {
                (1, 0) => format!("|{:-<1$}", "", width + 2),
                (1, _) => format!("|{:->1$}", ":", width + 2),
                (_, 0) => format!("| {cell:<width$} "),
                _ => format!("| {cell:>width$} "),
            };
        }
        text += "|\n";
    }
    text
}

/// The whole answer to a question that began with success.
fn get(port: u16, page: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {page} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
}

/// A port of the loopback that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The lab's API, on a thread of its own.
struct Api {
    port: u16,
    key: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    fn start() -> Self {
        let lab = sigma_lab::Lab::in_memory().unwrap();
        let key = lab.create_key("bench", sigma_lab::Role::Agent).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stopped = async { drop(stopped.await) };
                sigma_lab::serve(listener, lab, stopped).await.unwrap();
            });
        });
        Self {
            port,
            key,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A folder for this run, gone at its end; below target/, because pages of programs on a tmpfs would be counted apart.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("sigma-agent-footprint-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn copy(&self, file: &Path, name: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::copy(file, &path).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
