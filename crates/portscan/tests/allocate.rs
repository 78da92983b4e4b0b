//! Ports that are handed out: free, never twice, kept for their server, given back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failing test is meant to stop, and to say why"
)]

mod sandbox;

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portscan::{AllocateError, Allocator, Limits, Owners, Request, Verdict, ephemeral_ports};
use sandbox::Kind::{Mptcp, Tcp, Udp};
use sandbox::With::{Dual, ReuseAddr, ReusePort, V6Only};
use sandbox::*;

const HOLD: Duration = Duration::from_secs(30);

fn allocator() -> Allocator {
    Allocator::new(PROC, Limits::default())
}

#[test]
fn ports_are_distinct_and_free_and_nothing_stays_bound() {
    in_namespace(|| {
        let ranges = ranges("10000-30000");
        let mut allocator = allocator();
        let given = allocator
            .allocate(&Request::new(100, &ranges), Instant::now())
            .unwrap();
        assert_eq!(given.lease, None);
        let distinct: HashSet<u16> = given.ports.iter().copied().collect();
        assert_eq!(distinct.len(), 100);
        assert!(distinct.iter().all(|port| ranges.contains(*port)));
        // Binds without SO_REUSEADDR, as the strictest server does.
        let servers: Vec<_> = given
            .ports
            .iter()
            .map(|port| bound(Tcp, "::", *port, &[Dual]))
            .collect();
        assert_eq!(servers.len(), 100);
        assert!(allocator.guards().is_empty());
    });
}

#[test]
fn two_callers_never_get_the_same_port() {
    in_namespace(|| {
        let shared = Arc::new(Mutex::new(allocator()));
        let start = Instant::now();
        let mut twice = 0;
        for round in 0..200 {
            let now = start + Duration::from_secs(round * 11);
            let caller = |shared: Arc<Mutex<Allocator>>| {
                std::thread::spawn(move || {
                    let ranges = ranges("10000-30000");
                    shared
                        .lock()
                        .unwrap()
                        .allocate(&Request::new(100, &ranges), now)
                        .unwrap()
                        .ports
                })
            };
            let callers = [caller(Arc::clone(&shared)), caller(Arc::clone(&shared))];
            let ports: Vec<u16> = callers
                .into_iter()
                .flat_map(|caller| caller.join().unwrap())
                .collect();
            twice += ports.len() - ports.iter().collect::<HashSet<_>>().len();
        }
        println!("two callers, 100 ports each, 200 rounds: {twice} of 40000 handed out twice");
        assert_eq!(twice, 0);
    });
}

#[test]
fn two_allocators_that_know_nothing_of_each_other_never_hold_the_same_port() {
    in_namespace(|| {
        let mut allocators = [allocator(), allocator()];
        let ranges = ranges("10000-30000");
        for _ in 0..200 {
            let request = Request {
                hold: Some(HOLD),
                ..request(100, &ranges)
            };
            let now = Instant::now();
            let given = allocators
                .each_mut()
                .map(|allocator| allocator.allocate(&request, now).unwrap());
            let ports: HashSet<u16> = given
                .iter()
                .flat_map(|given| given.ports.iter().copied())
                .collect();
            assert_eq!(ports.len(), 200);
            for (allocator, given) in allocators.iter_mut().zip(given) {
                assert!(allocator.release(given.lease.unwrap()));
            }
        }
    });
}

fn request(count: usize, ranges: &portscan::PortRanges) -> Request<'_> {
    Request::new(count, ranges)
}

#[test]
fn a_port_comes_again_only_when_nothing_else_is_left() {
    in_namespace(|| {
        let ranges = ranges("20001-20010");
        let mut allocator = allocator();
        let now = Instant::now();
        let first = allocator
            .allocate(&Request::new(6, &ranges), now)
            .unwrap()
            .ports;
        let second = allocator
            .allocate(&Request::new(4, &ranges), now)
            .unwrap()
            .ports;
        assert_eq!(
            first.iter().chain(&second).collect::<HashSet<_>>().len(),
            10
        );
        assert_eq!(
            allocator
                .allocate(&Request::new(10, &ranges), now)
                .unwrap()
                .ports
                .len(),
            10
        );
    });
}

