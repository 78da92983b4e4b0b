//! `ipv6_route`: which interfaces carry the IPv6 default route.

use crate::lines::Line;
use crate::route::DefaultRoute;

/// The flag of `linux/route.h` for routes that lead nowhere; the kernel has one to
/// everywhere on `lo`.
const REJECT: u32 = 0x0200;

/// Collects the default route from the lines of the file.
#[derive(Debug, Default)]
pub(crate) struct Ipv6Route {
    pub(crate) default: DefaultRoute,
}

impl Ipv6Route {
    pub(crate) fn line(&mut self, line: &[u8]) -> Line {
        Line::understood_if(self.entry(line).is_some())
    }

    /// Destination and source, each with its length, next hop, metric, two counters,
    /// flags, interface; numbers are hexadecimal. A default route for one source only
    /// (homes with two providers have nothing else) counts like any other.
    fn entry(&mut self, line: &[u8]) -> Option<()> {
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [to, to_len, _, _, _, metric, _, _, flags, interface] = words.as_slice() else {
            return None;
        };
        let metric = u32::from_str_radix(metric, 16).ok()?;
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let everything = *to_len == "00" && to.bytes().all(|digit| digit == b'0');
        if everything && flags & REJECT == 0 {
            self.default.add(metric, interface);
        }
        Some(())
    }
}
