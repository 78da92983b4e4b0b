//! Rows per second on the captures with the most bytes: `cargo bench -p ss-parse`.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

const CAPTURES: [(&str, &[u8]); 3] = [
    (
        "6.9.0 -tuanp",
        include_bytes!("../tests/captures/ss-6.9.0-tuanp.txt"),
    ),
    (
        "6.1.0 -tulnp",
        include_bytes!("../tests/captures/ss-6.1.0-tulnp.txt"),
    ),
    (
        "3.12.0 -tulnp",
        include_bytes!("../tests/captures/ss-3.12.0-tulnp.txt"),
    ),
];

fn main() -> io::Result<()> {
    for (name, text) in CAPTURES {
        let rows = ss_parse::parse(text).sockets.len();
        let mut best = Duration::MAX;
        for _ in 0..2000 {
            let start = Instant::now();
            black_box(ss_parse::parse(black_box(text)));
            best = best.min(start.elapsed());
        }
        let seconds = best.as_secs_f64();
        let per_second =
            |amount: usize| u32::try_from(amount).map_or(f64::NAN, f64::from) / seconds;
        writeln!(
            io::stdout(),
            "{name}: {rows} rows, {} bytes in {best:?}: {:.0} rows/s, {:.0} MB/s",
            text.len(),
            per_second(rows),
            per_second(text.len()) / 1e6,
        )?;
    }
    Ok(())
}
