//! What one reading of the six basic sources costs, beside a C program that only reads them.
//!
//! Both run by turns in small blocks, so that what else the machine does hits both alike.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that fails may say so by panicking"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use sysinfo_linux::{Host, Root};

const BLOCKS: usize = 200;
const ROUNDS: u32 = 100;

fn main() {
    let Some(mut floor) = Floor::compiled() else {
        println!("skipped: no C compiler");
        return;
    };
    let mut host = Host::new(Root::below("/"));
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        floors.push(floor.block());
        ours.push(our_block(&mut host));
    }
    let (floor, ours) = (median(&mut floors[1..]), median(&mut ours[1..]));
    println!(
        "C floor, nothing parsed: {floor:?} a reading (median of {} blocks)",
        BLOCKS - 1
    );
    println!("Host::basics:            {ours:?}");
    println!(
        "ratio:                   {:.2}",
        ours.as_secs_f64() / floor.as_secs_f64()
    );
}

fn our_block(host: &mut Host) -> Duration {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let basics = std::hint::black_box(host.basics());
        assert!(basics.cpu.is_ok() && basics.interfaces.is_ok() && basics.root_disk.is_ok());
    }
    start.elapsed() / ROUNDS
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The C program, running.
struct Floor {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    binary: PathBuf,
}

impl Floor {
    fn compiled() -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/floor.c");
        let binary = std::env::temp_dir().join(format!("sysinfo-floor-{}", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-O2", "-o"])
            .arg(&binary)
            .arg(source)
            .status();
        if !compiled.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut child = Command::new(&binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Self {
            questions: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
            binary,
        })
    }

    fn block(&mut self) -> Duration {
        writeln!(self.questions, "{ROUNDS}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        Duration::from_nanos(line.trim().parse().unwrap()) / ROUNDS
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // The process is this one's own child, and may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.binary);
    }
}