#[test]
fn taken_excluded_udp_and_lingering_ports_are_left_out() {
    in_namespace(|| {
        let ranges = ranges("20001-20010");
        let _kept = [
            listening(Tcp, "::1", 20_001, &[]),
            bound(Tcp, "0.0.0.0", 20_002, &[ReuseAddr]),
            bound(Udp, "127.0.0.1", 20_003, &[]),
        ];
        let server = listening(Tcp, "127.0.0.1", 20_004, &[ReuseAddr]);
        let client = socket(Tcp, false, &[]);
        connect(&client, "127.0.0.1", 20_004);
        drop(accept(&server));
        wait_for_end(&client);
        drop(server);

        let exclude = sandbox::ranges("20005-20006");
        let mut allocator = allocator();
        let request = Request {
            exclude: Some(&exclude),
            ..request(4, &ranges)
        };
        let mut ports = allocator.allocate(&request, Instant::now()).unwrap().ports;
        ports.sort_unstable();
        assert_eq!(ports, [20_007, 20_008, 20_009, 20_010]);
        let more = Request {
            count: 5,
            ..request.clone()
        };
        let error = allocator.allocate(&more, Instant::now()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "only 4 available ports found, requested 5"
        );

        let with_udp = Request {
            udp: false,
            count: 5,
            ..request
        };
        let mut ports = allocator.allocate(&with_udp, Instant::now()).unwrap().ports;
        ports.sort_unstable();
        assert_eq!(ports, [20_003, 20_007, 20_008, 20_009, 20_010]);
    });
}

#[test]
fn counts_out_of_bounds_are_refused() {
    let ranges = ranges("20001-20010");
    for count in [0, 101] {
        let error = allocator()
            .allocate(&Request::new(count, &ranges), Instant::now())
            .unwrap_err();
        assert_eq!(error.to_string(), "count must be between 1 and 100");
    }
}

#[test]
fn ports_that_the_kernel_picks_itself_are_skipped_unless_reserved_or_asked_for() {
    in_namespace(|| {
        set_sysctl("ipv4/ip_local_port_range", "20000\t20999");
        set_sysctl("ipv4/ip_local_reserved_ports", "20100-20109");
        assert_eq!(
            ephemeral_ports(PROC.as_ref()).unwrap().to_string(),
            "20000-20099,20110-20999"
        );
        let ranges = ranges("20050-20199");
        let mut allocator = allocator();
        let ports = allocator
            .allocate(&Request::new(10, &ranges), Instant::now())
            .unwrap()
            .ports;
        assert!(
            ports.iter().all(|port| (20_100..=20_109).contains(port)),
            "{ports:?}"
        );
        match allocator.allocate(&Request::new(11, &ranges), Instant::now()) {
            Err(AllocateError::NotEnough {
                found: 10,
                requested: 11,
                ephemeral: 140,
                ..
            }) => {}
            other => panic!("{other:?}"),
        }
        let any = Request {
            ephemeral: true,
            ..request(100, &ranges)
        };
        assert_eq!(
            allocator
                .allocate(&any, Instant::now())
                .unwrap()
                .ports
                .len(),
            100
        );
    });
}

#[test]
fn a_lease_lets_reusing_servers_in_and_keeps_everybody_else_out() {
    in_namespace(|| {
        let ranges = ranges("20001-20020");
        let mut allocator = allocator();
        let now = Instant::now();
        let held = Request {
            hold: Some(HOLD),
            ..request(10, &ranges)
        };
        let given = allocator.allocate(&held, now).unwrap();
        let mut ports = given.ports.iter().copied();
        let mut next = || ports.next().unwrap();

        // Nobody serves yet: refused, not silent.
        let error = TcpStream::connect(("127.0.0.1", given.ports[0])).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        // Neither another guard nor a server without the option gets in.
        assert!(try_bound(Tcp, "::", given.ports[0], &[Dual]).is_err());
        assert!(try_bound(Tcp, "0.0.0.0", given.ports[0], &[ReusePort]).is_err());

        let _standard = TcpListener::bind(("0.0.0.0", next())).unwrap();
        let _dual = listening(Tcp, "::", next(), &[Dual, ReuseAddr]);
        let pair = next();
        let _pair = [
            listening(Tcp, "0.0.0.0", pair, &[ReuseAddr]),
            listening(Tcp, "::", pair, &[V6Only, ReuseAddr]),
        ];
        let group = next();
        let with = [ReuseAddr, ReusePort];
        let _group = [
            listening(Tcp, "0.0.0.0", group, &with),
            listening(Tcp, "0.0.0.0", group, &with),
        ];
        if try_socket(Mptcp, false, &[]).is_ok() {
            let _multipath = listening(Tcp, "0.0.0.0", next(), &[ReuseAddr]);
        }
        // What they serve is theirs.
        assert!(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], given.ports[0]))).is_ok());

        allocator.refresh(now).unwrap();
        let left: usize = allocator.leases().map(|lease| lease.ports.len()).sum();
        assert_eq!(left, 6, "four ports have their servers, six are still kept");
        assert!(allocator.release(given.lease.unwrap()));
        assert!(!allocator.release(given.lease.unwrap()));
        let _strict = bound(Tcp, "::", next(), &[Dual]);
    });
}

