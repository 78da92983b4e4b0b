//! The lines of a table, within limits of bytes and time.

use std::io::{self, BufRead};
use std::path::Path;
use std::time::Instant;

use crate::Error;

/// How many entries of one table are kept, far above what a host has.
pub(crate) const ENTRIES_MAX: usize = 32_768;

/// No line of these tables comes near it (the longest is about 180 bytes).
const LINE_MAX: usize = 512;

/// How much of a bad line an error shows.
const SHOWN_MAX: usize = 80;

/// Where reading stops at the latest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    /// `None` for text that is in memory already.
    pub(crate) deadline: Option<Instant>,
}

/// What a parser makes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Understood,
    Bad,
    /// It would be entry number [`ENTRIES_MAX`] + 1.
    TooMany,
}

impl Line {
    pub(crate) fn understood_if(understood: bool) -> Self {
        if understood {
            Self::Understood
        } else {
            Self::Bad
        }
    }
}

/// Hands every line to `parse`, without its newline, and returns what was wrong: the
/// bad lines, and why the end was not reached.
pub(crate) fn each_line(
    path: &Path,
    input: impl BufRead,
    bounds: Bounds,
    parse: impl FnMut(&[u8]) -> Line,
) -> Vec<Error> {
    let mut splitter = Splitter::new(parse);
    let stopped = feed(input, bounds, |chunk| splitter.chunk(chunk))
        .and_then(|()| splitter.end())
        .err();
    let bad = splitter.first_bad.map(|(first, text)| Error::Lines {
        path: path.to_path_buf(),
        lines: splitter.bad,
        first,
        text,
    });
    let stopped = stopped.map(|stop| stop.into_error(path));
    bad.into_iter().chain(stopped).collect()
}

enum Stop {
    Io(io::Error),
    Bytes(u64),
    Entries,
    Time,
}

impl Stop {
    fn into_error(self, path: &Path) -> Error {
        let path = path.to_path_buf();
        let limit = match self {
            Self::Io(source) => return Error::Read { path, source },
            Self::Bytes(limit) => format!("the limit of {limit} bytes"),
            Self::Entries => format!("the limit of {ENTRIES_MAX} entries"),
            Self::Time => "the limit of time".to_owned(),
        };
        Error::Limit { path, limit }
    }
}

fn feed(
    mut input: impl BufRead,
    bounds: Bounds,
    mut take: impl FnMut(&[u8]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut left = bounds.bytes;
    loop {
        if bounds
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Err(Stop::Time);
        }
        let chunk = match input.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Stop::Io(error)),
        };
        let length = chunk.len();
        left = u64::try_from(length)
            .ok()
            .and_then(|length| left.checked_sub(length))
            .ok_or(Stop::Bytes(bounds.bytes))?;
        take(chunk)?;
        input.consume(length);
    }
}

/// Cuts chunks into lines.
struct Splitter<F> {
    parse: F,
    /// The beginning of a line whose end is in a chunk to come.
    partial: Vec<u8>,
    number: u64,
    bad: u64,
    first_bad: Option<(u64, String)>,
}

impl<F: FnMut(&[u8]) -> Line> Splitter<F> {
    fn new(parse: F) -> Self {
        Self {
            parse,
            partial: Vec::new(),
            number: 0,
            bad: 0,
            first_bad: None,
        }
    }

    fn chunk(&mut self, mut chunk: &[u8]) -> Result<(), Stop> {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = chunk.split_at(end);
            if self.partial.is_empty() {
                self.line(line)?;
            } else {
                self.keep(line);
                self.end()?;
            }
            chunk = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        self.keep(chunk);
        Ok(())
    }

    /// Keeps one byte more than a line may have, as the sign that it was longer.
    fn keep(&mut self, piece: &[u8]) {
        let room = (LINE_MAX + 1).saturating_sub(self.partial.len());
        self.partial.extend(piece.iter().take(room));
    }

    fn end(&mut self) -> Result<(), Stop> {
        let line = std::mem::take(&mut self.partial);
        self.line(&line)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Stop> {
        self.number += 1;
        if line.is_empty() {
            return Ok(());
        }
        let verdict = if line.len() > LINE_MAX {
            Line::Bad
        } else {
            (self.parse)(line)
        };
        match verdict {
            Line::Understood => {}
            Line::Bad => self.note_bad(line),
            Line::TooMany => return Err(Stop::Entries),
        }
        Ok(())
    }

    fn note_bad(&mut self, line: &[u8]) {
        self.bad += 1;
        if self.first_bad.is_none() {
            let shown = line.get(..SHOWN_MAX).unwrap_or(line);
            let text = String::from_utf8_lossy(shown).trim().to_owned();
            self.first_bad = Some((self.number, text));
        }
    }
}
