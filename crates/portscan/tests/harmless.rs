//! Scans in an endless loop disturb no server and answer no client.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failing test is meant to stop, and to say why"
)]

mod sandbox;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portscan::{Method, Owners};
use sandbox::With::{Dual, ReuseAddr};
use sandbox::*;

const FIRST: u16 = 20_000;
const PORTS: u16 = 1000;

/// Set `PORTSCAN_HARM_TRIES` for a longer run.
fn tries() -> u32 {
    std::env::var("PORTSCAN_HARM_TRIES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000)
}

/// Scans without a pause on another core while `victim` runs; returns the number of scans.
fn while_scanning(method: Method, victim: impl FnOnce()) -> u64 {
    let stop = AtomicBool::new(false);
    let scans = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut scanner = scanner(|config| {
                config.method = method;
                config.owners = Owners::Skip;
            });
            let ports = ranges(&format!("{FIRST}-{}", FIRST + PORTS - 1));
            while !stop.load(Ordering::Relaxed) {
                scanner.scan(&ports, &[], Instant::now()).unwrap();
                scans.fetch_add(1, Ordering::Relaxed);
            }
        });
        wait_for("the first scan", || scans.load(Ordering::Relaxed) > 0);
        victim();
        stop.store(true, Ordering::Relaxed);
    });
    scans.into_inner()
}

/// A port of the range, another each time.
fn port(step: u32) -> u16 {
    FIRST + u16::try_from(u64::from(step) * 7919 % u64::from(PORTS)).unwrap()
}

#[test]
fn servers_that_start_during_scans_never_fail() {
    in_namespace(|| {
        // Lingering sockets make the exact scan test-bind all the time.
        let _lingering: Vec<_> = (0..PORTS)
            .step_by(10)
            .map(|step| bound(Kind::Tcp, "127.0.0.9", FIRST + step, &[ReuseAddr]))
            .collect();
        for method in [Method::Exact, Method::Bind] {
            let tries = tries();
            let mut failed = 0;
            let scans = while_scanning(method, || {
                for step in 0..tries {
                    let at = port(step);
                    let started = try_bound(Kind::Tcp, "::", at, &[Dual, ReuseAddr])
                        .map_err(|error| format!("bind: {error}"))
                        .and_then(|fd| {
                            rustix::net::listen(fd, 1).map_err(|error| format!("listen: {error}"))
                        });
                    if let Err(error) = started {
                        println!("port {at}: {error}");
                        failed += 1;
                    }
                }
            });
            println!(
                "{method:?}: {failed} of {tries} starts of a server failed during {scans} scans"
            );
            assert_eq!(failed, 0);
        }
    });
}

#[test]
fn nobody_ever_connects_to_a_port_because_it_is_scanned() {
    in_namespace(|| {
        let _lingering: Vec<_> = (0..PORTS)
            .step_by(10)
            .map(|step| bound(Kind::Tcp, "0.0.0.0", FIRST + step, &[ReuseAddr]))
            .collect();
        for method in [Method::Exact, Method::Bind] {
            let tries = tries() / 2;
            let (mut connected, mut silent) = (0, 0);
            let scans = while_scanning(method, || {
                for step in 0..tries {
                    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port(step)));
                    match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
                        Ok(_) => connected += 1,
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                        Err(_) => silent += 1,
                    }
                }
            });
            println!(
                "{method:?}: {connected} phantom connections and {silent} silent ones of {tries} during {scans} scans"
            );
            assert_eq!((connected, silent), (0, 0));
        }
    });
}
