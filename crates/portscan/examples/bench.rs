//! CPU time of scans and allocations against the usual ways, in a network namespace of its own (needs root).
//!
//! The usual scan binds every port with `std` and runs `ss -tulnp`; the usual allocation binds ports in order until it has
//! enough. Both sides take turns; the table shows medians of CPU milliseconds, child processes included. `bench [ROUNDS]`.

#![allow(
    unsafe_code,
    reason = "unshare, getrusage and setrlimit of the measuring process itself"
)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use portscan::{Allocator, Config, Limits, Method, PortRanges, Request, Scanner, Verdict};

type Outcome<T> = Result<T, Box<dyn Error>>;

const RANGE: &str = "10000-30000";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--hold", first, listeners, files] => {
            hold(first.parse()?, listeners.parse()?, files.parse()?)
        }
        ["--connect", pairs] => connect(pairs.parse()?),
        [] => measure(7),
        [rounds] => measure(rounds.parse()?),
        _ => Err("usage: bench [ROUNDS]".into()),
    }
}

fn measure(rounds: usize) -> Outcome<()> {
    // SAFETY: a new network namespace takes nothing away from memory or open files.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        println!(
            "skipped: needs root for a network namespace: {}",
            std::io::Error::last_os_error()
        );
        return Ok(());
    }
    Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    raise_open_files();
    println!("medians of {rounds} rounds, CPU milliseconds\n");
    println!(
        "{:<58} {:>9} {:>9} {:>8}",
        "what", "usual", "portscan", "ratio"
    );
    scans(rounds)?;
    owners(rounds)?;
    allocations(rounds)
}

/// 300 processes with 63 files each, 40 of them with a listener in the range.
fn scans(rounds: usize) -> Outcome<()> {
    let mut children = Vec::new();
    for number in 0..300u16 {
        let listeners = u16::from(number < 40);
        children.push(Helper::start(&[
            "--hold",
            &(12_000 + number).to_string(),
            &listeners.to_string(),
            "60",
        ])?);
    }
    let ranges: PortRanges = RANGE.parse()?;
    scan_rows(rounds, &ranges, "40 listeners, 300 processes")?;
    for _ in 0..4 {
        children.push(Helper::start(&["--connect", "5000"])?);
    }
    scan_rows(rounds, &ranges, "same, 40,000 established sockets")?;
    drop(children);
    first_scan_of_services(rounds, &ranges)
}

/// The same listeners as services with control groups of their own, as systemd runs them.
fn first_scan_of_services(rounds: usize, ranges: &PortRanges) -> Outcome<()> {
    let mount = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let Some(mount) = mount
        .into_iter()
        .find(|mount| mount.join("cgroup.procs").exists())
    else {
        println!(
            "skipped: the first scan with services in control groups: no control groups of version 2"
        );
        return Ok(());
    };
    let mut groups = Vec::new();
    let mut children = Vec::new();
    for number in 0..300u16 {
        let group = Group::new(&mount, number)?;
        let listeners = u16::from(number < 40);
        let arguments = [
            "--hold",
            &(12_000 + number).to_string(),
            &listeners.to_string(),
            "60",
        ];
        children.push(Helper::start_in(Some(&group), &arguments)?);
        groups.push(group);
    }
    compare(
        rounds,
        "scan, 40 listeners of 300 services: exact, first",
        || usual_scan(ranges),
        1,
        || {
            black_box(scanner(Method::Exact).scan(ranges, &[], Instant::now())?);
            Ok(())
        },
    )?;
    drop(children);
    Ok(())
}

/// A control group, until it is dropped.
struct Group(PathBuf);

