//! What a month of samples takes on disk and in time, and how long opening takes: `cargo bench -p spool`.

#[path = "../tests/month/samples.rs"]
mod samples;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use spool::{Coding, Options, Spool, Sync};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let folder = std::env::temp_dir().join(format!("spool-bench-{}", std::process::id()));
    let words = Options {
        coding: Coding::Words,
        sync: Sync::OnSegment,
        max_bytes: 1024 * 1024,
        ..Options::default()
    };
    let month: Vec<_> = samples::month(7).collect();
    measure(&folder.join("month"), "a month of samples", &words, &month)?;

    let bytes = Options {
        coding: Coding::Bytes,
        max_bytes: 64 * 1024 * 1024,
        ..words
    };
    let events: Vec<_> = (0..280_000).map(|at| (at, vec![b'x'; 220])).collect();
    measure(&folder.join("events"), "64 MiB of events", &bytes, &events)?;

    let always = Options {
        sync: Sync::Always,
        ..bytes
    };
    let few = events.get(..500).unwrap_or_default();
    measure(&folder.join("always"), "events, each synced", &always, few)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn measure(folder: &Path, name: &str, options: &Options, records: &[(u64, Vec<u8>)]) -> Outcome {
    let mut spool = Spool::open(folder, options.clone())?;
    let start = Instant::now();
    for (at, record) in records {
        spool.append(*at, record)?;
    }
    let append = start.elapsed() / u32::try_from(records.len())?;
    spool.sync()?;
    drop(spool);
    let mut open = Duration::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        drop(Spool::open(folder, options.clone())?);
        open = open.min(start.elapsed());
    }
    let mut spool = Spool::open(folder, options.clone())?;
    let (len, bytes) = (spool.len(), spool.bytes());
    let start = Instant::now();
    while let Some(last) = spool.peek(100)?.last() {
        spool.acknowledge(last.sequence)?;
    }
    let drained = start.elapsed();
    writeln!(
        io::stdout(),
        "{name}: {len} records, {bytes} bytes; append {append:?}, open {open:?}, drained by 100 in {drained:?}"
    )?;
    Ok(())
}
