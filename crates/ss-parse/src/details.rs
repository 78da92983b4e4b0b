//! What `-e` and `--cgroup` add behind the owners.

use crate::scan;
use crate::{Socket, State};

/// Text that no option adds there.
#[derive(Clone, Copy)]
pub(crate) enum Foreign {
    /// A list of owners, or a piece of one.
    Owners,
    /// The columns of another row.
    Row,
}

/// Reads the rest of the line up to foreign text or a cgroup, whose path may hold any text.
pub(crate) fn read(rest: &[u8], socket: &mut Socket) -> Option<Foreign> {
    let mut may_be_root = true;
    for word in scan::words(rest) {
        if let Some(uid) = word.strip_prefix(b"uid:") {
            socket.uid = scan::number(uid);
            may_be_root = false;
        } else if let Some(inode) = word.strip_prefix(b"ino:") {
            socket.inode = scan::number(inode).filter(|inode| *inode != 0);
            // The user stands before the inode, and is left out for root.
            if may_be_root && socket.inode.is_some() {
                socket.uid = Some(0);
            }
        } else if let Some(cookie) = word.strip_prefix(b"sk:") {
            socket.cookie = scan::hex(cookie);
        } else if let Some(path) = word.strip_prefix(b"cgroup:") {
            socket.cgroup = path.starts_with(b"/").then(|| path.to_vec());
            break;
        } else {
            let foreign = judge(word);
            if foreign.is_some() {
                return foreign;
            }
            // An unknown word may be the user's, damaged.
            may_be_root &= word.starts_with(b"timer:(");
        }
    }
    None
}

fn judge(word: &[u8]) -> Option<Foreign> {
    if word.starts_with(b"users:") || scan::find(word, b"(\"").is_some() {
        return Some(Foreign::Owners);
    }
    State::from_word(word).map(|_| Foreign::Row)
}