impl Group {
    fn new(mount: &Path, number: u16) -> Outcome<Self> {
        let path = mount.join(format!(
            "portscan-bench-{}-{number}.service",
            std::process::id()
        ));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn scan_rows(rounds: usize, ranges: &PortRanges, world: &str) -> Outcome<()> {
    for (name, method) in [("exact", Method::Exact), ("listen", Method::Listen)] {
        let mut steady = scanner(method);
        let used = steady
            .scan(ranges, &[], Instant::now())?
            .count(Verdict::Listening);
        assert!(used >= 40, "the listeners are there: {used}");
        let row = format!("scan, {world}: {name}, steady");
        compare(
            rounds,
            &row,
            || usual_scan(ranges),
            20,
            || {
                black_box(steady.scan(ranges, &[], Instant::now())?);
                Ok(())
            },
        )?;
        let row = format!("scan, {world}: {name}, first");
        compare(
            rounds,
            &row,
            || usual_scan(ranges),
            1,
            || {
                black_box(scanner(method).scan(ranges, &[], Instant::now())?);
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// 2,000 listeners in 200 processes.
fn owners(rounds: usize) -> Outcome<()> {
    let mut children = Vec::new();
    for number in 0..200u16 {
        children.push(Helper::start(&[
            "--hold",
            &(10_000 + number * 10).to_string(),
            "10",
            "20",
        ])?);
    }
    let ranges: PortRanges = RANGE.parse()?;
    let mut steady = scanner(Method::Listen);
    let report = steady.scan(&ranges, &[], Instant::now())?.attribution;
    assert!(report.is_some_and(|report| report.attributed == 2000 && report.unattributed == 0));
    compare(
        rounds,
        "owners of 2,000 listeners in 200 processes: first",
        ss,
        1,
        || {
            black_box(scanner(Method::Listen).scan(&ranges, &[], Instant::now())?);
            Ok(())
        },
    )?;
    compare(
        rounds,
        "owners of 2,000 listeners in 200 processes: steady",
        ss,
        5,
        || {
            black_box(steady.scan(&ranges, &[], Instant::now())?);
            Ok(())
        },
    )
}

fn allocations(rounds: usize) -> Outcome<()> {
    let ranges: PortRanges = RANGE.parse()?;
    for taken in [5_000u16, 15_000] {
        let _holder = Helper::start(&["--hold", "10000", &taken.to_string(), "0"])?;
        // The hint of a scan that a program makes now and then anyway.
        let hint = scanner(Method::Listen)
            .scan(&ranges, &[], Instant::now())?
            .taken();
        let row = format!("allocate 100, first {taken} ports taken");
        compare(
            rounds,
            &row,
            || first_fit(&ranges),
            1,
            || {
                let mut allocator = Allocator::new("/proc", Limits::default());
                let request = Request {
                    taken: Some(&hint),
                    ..Request::new(100, &ranges)
                };
                black_box(allocator.allocate(&request, Instant::now())?);
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn scanner(method: Method) -> Scanner {
    let cgroup = Some("/sys/fs/cgroup".into());
    Scanner::new(Config {
        method,
        cgroup,
        ..Config::new("/proc")
    })
}

fn usual_scan(ranges: &PortRanges) -> Outcome<()> {
    for port in ranges.iter() {
        let _ = black_box(TcpListener::bind(("0.0.0.0", port)));
    }
    ss()
}

fn ss() -> Outcome<()> {
    let output = Command::new("ss").arg("-tulnp").output()?;
    assert!(output.stdout.len() > 100);
    Ok(())
}

fn first_fit(ranges: &PortRanges) -> Outcome<()> {
    let found = ranges
        .iter()
        .filter(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .take(100)
        .count();
    assert_eq!(found, 100);
    Ok(())
}

/// Prints one row: both sides in turns, ours `repeats` times for each measurement.
fn compare(
    rounds: usize,
    row: &str,
    mut usual: impl FnMut() -> Outcome<()>,
    repeats: u32,
    mut ours: impl FnMut() -> Outcome<()>,
) -> Outcome<()> {
    let (mut usual_ms, mut our_ms) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = cpu_ms();
        usual()?;
        usual_ms.push(cpu_ms() - start);
        let start = cpu_ms();
        for _ in 0..repeats {
            ours()?;
        }
        our_ms.push((cpu_ms() - start) / f64::from(repeats));
    }
    let (usual, ours) = (median(usual_ms), median(our_ms));
    println!("{row:<58} {usual:>9.2} {ours:>9.3} {:>7.0}x", usual / ours);
    std::io::stdout().flush()?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// CPU time of this process and of its ended children.
fn cpu_ms() -> f64 {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .into_iter()
        .map(used_ms)
        .sum()
}

fn used_ms(who: i32) -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills in the whole struct, for which zeroes are valid as well.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a benchmark")]
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    ms(usage.ru_utime) + ms(usage.ru_stime)
}

fn raise_open_files() {
    let limit = libc::rlimit {
        rlim_cur: 60_000,
        rlim_max: 60_000,
    };
    // SAFETY: the kernel only reads the struct.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}

/// A child process with sockets, until it is dropped.
struct Helper {
    child: Child,
    input: Option<ChildStdin>,
}

impl Helper {
    fn start(arguments: &[&str]) -> Outcome<Self> {
        Self::start_in(None, arguments)
    }

    fn start_in(group: Option<&Group>, arguments: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        if let Some(Group(path)) = group {
            command = Command::new("sh");
            command
                .args(["-c", "echo $$ > \"$0\"/cgroup.procs && exec \"$@\""])
                .arg(path)
                .arg(std::env::current_exe()?);
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut word = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut word)?;
        if word != "ready\n" {
            return Err(format!("a helper failed: {arguments:?}").into());
        }
        Ok(Self {
            input: child.stdin.take(),
            child,
        })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// As a helper: listeners on ports from `first` on, then files, until the input ends.
fn hold(first: u16, listeners: u16, files: usize) -> Outcome<()> {
    let ports = first..first + listeners;
    let listeners: Vec<TcpListener> = ports
        .map(|port| TcpListener::bind(("0.0.0.0", port)))
        .collect::<Result<_, _>>()?;
    let files: Vec<File> = (0..files)
        .map(|_| File::open("/dev/null"))
        .collect::<Result<_, _>>()?;
    wait((files, listeners))
}

/// As a helper: both ends of connections.
fn connect(pairs: usize) -> Outcome<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let mut ends = Vec::new();
    for _ in 0..pairs {
        ends.push((TcpStream::connect(address)?, server.accept()?));
    }
    wait(ends)
}

fn wait<T>(kept: T) -> Outcome<()> {
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    drop(kept);
    Ok(())
}
