//! Why a line could not be read.

use std::fmt;

/// A line that could not be read, or not in full.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineError {
    /// Which line of the text, from 1; of a row over several lines, the first.
    pub line: usize,
    /// What is wrong with it.
    pub kind: ErrorKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Neither header nor row, or a row with a state, queue or address that cannot be read. There
    /// is no socket for it.
    Row,
    /// The list of processes cannot be read. The socket is there, without owners and marked
    /// ambiguous.
    Processes,
    /// Text behind the row that belongs into another one. The socket is there and marked ambiguous.
    Trailing,
    /// `ss` printed its help, because it does not know one of the options it was given.
    Usage,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Row => "not a socket that can be read",
            ErrorKind::Processes => "list of processes that cannot be read",
            ErrorKind::Trailing => "text of another row behind the socket",
            ErrorKind::Usage => "help text, ss does not know one of its options",
        };
        write!(f, "line {}: {what}", self.line)
    }
}

impl std::error::Error for LineError {}
