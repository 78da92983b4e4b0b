//! Everything that reads bytes from outside: netlink answers, lines of `proc/net`, control groups, ranges, sources.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portscan::sock_diag::Messages;
use portscan::{Cgroup, PortRanges, Protocol, Sources, proc_net};

fuzz_target!(|bytes: &[u8]| {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        assert!(Messages::new(bytes, protocol).count() <= bytes.len() / 16 + 1);
        let _ = proc_net::parse_line(bytes, protocol);
    }
    let _ = Cgroup::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = text.parse::<Sources>();
    if let Ok(ranges) = text.parse::<PortRanges>() {
        assert_eq!(ranges.to_string().parse::<PortRanges>().as_ref(), Ok(&ranges));
        assert!(!ranges.contains(0));
    }
});
