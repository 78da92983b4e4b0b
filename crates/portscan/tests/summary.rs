//! What metrics are made of: the sums are right, every source is there, names are bounded.

#![allow(
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, and to say why"
)]
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "as above, for the sandbox"
)]

mod sandbox;

use std::time::Instant;

use portscan::{Owners, Process, Sources, Verdict};
use sandbox::Kind::{Tcp, Udp};
use sandbox::With::{Dual, ReuseAddr};
use sandbox::*;

#[test]
fn available_and_used_ports_make_the_total() {
    in_namespace(|| {
        let _kept = [
            listening(Tcp, "127.0.0.1", 20_001, &[ReuseAddr]),
            listening(Tcp, "::1", 20_001, &[ReuseAddr]),
            listening(Tcp, "::", 20_002, &[Dual, ReuseAddr]),
            bound(Tcp, "0.0.0.0", 20_003, &[]),
            bound(Udp, "0.0.0.0", 20_004, &[]),
            bound(Udp, "0.0.0.0", 20_001, &[]),
            listening(Tcp, "0.0.0.0", 9_903, &[ReuseAddr]),
            listening(Tcp, "0.0.0.0", 9_904, &[ReuseAddr]),
            listening(Tcp, "0.0.0.0", 9_905, &[ReuseAddr]),
        ];
        let mut scanner = scanner(|config| config.owners = Owners::Skip);
        let mut picture = scanner
            .scan(&ranges("20000-20009"), &[], Instant::now())
            .unwrap();
        picture.set_owners(|socket| {
            let name = match socket.port() {
                20_001 => "nginx",
                20_002 => "mine",
                20_003 => "sshd",
                9_903 => "envoy",
                9_905 => "evil\n\"",
                _ => return Vec::new(),
            };
            vec![Process::named(7, name).into()]
        });

        let summary = picture.summary(&Sources::default(), 1);
        let counts = |counts: &[(String, u32)]| {
            let text: Vec<String> = counts
                .iter()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            text.join(", ")
        };
        assert_eq!((summary.total, summary.available), (10, 6));
        let used = "envoy 0, sshd 1, nginx 1, node_exporter 0, xray 0, other 1, unknown 1";
        assert_eq!(counts(&summary.used), used);
        let listening = "envoy 1, sshd 0, nginx 1, node_exporter 0, xray 0, other 2, unknown 1";
        assert_eq!(
            counts(&summary.listening),
            listening,
            "one per port number, of the whole host"
        );
        assert_eq!((summary.other.len(), summary.other_rest), (1, 1));
        let verdicts: u32 = summary.verdicts.iter().map(|(_, count)| count).sum();
        assert_eq!((verdicts, summary.verdicts.len()), (10, Verdict::ALL.len()));
        assert_eq!(
            picture.taken().iter().collect::<Vec<_>>(),
            [20_001, 20_002, 20_003, 20_004]
        );
        assert_eq!(picture.sockets_of(20_001).len(), 3);
        assert_eq!(
            (picture.verdict(9_903), picture.bindable(9_903)),
            (None, None)
        );
    });
}
