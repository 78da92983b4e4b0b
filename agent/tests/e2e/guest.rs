//! The guest role: what the manager of a Firecracker host reads, and is told.

use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::parts::{
    Agent, Answer, Played, ask, binary, connect, folder, free_port, http, wait_for,
};

fn guest(more: &[&str]) -> Agent {
    let port = free_port();
    let config = folder("guest").join("none.conf");
    std::fs::write(&config, "").unwrap();
    let port_text = port.to_string();
    let mut args = vec!["--role", "guest", "--log-format", "json"];
    if !more.contains(&"--metrics-port") {
        args.extend(["--metrics-port", &port_text]);
    }
    if !more.contains(&"--config") {
        args.extend(["--config", config.to_str().unwrap()]);
    }
    args.extend(more);
    Agent::spawn(&mut binary(&args), port)
}

fn figures(port: u16) -> Value {
    let answer = get(port, "/metrics", "*/*");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.head.contains("content-type: application/json"),
        "{}",
        answer.head
    );
    serde_json::from_str(&answer.body).unwrap()
}

fn get(port: u16, path: &str, accept: &str) -> Answer {
    connect(port);
    ask(
        port,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n"),
    )
}

#[test]
fn the_manager_reads_the_fields_it_needs_with_their_types() {
    let agent = guest(&[]);
    let figures = figures(agent.port);
    for name in ["cpu_usage_percent", "memory_usage_percent", "load_average"] {
        assert!(figures[name].is_f64(), "{name}: {figures}");
    }
    for name in [
        "memory_used_kb",
        "memory_total_kb",
        "memory_available_kb",
        "uptime_seconds",
        "process_count",
    ] {
        assert!(figures[name].is_u64(), "{name}: {figures}");
    }
    let number = |name: &str| figures[name].as_f64().unwrap();
    // The kernel's own words.
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = meminfo
        .split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(figures["memory_total_kb"], total);
    let used = number("memory_total_kb") - number("memory_available_kb");
    assert!((used - number("memory_used_kb")).abs() < 0.5, "{figures}");
    let percent = number("memory_used_kb") / number("memory_total_kb") * 100.0;
    assert!(
        (percent - number("memory_usage_percent")).abs() < 0.01,
        "{figures}"
    );
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!((uptime - number("uptime_seconds")).abs() < 5.0, "{figures}");
    assert!(
        (0.0..=100.0).contains(&number("cpu_usage_percent")),
        "{figures}"
    );
}

#[test]
fn health_is_text_or_json_and_prometheus_gets_its_page() {
    let agent = guest(&[]);
    let health = get(agent.port, "/health", "*/*");
    assert_eq!((health.status, health.body.as_str()), (200, "OK"));
    let health = get(agent.port, "/health", "application/json");
    let health: Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(health["status"], "healthy");
    assert!(health["timestamp"].is_u64() && health["version"].is_string());
    // What Prometheus 2.42 sends.
    let accept = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (path, accept) in [("/metrics", accept), ("/metrics?format=prometheus", "*/*")] {
        let page = get(agent.port, path, accept);
        assert!(
            page.body.contains("sigma_host_memory_total_bytes"),
            "{page:?}"
        );
    }
    for accept in ["application/json, text/plain, */*", "text/html,*/*"] {
        let answer = get(agent.port, "/metrics", accept);
        assert!(
            answer.body.starts_with("{\"cpu_"),
            "{accept}: {}",
            answer.body
        );
    }
    assert_eq!(ask(agent.port, "POST /configure-interface HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").status, 404);
    assert_eq!(
        ask(
            agent.port,
            "POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )
        .status,
        405
    );
}

#[test]
fn several_ports_show_the_same() {
    let (one, other) = (free_port(), free_port());
    let ports = format!("{one},{other}");
    let agent = guest(&["--metrics-port", &ports]);
    for port in [one, other] {
        assert!(figures(port)["memory_total_kb"].as_u64().unwrap() > 0);
    }
    drop(agent);
}

/// A host of files: what stands in them is the truth.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let root = folder(name);
        for file in ["meminfo", "loadavg", "uptime", "stat"] {
            let path = root.join("proc").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::copy(Path::new("/proc").join(file), path).unwrap();
        }
        Self(root)
    }

    fn root(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join("proc").join(file);
        // Replaced whole: a reader never sees half of it.
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }
}

