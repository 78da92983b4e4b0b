//! Line after line through the text; one row may take several.

use crate::columns::{self, Columns, Line};
use crate::details::{self, Foreign};
use crate::endpoint::Era;
use crate::owners::{self, Owners};
use crate::scan;
use crate::whole;
use crate::{ErrorKind, LineError, Parsed, Socket};

/// Reads the whole text.
pub(crate) fn read(output: &[u8]) -> Parsed {
    let mut reading = Reading::default();
    let mut rest = output;
    while !rest.is_empty() {
        rest = reading.read_line(rest);
    }
    whole::settle(&mut reading.parsed, reading.era);
    reading.parsed
}

#[derive(Default)]
struct Reading {
    parsed: Parsed,
    /// The line that was begun last, from 1.
    line: usize,
    saw_usage: bool,
    /// Whether there was a unix socket, whose name may hold made-up rows.
    saw_unix: bool,
    era: Option<Era>,
}

impl Reading {
    /// Reads the row or other line that `text` begins with, and returns the text behind it.
    fn read_line<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        self.line += 1;
        let (line, next) = scan::split_line(text);
        match columns::read(line) {
            Line::Socket(columns) => return self.read_socket(columns, line, text),
            Line::OtherFamily { is_unix } => {
                self.parsed.skipped += 1;
                self.saw_unix |= is_unix;
                return self.skip_owners(line, text);
            }
            Line::Blank | Line::Header | Line::Detail => {}
            Line::Usage => {
                self.saw_usage = true;
                self.report(ErrorKind::Usage);
            }
            Line::Unreadable if self.saw_usage => {}
            Line::Unreadable => self.report(ErrorKind::Row),
        }
        next
    }

    /// Reads the socket whose `columns` begin `line`, the first line of `text`.
    fn read_socket<'a>(
        &mut self,
        columns: Columns<'a>,
        line: &'a [u8],
        text: &'a [u8],
    ) -> &'a [u8] {
        let Columns {
            mut socket,
            era,
            rest,
        } = columns;
        socket.ambiguous = self.saw_unix;
        self.note_era(era);
        let behind_columns = text.get(line.len() - rest.len()..).unwrap_or_default();
        let (details, next) = match list_of_owners(behind_columns).map(owners::read) {
            None => scan::split_line(behind_columns),
            Some(None) => {
                self.doubt(&mut socket, ErrorKind::Processes);
                (&b""[..], scan::split_line(behind_columns).1)
            }
            Some(Some(owners)) => {
                let (details, next) = scan::split_line(owners.rest);
                let is_from_terminal = details.ends_with(b"\r");
                self.add_owners(&mut socket, owners, is_from_terminal);
                (details, next)
            }
        };
        match details::read(details, &mut socket) {
            None => {}
            Some(Foreign::Owners) if socket.processes.is_empty() => {
                self.doubt(&mut socket, ErrorKind::Processes);
            }
            Some(_) => self.doubt(&mut socket, ErrorKind::Trailing),
        }
        self.parsed.sockets.push(socket);
        self.line += inner_line_ends(text, next);
        next
    }

    fn add_owners(&mut self, socket: &mut Socket, owners: Owners<'_>, is_from_terminal: bool) {
        socket.processes = owners.processes;
        socket.ambiguous |= owners.has_two_readings;
        if owners.is_old_form {
            self.note_era(Some(Era::Before413));
        }
        if is_from_terminal {
            for process in &mut socket.processes {
                undo_terminal(&mut process.name);
            }
        }
    }

    /// Names of processes may hold line ends, so the owners belong to the row even if it is not
    /// wanted.
    fn skip_owners<'a>(&mut self, line: &'a [u8], text: &'a [u8]) -> &'a [u8] {
        let list = scan::find(line, b" users:((").and_then(|at| list_of_owners(text.get(at..)?));
        let behind = list
            .and_then(owners::read)
            .map_or(text, |owners| owners.rest);
        let next = scan::split_line(behind).1;
        self.line += inner_line_ends(text, next);
        next
    }

    fn note_era(&mut self, era: Option<Era>) {
        if self.era != Some(Era::Since413) {
            self.era = era.or(self.era);
        }
    }

    fn doubt(&mut self, socket: &mut Socket, kind: ErrorKind) {
        socket.ambiguous = true;
        self.report(kind);
    }

    fn report(&mut self, kind: ErrorKind) {
        self.parsed.errors.push(LineError {
            line: self.line,
            kind,
        });
    }
}

