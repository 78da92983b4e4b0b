//! `--node-compat`: node_exporter's names, with the figures that node_exporter itself reads at the same time.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop"
)]

#[allow(
    dead_code,
    reason = "shared with the end-to-end tests, which need more of it"
)]
#[path = "e2e/parts.rs"]
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use parts::{Agent, Answer, PATIENCE, ask, folder, free_port};
use promexport::Format;

/// Nobody answers there, and these tests need nobody.
const NO_API: &str = "http://127.0.0.1:1/api";

/// Names and labels of series, and their values.
type Series = BTreeMap<(String, BTreeSet<String>), f64>;

/// The series of a page that begin with `node_`, without the labels that only one of both writes.
fn series(page: &str) -> Series {
    page.split('\n')
        .filter(|line| line.starts_with("node_"))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            let labels = labels
                .trim_end_matches('}')
                .split("\",")
                .map(|label| label.trim_end_matches('"').to_owned())
                .filter(|label| {
                    !label.is_empty()
                        && !label.starts_with("hostname=")
                        && label != "device_error=\""
                })
                .collect();
            ((name.to_owned(), labels), value.parse().unwrap())
        })
        .collect()
}

fn types(page: &str) -> BTreeMap<&str, &str> {
    page.split('\n')
        .filter_map(|line| line.strip_prefix("# TYPE node_")?.split_once(' '))
        .collect()
}

fn scrape(port: u16) -> String {
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: text/plain;version=0.0.4\r\nconnection: close\r\n\r\n";
    unchunked(&ask(port, request))
}

/// The body; node_exporter sends a long one in chunks.
fn unchunked(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.head);
    if !answer.head.contains("transfer-encoding: chunked") {
        return answer.body.clone();
    }
    let (mut body, mut rest) = (String::new(), answer.body.as_str());
    while let Some((length, more)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&more[..length]);
        rest = &more[length..];
        rest = rest.strip_prefix("\r\n").unwrap_or(rest);
        if length == 0 {
            break;
        }
    }
    body
}

/// A running node_exporter; killed at the end of the test.
struct Peer {
    child: Child,
    port: u16,
}

impl Peer {
    fn start() -> Option<Self> {
        let port = free_port();
        let child = Command::new("prometheus-node-exporter")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { child, port })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn no_name_of_node_exporter_is_served_unasked() {
    let page = scrape(Agent::start(NO_API, &[]).port);
    assert!(page.contains("\nsigma_host_load1{"), "{page}");
    assert!(!page.contains("node_memory") && series(&page).is_empty());
}

#[test]
fn the_page_is_in_order_in_both_formats() {
    let agent = Agent::start(NO_API, &["--node-compat"]);
    for (accept, format) in [
        ("text/plain;version=0.0.4", Format::TEXT),
        (
            "application/openmetrics-text;version=1.0.0",
            Format::OPEN_METRICS,
        ),
    ] {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
        );
        let page = ask(agent.port, &request).body;
        let complaints: Vec<_> = promexport::lint(page.as_bytes(), format)
            .into_iter()
            .filter(|complaint| !is_about_an_old_name(&complaint.what))
            .collect();
        assert_eq!(complaints, []);
    }
}

/// Names older than the advice on names: `node_memory_MemFree_bytes`, `node_entropy_available_bits`.
fn is_about_an_old_name(complaint: &str) -> bool {
    complaint.starts_with("node_")
        && ["capital letter", "bits is no base unit"]
            .iter()
            .any(|advice| complaint.ends_with(advice))
}

#[test]
fn the_facts_that_every_dashboard_asks_for_are_there() {
    let agent = Agent::start(NO_API, &["--node-compat"]);
    let series = series(&scrape(agent.port));
    let has = |name: &str, labels: &[&str]| {
        series
            .keys()
            .any(|(known, all)| known == name && labels.iter().all(|one| all.contains(*one)))
    };
    for (name, labels) in [
        ("node_cpu_seconds_total", &["cpu=\"0", "mode=\"iowait"][..]),
        ("node_memory_MemTotal_bytes", &[]),
        ("node_memory_MemAvailable_bytes", &[]),
        ("node_memory_SwapTotal_bytes", &[]),
        ("node_load1", &[]),
        ("node_load15", &[]),
        ("node_boot_time_seconds", &[]),
        ("node_time_seconds", &[]),
        ("node_uname_info", &["sysname=\"Linux"]),
        ("node_network_receive_bytes_total", &["device=\"lo"]),
        ("node_vmstat_pgmajfault", &[]),
        ("node_netstat_Tcp_CurrEstab", &[]),
        ("node_sockstat_TCP_alloc", &[]),
        ("node_filefd_allocated", &[]),
        ("node_scrape_collector_success", &["collector=\"meminfo"]),
    ] {
        assert!(has(name, labels), "{name} {labels:?} is missing");
    }
    assert!(
        !has("node_exporter_build_info", &[]),
        "the agent is no node_exporter"
    );
}

