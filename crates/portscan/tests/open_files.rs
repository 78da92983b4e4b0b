//! What scans do to the table of open files, and what a full one does to a scan.
//!
//! One test at a time: all threads share the table.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failing test is meant to stop, and to say why"
)]

mod sandbox;

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use portscan::{Method, Owners};
use sandbox::*;

#[test]
fn scans_leave_no_files_open_and_a_full_table_is_an_error() {
    a_thousand_scans_leave_no_open_files_behind();
    too_few_open_files_fail_the_scan_instead_of_using_up_every_port();
}

fn a_thousand_scans_leave_no_open_files_behind() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _lingering = bound(Kind::Tcp, "0.0.0.0", 20_001, &[With::ReuseAddr]);
        let mut scanner = scanner(|_| {});
        let open = || fs::read_dir("/proc/self/fd").unwrap().count();
        scanner
            .scan(&ranges("20000-20010"), &[], Instant::now())
            .unwrap();
        let before = open();
        for _ in 0..1000 {
            scanner
                .scan(&ranges("20000-20010"), &[], Instant::now())
                .unwrap();
        }
        assert_eq!(open(), before);
    });
}

fn too_few_open_files_fail_the_scan_instead_of_using_up_every_port() {
    in_namespace(|| {
        let _lingering = bound(Kind::Tcp, "0.0.0.0", 20_000, &[With::ReuseAddr]);
        let mut scanner = scanner(|config| {
            config.method = Method::Bind;
            config.owners = Owners::Skip;
        });
        let _hog = exhaust_files();
        let error = scanner
            .scan(&ranges("20000-20010"), &[], Instant::now())
            .unwrap_err();
        assert!(error.is_transient(), "{error}");
    });
}

/// Opens files until there are no more.
fn exhaust_files() -> Vec<fs::File> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(200),
            maximum,
        },
    )
    .unwrap();
    std::iter::from_fn(|| fs::File::open("/dev/null").ok())
        .take(1000)
        .collect()
}