#[test]
fn a_lease_ends_with_its_time_and_its_ports_are_then_free() {
    in_namespace(|| {
        let ranges = ranges("20001-20002");
        let mut allocator = allocator();
        let now = Instant::now();
        let held = Request {
            hold: Some(HOLD),
            ..request(2, &ranges)
        };
        allocator.allocate(&held, now).unwrap();
        assert!(matches!(
            allocator.allocate(&held, now),
            Err(AllocateError::NotEnough { found: 0, .. })
        ));
        allocator
            .refresh(now + HOLD - Duration::from_millis(1))
            .unwrap();
        assert_eq!(allocator.leases().count(), 1);
        allocator.refresh(now + HOLD).unwrap();
        assert_eq!(allocator.leases().count(), 0);
        assert!(allocator.allocate(&held, now + HOLD).is_ok());
    });
}

#[test]
fn leases_are_limited_in_time_and_number() {
    in_namespace(|| {
        let ranges = ranges("20001-20400");
        let limits = Limits {
            max_held_ports: 150,
            ..Limits::default()
        };
        let mut allocator = Allocator::new(PROC, limits);
        let now = Instant::now();
        let hold = |hold| Request {
            hold: Some(hold),
            ..request(100, &ranges)
        };
        for wrong in [Duration::ZERO, Duration::from_secs(301)] {
            assert!(matches!(
                allocator.allocate(&hold(wrong), now),
                Err(AllocateError::Hold(_))
            ));
        }
        allocator.allocate(&hold(HOLD), now).unwrap();
        let error = allocator.allocate(&hold(HOLD), now).unwrap_err();
        assert_eq!(
            error.to_string(),
            "leases hold 100 ports already, and 150 is the limit"
        );
        assert!(
            allocator.allocate(&Request::new(100, &ranges), now).is_ok(),
            "plain calls go on"
        );
    });
}

#[test]
fn a_scan_calls_own_leases_leased_and_a_served_one_listening() {
    in_namespace(|| {
        let ranges = ranges("20001-20010");
        let mut allocator = allocator();
        let now = Instant::now();
        let held = Request {
            hold: Some(HOLD),
            ..request(3, &ranges)
        };
        let given = allocator.allocate(&held, now).unwrap();
        let _server = TcpListener::bind(("127.0.0.1", given.ports[0])).unwrap();
        let mut scanner = scanner(|config| {
            config.owners = Owners::Skip;
            config.exclude = sandbox::ranges("20001-20010");
        });
        let picture = scanner.scan(&ranges, &allocator.guards(), now).unwrap();
        assert_eq!(picture.verdict(given.ports[0]), Some(Verdict::Listening));
        assert_eq!(picture.count(Verdict::Leased), 2);
        assert_eq!(picture.count(Verdict::Excluded), 7);
        let summary = picture.summary(&portscan::Sources::default(), 5);
        assert_eq!(summary.available, 9);
    });
}

#[test]
fn connections_never_start_from_a_held_port() {
    in_namespace(|| {
        set_sysctl("ipv4/ip_local_port_range", "20000 20009");
        let ranges = ranges("20000-20009");
        let mut allocator = allocator();
        let held = Request {
            hold: Some(HOLD),
            ephemeral: true,
            ..request(9, &ranges)
        };
        let given = allocator.allocate(&held, Instant::now()).unwrap();
        let free = ranges
            .iter()
            .find(|port| !given.ports.contains(port))
            .unwrap();
        let picked = bound(Tcp, "0.0.0.0", 0, &[]);
        assert_eq!(port_of(&picked), free);
        assert!(
            try_bound(Tcp, "0.0.0.0", 0, &[]).is_err(),
            "no port is left to pick"
        );
    });
}

#[test]
fn ports_that_may_not_be_bound_are_counted_apart() {
    in_namespace(|| {
        let error = as_user(65_534, || {
            allocator()
                .allocate(&Request::new(1, &ranges("100-110")), Instant::now())
                .unwrap_err()
        });
        match error {
            AllocateError::NotEnough {
                found: 0,
                forbidden: 11,
                ..
            } => {}
            other => panic!("{other:?}"),
        }
    });
}