#[test]
fn sources_can_be_chosen_as_of_node_exporter() {
    let agent = Agent::start(NO_API, &["--node-compat"]);
    let page = agent.get("/metrics?collect[]=loadavg").body;
    let names: BTreeSet<String> = series(&page).into_keys().map(|(name, _)| name).collect();
    let expected = [
        "node_load1",
        "node_load15",
        "node_load5",
        "node_scrape_collector_duration_seconds",
        "node_scrape_collector_success",
    ];
    assert_eq!(names, expected.map(ToOwned::to_owned).into());
}

#[test]
fn every_series_that_node_exporter_has_too_has_the_same_value() {
    let Some(peer) = Peer::start() else {
        println!("skipped: no prometheus-node-exporter on the PATH");
        return;
    };
    // On the peer's family of addresses: the connection of a scrape is one of the sockets that are counted.
    let agent = Agent::start(NO_API, &["--node-compat", "--metrics-address", "127.0.0.1"]);
    // What moves between two readings is right once node_exporter's value lies between two of ours: that takes a few rounds.
    let begin = Instant::now();
    let mut agreed = BTreeSet::new();
    let mut last_apart = Vec::new();
    while begin.elapsed() < PATIENCE {
        let pages = [agent.port, peer.port, agent.port].map(scrape);
        let [before, theirs, after] = pages.each_ref().map(|page| series(page));
        last_apart.clear();
        for (key, value) in theirs {
            let (Some(one), Some(other)) = (before.get(&key), after.get(&key)) else {
                continue;
            };
            if key.0.starts_with("node_scrape_") || agreed.contains(&key) {
                continue;
            }
            let slack = value.abs() * 1e-12;
            if (one.min(*other) - slack..=one.max(*other) + slack).contains(&value) {
                agreed.insert(key);
            } else {
                last_apart.push((key, *one, value, *other));
            }
        }
        if last_apart.is_empty() {
            let (ours, theirs) = (types(&pages[0]), types(&pages[1]));
            let other_types: Vec<_> = theirs
                .into_iter()
                // A counter of this name could not be told from a part of a histogram.
                .filter(|(name, _)| *name != "softnet_flow_limit_count_total")
                .filter(|(name, kind)| ours.get(name).is_some_and(|own| own != kind))
                .collect();
            assert_eq!(other_types, []);
            break;
        }
    }
    assert!(last_apart.is_empty(), "never equal: {last_apart:#?}");
    assert!(agreed.len() > 200, "only {} were compared", agreed.len());
    for (name, label) in [
        ("node_cpu_seconds_total", "mode=\"idle"),
        ("node_memory_MemTotal_bytes", ""),
        ("node_load5", ""),
        ("node_network_receive_bytes_total", ""),
        ("node_filesystem_size_bytes", "mountpoint=\"/"),
        ("node_uname_info", "sysname=\"Linux"),
    ] {
        let is_there = agreed
            .iter()
            .any(|(known, labels)| known == name && (label.is_empty() || labels.contains(label)));
        // A container's root is an overlay, which node_exporter does not show.
        assert!(
            is_there || name.starts_with("node_filesystem"),
            "{name} was not compared"
        );
    }
}

#[test]
fn files_full_of_nonsense_spoil_neither_the_page_nor_the_other_sources() {
    let root = folder("host");
    let proc = root.join("proc");
    std::fs::create_dir_all(proc.join("net")).unwrap();
    for name in [
        "diskstats",
        "meminfo",
        "schedstat",
        "stat",
        "vmstat",
        "net/arp",
        "net/dev",
        "net/netstat",
        "net/snmp",
        "net/snmp6",
        "net/sockstat",
        "net/softnet_stat",
        "net/udp",
    ] {
        let mut bytes = std::fs::read(Path::new("/proc").join(name)).unwrap_or_default();
        for (index, byte) in bytes.iter_mut().enumerate().step_by(7) {
            *byte = [0xff, b'"', b'\n', b'{', b'\\', 0][index / 7 % 6];
        }
        std::fs::write(proc.join(name), bytes).unwrap();
    }
    std::fs::write(proc.join("loadavg"), "0.31 0.14 0.05 1/89 8009\n").unwrap();
    let root = root.to_str().unwrap();
    let agent = Agent::start(NO_API, &["--node-compat", "--host-root", root]);
    let page = scrape(agent.port);
    let series = series(&page);
    let load = series.iter().find(|((name, _), _)| name == "node_load1");
    assert_eq!(load.map(|(_, value)| *value), Some(0.31));
    let complaints: Vec<_> = promexport::lint(page.as_bytes(), Format::TEXT)
        .into_iter()
        .filter(|complaint| !is_about_an_old_name(&complaint.what))
        .collect();
    assert_eq!(complaints, []);
}