/// The list of owners that `text` begins with, from its first `(` on.
fn list_of_owners(text: &[u8]) -> Option<&[u8]> {
    let start = scan::position(text, |byte| !scan::is_blank(byte))?;
    let list = text.get(start..)?.strip_prefix(b"users:(")?;
    list.starts_with(b"(").then_some(list)
}

/// How many lines the text up to `next` has beyond the first.
fn inner_line_ends(text: &[u8], next: &[u8]) -> usize {
    let read = text.get(..text.len() - next.len()).unwrap_or_default();
    let line = read.strip_suffix(b"\n").unwrap_or(read);
    scan::count(line.len());
    line.iter().filter(|byte| **byte == b'\n').count()
}

/// A terminal makes CR LF of every line end, also of one in a name.
fn undo_terminal(name: &mut Vec<u8>) {
    name.dedup_by(|next, previous| {
        let is_line_end = (*previous, *next) == (b'\r', b'\n');
        if is_line_end {
            *previous = b'\n';
        }
        is_line_end
    });
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::scan::counter;

    /// No byte is looked at more often than this, whatever the text.
    const LOOKS_PER_BYTE: usize = 10;

    fn looks(text: &[u8]) -> usize {
        counter::take();
        let _ = read(text);
        counter::take()
    }

    const ROW: &[u8] = b"tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* ";

    /// Texts that make a careless reader start over again and again: a beginning and a piece to
    /// repeat.
    const HOSTILE: [(&[u8], &[u8]); 22] = [
        (b"", b" "),
        (b"", b"\n"),
        (b"", b"\t"),
        (b"", b":"),
        (b"", b"["),
        (b"", b"Address:Port"),
        (b"", b"Recv-Q "),
        (b"\t", b"::1:1%"),
        (b"", b"tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"\n"),
        (b"", b"tcp LISTEN 0 0 *:1 *:* users:((\"\",pid=1,fd=3))\n"),
        (b"", b"nl UNCONN 0 0 0:0 * users:((\"\n"),
        (b"nl UNCONN 0 0 0:0 *", b" users:((\""),
        (ROW, b"users:((\""),
        (b"tcp LISTEN 0 0 *:1 *:* users:((\"", b"\""),
        (b"tcp LISTEN 0 0 *:1 *:* users:((\"", b")"),
        (b"tcp LISTEN 0 0 *:1 *:* users:((\"", b"\")"),
        (b"tcp LISTEN 0 0 *:1 *:* users:((\"", b"\",pid=1,fd=3)"),
        (
            b"tcp LISTEN 0 0 *:1 *:* users:((\"\",pid=1,proc_ctx=",
            b",fd=3)",
        ),
        (
            b"tcp LISTEN 0 0 *:1 *:* users:((\"a\",pid=1,fd=3)",
            b",(\"a\",pid=1,fd=3)",
        ),
        (
            b"tcp LISTEN 0 0 *:1 *:* users:((\"a\",pid=1,fd=3)) ",
            b"\",pid=1,fd=3)) ",
        ),
        (b"tcp LISTEN 0 0 *:1 *:* ", b"ino:1 sk:1 "),
        (b"tcp LISTEN 0 0 *:1 *:* ", b"(\"("),
    ];

    fn hostile(start: &[u8], piece: &[u8], bytes: usize) -> Vec<u8> {
        let mut text = start.to_vec();
        text.extend(piece.iter().cycle().take(bytes));
        text
    }

    #[test]
    fn the_work_grows_with_the_text_and_no_faster() {
        for (start, piece) in HOSTILE {
            let text = hostile(start, piece, 200_000);
            let looks = looks(&text) / text.len();
            assert!(
                looks <= LOOKS_PER_BYTE,
                "{looks} looks a byte at {}",
                piece.escape_ascii()
            );
        }
    }

    #[test]
    fn a_line_of_10_megabytes_costs_no_more_a_byte_than_a_short_one() {
        let (start, piece) = (b"tcp LISTEN 0 0 *:1 *:* users:((\"", b"\",pid=1,fd=3)");
        let text = hostile(start, piece, 10_000_000);
        assert!(looks(&text) / text.len() <= LOOKS_PER_BYTE);
    }
}