/// `user nice system idle iowait irq softirq steal` in ticks, added to `before`.
fn stat(before: [u64; 8], busy: u64, idle: u64) -> ([u64; 8], String) {
    let mut now = before;
    now[0] += busy / 2;
    now[7] += busy - busy / 2;
    now[3] += idle / 2;
    now[4] += idle - idle / 2;
    let words: Vec<String> = now.iter().map(u64::to_string).collect();
    (
        now,
        format!(
            "cpu  {} 0 0\ncpu0 {} 0 0\nbtime 1\n",
            words.join(" "),
            words.join(" ")
        ),
    )
}

#[test]
fn counters_of_any_size_give_the_right_share() {
    for (name, start) in [
        ("fresh", 1_000_u64),
        ("sixteen-bit", (1 << 16) - 50),
        ("thirty-two-bit", (1 << 32) - 50),
        ("sixty-four-bit", u64::MAX / 16),
    ] {
        let files = Files::new(name);
        let (before, text) = stat([start; 8], 0, 0);
        files.write("stat", &text);
        let agent = guest(&["--host-root", files.root()]);
        // Until the counters move there is no figure to show, and none is made up.
        let still = get(agent.port, "/metrics", "*/*");
        assert_eq!(still.status, 500, "{still:?}");
        let (before, text) = stat(before, 73, 127);
        files.write("stat", &text);
        let shown = wait_for("a sample", || {
            let answer = get(agent.port, "/metrics", "*/*");
            (answer.status == 200).then_some(answer.body)
        });
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["cpu_usage_percent"], 36.5, "{name}: {shown}");
        assert_eq!(shown["cpu_steal_percent"], 18.5, "{name}: {shown}");
        // A restored snapshot: everything went back, and the next window counts from there.
        files.write("stat", &stat([7; 8], 0, 0).1);
        wait_for("the counters to stand still again", || {
            (get(agent.port, "/metrics", "*/*").status == 500).then_some(())
        });
        files.write("stat", &stat([7; 8], 20, 20).1);
        let shown = wait_for("a sample after the restore", || {
            let answer = get(agent.port, "/metrics", "*/*");
            (answer.status == 200).then_some(answer.body)
        });
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["cpu_usage_percent"], 50.0, "{name}: {shown}");
        let _ = before;
    }
}

#[test]
fn a_kernel_without_memavailable_is_estimated_and_a_missing_file_is_an_error() {
    let files = Files::new("old-kernel");
    files.write(
        "meminfo",
        "MemTotal: 1000000 kB\nMemFree: 200000 kB\nBuffers: 50000 kB\nCached: 300000 kB\nSReclaimable: 20000 kB\nShmem: 70000 kB\n",
    );
    let root = files.root().to_owned();
    std::os::unix::fs::symlink("/proc/stat", files.0.join("proc/live")).unwrap();
    let agent = guest(&["--host-root", &root]);
    let mut busy = 0;
    let shown = wait_for("a sample", || {
        busy += 10;
        files.write("stat", &stat([1000; 8], busy, busy).1);
        let answer = get(agent.port, "/metrics", "*/*");
        (answer.status == 200).then_some(answer.body)
    });
    let shown: Value = serde_json::from_str(&shown).unwrap();
    // Free, buffers, cached and reclaimable less shared.
    assert_eq!(shown["memory_available_kb"], 500_000, "{shown}");
    assert_eq!(shown["memory_usage_percent"], 50.0, "{shown}");
    std::fs::remove_file(files.0.join("proc/meminfo")).unwrap();
    let failed = wait_for("an error", || {
        busy += 10;
        files.write("stat", &stat([1000; 8], busy, busy).1);
        let answer = get(agent.port, "/metrics", "*/*");
        (answer.status == 500 && answer.body.contains("meminfo")).then_some(answer.body)
    });
    assert!(failed.contains("error"), "{failed}");
}

