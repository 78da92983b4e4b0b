//! The stage for the pictures in the docs: a real agent, real processes and the page's own files, between them a server that gives the
//! host another name and an hour of figures.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::holder::Holder;
use crate::parts::{ask, connect};

/// The processes of the play: name, unit, and their ports.
const CAST: [(&str, &str); 8] = [
    ("envoy", "envoy.service"),
    ("xray", "xray.service"),
    ("nginx", "nginx.service"),
    ("postgres", "postgresql@15-main.service"),
    ("redis-server", "redis-server.service"),
    ("node_exporter", "prometheus-node-exporter.service"),
    ("haproxy", "haproxy.service"),
    ("coredns", "coredns.service"),
];

pub(crate) fn cast() -> Vec<Holder> {
    let scattered = |from: u16, span: u16, many: usize, seed: u64| {
        scattered(seed)
            .map(move |chance| from + chance % span)
            .take(many)
    };
    let ports: [Vec<u16>; 8] = [
        (12_000..12_600)
            .chain(scattered(10_000, 20_000, 240, 7))
            .collect(),
        scattered(20_000, 4_000, 950, 11).collect(),
        [10_080, 10_443].into_iter().chain(18_000..18_040).collect(),
        vec![15_432],
        vec![16_379],
        vec![19_100],
        (27_000..27_120).collect(),
        (25_000..25_160).collect(),
    ];
    let over = |name: &str| if name == "coredns" { "udp" } else { "tcp" };
    CAST.iter()
        .zip(ports)
        .map(|((name, _), ports)| Holder::over(over(name), name, ports))
        .collect()
}

/// Numbers without a pattern, the same at every showing.
fn scattered(seed: u64) -> impl Iterator<Item = u16> {
    let next = |state: &u64| {
        Some(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    };
    std::iter::successors(Some(seed), next)
        .skip(1)
        .map(|state| u16::try_from(state >> 49).unwrap())
}

/// Serves until the process ends; the port.
pub(crate) fn front(agent: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream, agent));
        }
    });
    port
}

fn serve(mut stream: TcpStream, agent: u16) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    if !path.starts_with("/events") {
        let mut answer = Vec::new();
        let mut own = connect(agent);
        let _ = own.write_all(
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
        );
        let _ = own.read_to_end(&mut answer);
        let _ = stream.write_all(&answer);
        return;
    }
    let _ = stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
    );
    let mut since = 0;
    loop {
        let told = ask(
            agent,
            &format!("GET /events?once&since={since} HTTP/1.0\r\nhost: x\r\n\r\n"),
        )
        .body;
        let mut played: Vec<String> = told.split("\n\n").filter_map(play).collect();
        if since == 0 {
            played.push(event("figures", &figures()));
        }
        since = i64::MAX / 2;
        if stream.write_all(played.concat().as_bytes()).is_err() {
            return;
        }
        sleep(Duration::from_secs(2));
    }
}

fn event(name: &str, value: &Value) -> String {
    format!("event: {name}\ndata: {value}\n\n")
}

/// One event of the agent as it is shown on this stage.
fn play(told: &str) -> Option<String> {
    let (name, data) = told.strip_prefix("event: ")?.split_once("\ndata: ")?;
    let mut value: Value = serde_json::from_str(data).ok()?;
    match name {
        "host" => value = host(),
        "state" => {
            value["api"]["url"] = json!("https://sigma.example/api");
            value["host"]["public_ip"] = json!("203.0.113.24");
            value["agent"]["pid"] = json!(812);
            value["agent"]["uptime_seconds"] = json!(1_051_380);
        }
        "ports" => ports(&mut value),
        _ => return None,
    }
    Some(event(name, &value))
}

/// Only the cast is on stage.
fn ports(value: &mut Value) {
    let owners = value["owners"].as_array().unwrap().clone();
    let unit = |name: &Value| {
        CAST.iter()
            .find(|(own, _)| name == own)
            .map(|(_, unit)| *unit)
    };
    let mut verdicts = serde_json::Map::new();
    let mut held = 0;
    value["cells"].as_array_mut().unwrap().retain(|cell| {
        let owner = cell[3]
            .as_u64()
            .and_then(|owner| owners.get(usize::try_from(owner).unwrap()));
        let plays = owner.is_some_and(|owner| unit(owner).is_some());
        if plays {
            let ports = cell[1].as_u64().unwrap();
            let sum = verdicts
                .entry(cell[2].as_str().unwrap())
                .or_insert(json!(0));
            *sum = json!(sum.as_u64().unwrap() + ports);
            held += ports;
        }
        plays
    });
    for one in value["listeners"].as_array_mut().unwrap() {
        one["unit"] = json!(unit(&one["name"]));
    }
    value["listeners"]
        .as_array_mut()
        .unwrap()
        .retain(|one| !one["unit"].is_null());
    let free = value["total"].as_u64().unwrap() - held;
    value["available"] = json!(free);
    verdicts.insert("free".to_owned(), json!(free));
    value["verdicts"] = verdicts.into();
    value["warnings"] = json!([]);
}

