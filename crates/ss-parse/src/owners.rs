//! `users:(("sshd",pid=812,fd=3),("sshd",pid=1,fd=52))`, where nothing in the names is escaped.
//!
//! What can be relied on: an owner begins with `("`; behind its name no quote and no `)` follows
//! but the one that ends it; the kernel cuts names to 15 bytes. So an owner is read from its right
//! end: the last quote before the `)` ends the name, and what stands between them must be numbers.
//! Releases so far also cut names before a `)`; should one stop to, a name can imitate the end of
//! the list, and there are two readings.

use crate::Process;
use crate::scan;

/// The longest name the kernel keeps.
const NAME_BYTES: usize = 15;

/// How far a name may reach if a terminal doubled each of its line ends.
const NAME_BYTES_ON_TERMINAL: usize = 2 * NAME_BYTES;

/// A name longer than the kernel's, but without any byte that could mislead, is accepted up to
/// here.
const PLAIN_NAME_BYTES: usize = 64;

/// A list of owners, and the text behind it.
pub(crate) struct Owners<'a> {
    pub(crate) processes: Vec<Process>,
    /// Whether the numbers stand without `pid=` and `fd=`, as they did before 3.14.
    pub(crate) is_old_form: bool,
    pub(crate) has_two_readings: bool,
    pub(crate) rest: &'a [u8],
}

/// Reads the list that follows `users:(`. The text goes on behind the end of the line, as names may
/// hold line ends.
pub(crate) fn read(text: &[u8]) -> Option<Owners<'_>> {
    let mut processes = Vec::new();
    let mut is_old_form = false;
    let mut rest = text;
    loop {
        let name_on = rest.strip_prefix(b"(\"")?;
        let mut owner = read_owner(name_on, 0)?;
        let other = owner
            .ends_list()
            .and_then(|rest| read_other(name_on, rest))
            .filter(|_| !owner.is_old_form);
        let has_two_readings = other.is_some();
        if let Some(other) = other {
            owner = other;
        }
        is_old_form |= owner.is_old_form;
        let list_end = owner.ends_list();
        rest = owner.rest.strip_prefix(b",").unwrap_or_default();
        processes.push(owner.process);
        if let Some(rest) = list_end {
            return Some(Owners {
                processes,
                is_old_form,
                has_two_readings,
                rest,
            });
        }
    }
}

/// Whether the list goes on behind the end that was found, as part of a name that holds a `)`.
fn read_other<'a>(name_on: &'a [u8], list_end: &[u8]) -> Option<Owner<'a>> {
    read_owner(name_on, name_on.len() - list_end.len()).filter(|other| other.ends_list().is_some())
}

struct Owner<'a> {
    process: Process,
    is_old_form: bool,
    /// From behind the `)` on.
    rest: &'a [u8],
}

impl<'a> Owner<'a> {
    /// The text behind the list, if this is its last owner.
    fn ends_list(&self) -> Option<&'a [u8]> {
        let rest = self.rest.strip_prefix(b")")?;
        let is_end = rest
            .first()
            .is_none_or(|byte| *byte == b'\n' || scan::is_blank(*byte));
        is_end.then_some(rest)
    }
}

/// Reads one owner from behind its `("`. Its name ends at a quote no earlier than `from`.
fn read_owner(text: &[u8], from: usize) -> Option<Owner<'_>> {
    let mut at = from;
    let mut quote = None;
    loop {
        let rest = text.get(at..)?;
        at += scan::position(rest, |byte| matches!(byte, b'"' | b')' | b'\n'))?;
        match text.get(at)? {
            b'"' => quote = Some(at),
            b'\n' if at > NAME_BYTES_ON_TERMINAL => return None,
            b')' => {
                // Only the first `)` behind a quote can end an owner.
                let owner = quote.take().and_then(|quote| read_between(text, quote, at));
                if owner.is_some() {
                    return owner;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn read_between(text: &[u8], quote: usize, end: usize) -> Option<Owner<'_>> {
    let numbers = read_numbers(text.get(quote + 1..end)?)?;
    let name = text.get(..quote).filter(|name| can_be_name(name))?;
    let process = Process {
        name: name.to_vec(),
        pid: numbers.pid,
        tid: numbers.tid,
        fd: numbers.fd,
    };
    let owner = Owner {
        process,
        is_old_form: numbers.is_old_form,
        rest: text.get(end + 1..)?,
    };
    let is_end = owner.rest.starts_with(b",(\"") || owner.ends_list().is_some();
    is_end.then_some(owner)
}

fn can_be_name(name: &[u8]) -> bool {
    if name.len() > PLAIN_NAME_BYTES {
        return false;
    }
    let terminal_bytes = name.windows(2).filter(|pair| *pair == b"\r\n").count();
    let is_plain = !name.iter().any(|byte| matches!(byte, b'"' | b')' | b'\n'));
    is_plain || name.len() - terminal_bytes <= NAME_BYTES
}

struct Numbers {
    pid: u32,
    tid: Option<u32>,
    fd: u32,
    is_old_form: bool,
}

/// `,pid=N[,tid=N][,proc_ctx=TEXT],fd=N[,sock_ctx=TEXT]`, before 3.14 `,N,N`. The texts may hold
/// commas.
fn read_numbers(tail: &[u8]) -> Option<Numbers> {
    let Some(tail) = tail.strip_prefix(b",pid=") else {
        let (pid, fd) = scan::split_last(tail.strip_prefix(b",")?, b",")?;
        return Some(Numbers {
            pid: read_pid(pid)?,
            tid: None,
            fd: scan::number(fd)?,
            is_old_form: true,
        });
    };
    let (pid, tail) = scan::split_at_first(tail, |byte| byte == b',');
    let (tid, tail) = match tail.strip_prefix(b",tid=") {
        Some(tail) => {
            let (tid, tail) = scan::split_at_first(tail, |byte| byte == b',');
            (Some(read_pid(tid)?), tail)
        }
        None => (None, tail),
    };
    let tail = match tail.strip_prefix(b",proc_ctx=") {
        Some(tail) => scan::split_last(tail, b",fd=")?.1,
        None => tail.strip_prefix(b",fd=")?,
    };
    let (fd, tail) = scan::split_at_first(tail, |byte| byte == b',');
    let is_whole = tail.is_empty() || tail.starts_with(b",sock_ctx=");
    is_whole.then_some(Numbers {
        pid: read_pid(pid)?,
        tid,
        fd: scan::number(fd)?,
        is_old_form: false,
    })
}

fn read_pid(digits: &[u8]) -> Option<u32> {
    scan::number(digits).filter(|pid| *pid != 0)
}