#[test]
fn the_address_is_reported_again_and_again_and_after_refusals() {
    let tries = AtomicU32::new(0);
    let manager = Played::start(move |_| {
        let status = match tries.fetch_add(1, Ordering::Relaxed) {
            0 => "503 Service Unavailable",
            _ => "200 OK",
        };
        Some(http(status, "", "{}"))
    });
    let config = folder("report").join("guest-agent.conf");
    let url = format!("http://127.0.0.1:{}", manager.port);
    std::fs::write(
        &config,
        format!(
            "# written by the manager\nVM_ID=vm-0f3a\nMANAGER_URL=\"{url}/\"\nSOMETHING_NEW=1\n"
        ),
    )
    .unwrap();
    let agent = guest(&["--config", config.to_str().unwrap()]);
    agent.logged("unknown key `something_new`");
    if !has_address() {
        println!("skipped: this machine has no address but loopback's");
        agent.logged("no address that others can reach");
        return;
    }
    let requests = wait_for("two reports", || {
        let requests = manager.requests.lock().unwrap().clone();
        (requests.len() >= 2).then_some(requests)
    });
    for request in &requests {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /v1/vms/vm-0f3a/guest-ip HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(
            head.to_ascii_lowercase()
                .contains("content-type: application/json"),
            "{head}"
        );
        let body: Value = serde_json::from_str(body).unwrap();
        let address: std::net::IpAddr = body["guest_ip"].as_str().unwrap().parse().unwrap();
        assert!(!address.is_loopback(), "{body}");
    }
    agent.logged("address reported");
}

/// Whether there is an address to report: asked of the kernel's own table.
fn has_address() -> bool {
    let table = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let addresses = table.lines().zip(table.lines().skip(1));
    addresses
        .filter(|(_, kind)| kind.contains("host LOCAL"))
        .any(|(address, _)| !address.contains("-- 127."))
        || std::fs::read_to_string("/proc/net/if_inet6")
            .unwrap_or_default()
            .lines()
            .any(|line| !line.ends_with(" lo") && !line.starts_with("fe80"))
}

#[test]
fn half_open_connections_by_the_thousand_keep_nobody_waiting() {
    const WANTED: u64 = 10_000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let room = limit.maximum.unwrap_or(u64::MAX);
    let raised = rustix::process::Rlimit {
        current: Some(room.min(WANTED + 2_000)),
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let many = usize::try_from(room.min(WANTED + 2_000).saturating_sub(1_000).min(WANTED)).unwrap();
    if many < 10_000 {
        println!("skipped: only {many} half-open connections (ulimit -n)");
    }
    let agent = guest(&[]);
    figures(agent.port);
    let before = own_kib(&agent);
    let mut open: Vec<TcpStream> = Vec::new();
    for _ in 0..many {
        let mut stream = connect(agent.port);
        std::io::Write::write_all(
            &mut stream,
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Unfinished: ",
        )
        .unwrap();
        open.push(stream);
    }
    // A real request is answered meanwhile.
    assert!(figures(agent.port)["memory_total_kb"].is_u64());
    // 64 connections are kept, with at most 32 KiB of a head each.
    let grown = own_kib(&agent).saturating_sub(before);
    assert!(grown < 4_096, "{many} connections cost {grown} KiB");
    // All are closed by the agent: none has to be given up by its client.
    for mut stream in open {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

/// Memory of its own: what is only read from the program's file does not count.
fn own_kib(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn the_name_of_the_program_chooses_the_role() {
    let link = folder("called").join("guest-agent");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sigma-agent"), &link).unwrap();
    let said = std::process::Command::new(&link)
        .arg("--version")
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.starts_with("guest-agent "), "{said}");
}