fn host() -> Value {
    let disk = |mount: &str, source: &str, total: u64, used: f64| {
        let kind = if mount == "/boot" { "vfat" } else { "ext4" };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "made up"
        )]
        let free = (total as f64 * (1.0 - used)) as u64;
        json!({ "mount": mount, "source": source, "type": kind, "read_only": false, "total_bytes": total, "available_bytes": free, "used_ratio": used, "note": null })
    };
    json!({
        "hostname": "web-3",
        "os": "Debian GNU/Linux 13 (trixie)",
        "kernel": "6.12.48+deb13-amd64",
        "architecture": "x86_64",
        "virtualization": "kvm",
        "cores": 4,
        "memory_total_bytes": 8_318_324_736_u64,
        "swap_total_bytes": 1_073_737_728,
        "uptime_seconds": 4_060_800,
        "processes": 163,
        "file_systems": [disk("/", "/dev/vda1", 84_354_560_000, 0.38), disk("/var/lib/postgresql", "/dev/vdb", 211_106_232_000, 0.71)],
        "addresses": [
            { "address": "203.0.113.24", "interface": "eth0", "scope": "public", "default_route": true },
            { "address": "2001:db8:5::24", "interface": "eth0", "scope": "public", "default_route": true },
            { "address": "10.0.0.24", "interface": "eth1", "scope": "private", "default_route": false },
        ],
    })
}

/// An hour of a web server: waves of visitors, a backup half an hour ago.
fn figures() -> Value {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let columns = [
        "cpu_busy",
        "cpu_iowait",
        "cpu_steal",
        "memory_used",
        "swap_used",
        "load_1",
        "load_5",
        "received",
        "sent",
        "read",
        "written",
        "waiting_cpu",
        "waiting_memory",
        "waiting_io",
    ];
    let times = (0..165)
        .map(|step| 3600.0 - f64::from(step) * 20.0)
        .chain((0..150).map(|step| 300.0 - f64::from(step) * 2.0));
    let rows: Vec<Value> = times.map(|ago| row(now, ago)).collect();
    json!({ "columns": columns, "rows": rows })
}

fn row(now: f64, ago: f64) -> Value {
    let time = 3600.0 - ago;
    let noise = |speed: f64| (time * speed).sin() * (time * speed * 2.7 + 1.0).cos();
    let crowd = 0.5
        + 0.22 * (time / 420.0).sin()
        + 0.12 * (time / 95.0).sin()
        + 0.10 * noise(0.61)
        + 0.05 * noise(1.9);
    let backup = (-((time - 1900.0) / 130.0).powi(2)).exp();
    let crowd = crowd.max(0.05);
    #[expect(clippy::cast_possible_truncation, reason = "far from the end of time")]
    let at = ((now - ago) * 1000.0) as i64;
    json!([
        at,
        0.16 + 0.34 * crowd + 0.22 * backup,
        0.012 + 0.01 * noise(0.37).abs() + 0.19 * backup,
        0.004 + 0.006 * noise(0.83).abs(),
        0.56 + 0.03 * (time / 900.0).sin() + 0.05 * backup,
        0.041,
        0.7 + 1.9 * crowd + 1.6 * backup,
        1.0 + 1.1 * (0.5 + 0.22 * ((time - 150.0) / 420.0).sin()) + 0.9 * backup,
        1.9e6 * crowd + 2e5 * noise(2.3).abs(),
        8.6e6 * crowd + 6e5 * noise(1.3).abs(),
        2.4e5 * noise(0.9).abs() + 4.1e7 * backup,
        1.1e6 + 9e5 * crowd + 6e5 * noise(1.7).abs(),
        0.02 + 0.05 * crowd + 0.03 * noise(0.7).abs(),
        0.0,
        0.004 + 0.012 * noise(0.5).abs() + 0.21 * backup
    ])
}
