//! `fib_trie`: the IPv4 addresses of the host.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::lines::{ENTRIES_MAX, Line};

/// Collects the addresses from the lines of the file.
///
/// The file prints the tree of every routing table. Below each leaf stand its
/// entries, and the kernel makes one `/32 host LOCAL` for each address of the host:
///
/// ```text
///         |-- 192.0.2.2
///            /32 host LOCAL
/// ```
///
/// All tables count: `Local` has the addresses; `Main` prints the same tree again as
/// long as no policy rule was ever added; the addresses of a VRF stand in its own
/// table (`Id 10:`).
#[derive(Debug, Default)]
pub(crate) struct FibTrie {
    leaf: Option<Ipv4Addr>,
    addresses: BTreeSet<Ipv4Addr>,
}

impl FibTrie {
    pub(crate) fn line(&mut self, line: &[u8]) -> Line {
        let line = line.trim_ascii();
        if let Some(key) = line.strip_prefix(b"|-- ") {
            self.leaf = str::from_utf8(key).ok().and_then(|key| key.parse().ok());
            return Line::understood_if(self.leaf.is_some());
        }
        if is_host_local(line) {
            return self.add_leaf();
        }
        let other_entry = line.starts_with(b"/");
        let inner_node = line.starts_with(b"+-- ");
        let table = line.ends_with(b":");
        Line::understood_if(other_entry || inner_node || table)
    }

    fn add_leaf(&mut self) -> Line {
        let Some(leaf) = self.leaf else {
            return Line::Bad;
        };
        if self.addresses.len() >= ENTRIES_MAX && !self.addresses.contains(&leaf) {
            return Line::TooMany;
        }
        self.addresses.insert(leaf);
        Line::Understood
    }

    /// The addresses, each once, smallest first.
    pub(crate) fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        self.addresses.into_iter()
    }
}

/// `/32 host LOCAL`, perhaps followed by ` tos=16`.
fn is_host_local(entry: &[u8]) -> bool {
    let mut words = entry.split(u8::is_ascii_whitespace);
    words.next() == Some(b"/32") && words.nth(1) == Some(b"LOCAL")
}
