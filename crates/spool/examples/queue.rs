//! A queue of lines in a folder: `queue DIR put` keeps the lines of standard input, `queue DIR take N` prints the oldest and takes them
//! out once they are printed, `queue DIR show` prints all and takes nothing.

#![allow(
    clippy::print_stderr,
    reason = "an example tells what went wrong to whoever runs it"
)]

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use spool::{Options, Spool, Sync};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [folder, "put"] => put(Path::new(folder)),
        [folder, "take", count] => take(Path::new(folder), count),
        [folder, "show"] => show(Path::new(folder)),
        _ => Err("usage: queue DIR put | take N | show".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("queue: {why}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Options {
    Options {
        sync: Sync::Always, // a line that was taken in is on the disk
        max_bytes: 16 * 1024 * 1024,
        ..Options::default()
    }
}

fn put(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut queue = Spool::open(folder, options())?;
    for line in stdin().lock().split(b'\n') {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        queue.append(now, &line?)?;
    }
    Ok(())
}

fn take(folder: &Path, count: &str) -> Result<(), Box<dyn Error>> {
    let mut queue = Spool::open(folder, options())?;
    let mut out = stdout().lock();
    for record in queue.peek(count.parse()?)? {
        out.write_all(&record.bytes)?;
        out.write_all(b"\n")?;
        out.flush()?;
        // Killed between the two, it prints this line once more the next time: at least once, never not at all.
        queue.acknowledge(record.sequence)?;
    }
    Ok(())
}

fn show(folder: &Path) -> Result<(), Box<dyn Error>> {
    // A copy in memory: the owner may be at work meanwhile.
    let mut queue = Spool::open_copy(folder, options())?;
    let mut out = stdout().lock();
    for record in queue.iter()? {
        out.write_all(&record?.bytes)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
