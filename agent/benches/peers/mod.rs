//! Programs at work on this host, and connections that ask them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

/// Nothing here takes this long; what does has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether somebody wants the benchmark to end.
static TOLD_TO_STOP: AtomicBool = AtomicBool::new(false);

/// SIGINT and SIGTERM end the benchmark as a panic does, so that nothing it started outlives it.
pub(crate) fn hear_of_the_end() {
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

pub(crate) fn wait(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        go_on();
        sleep(Duration::from_millis(20));
    }
}

pub(crate) fn node_exporter() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("prometheus-node-exporter"))
        .find(|path| path.is_file())
}

/// A C program that answers one fixed page from one thread, built here; the reason where there is no compiler.
#[allow(dead_code, reason = "not every benchmark has it")]
pub(crate) fn floor(folder: &Path) -> Result<PathBuf, String> {
    let (source, binary) = (folder.join("floor.c"), folder.join("floor"));
    std::fs::write(&source, include_str!("floor.c")).unwrap();
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O2", "-static", "-s", "-o"])
        .arg(&binary)
        .arg(&source);
    let output = compiler
        .output()
        .map_err(|error| format!("no C compiler: {error}"))?;
    if output.status.success() {
        Ok(binary)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A started program; killed when the benchmark ends, well or by a panic.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
}

impl Running {
    /// Starts it on a free port, with nothing of this environment, and waits until it answers.
    pub(crate) fn start(binary: &Path, arguments: &str) -> Self {
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
            go_on();
            sleep(Duration::from_micros(200));
        }
        running
    }

    /// Keeps it on one processor, where there are several; this process and what it starts later stay off that one.
    #[allow(dead_code, reason = "not every benchmark wants it")]
    pub(crate) fn stay_on(&self, processor: usize) {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let mut others = sched_getaffinity(None).unwrap();
        if others.count() < 2 {
            return;
        }
        let mut own = CpuSet::new();
        own.set(processor);
        let pid = rustix::process::Pid::from_child(&self.child);
        sched_setaffinity(Some(pid), &own).unwrap();
        others.unset(processor);
        sched_setaffinity(None, &others).unwrap();
    }

    /// A field of the kernel's own words about it.
    #[allow(dead_code, reason = "not every benchmark asks")]
    pub(crate) fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .unwrap();
        line.trim_start_matches(':')
            .split_ascii_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// User's and system's time so far, of all threads, those that ended too.
    #[allow(dead_code, reason = "not every benchmark asks")]
    pub(crate) fn ticks(&self) -> u64 {
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
pub(crate) struct Connection {
    stream: TcpStream,
    request: String,
    pub(crate) answer: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(port: u16, page: &str) -> Self {
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
    pub(crate) fn ask(&mut self) -> usize {
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
