//! What promtool, the strict parser of the official Python client and a real Prometheus say of a page.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use promexport::{Counter, Format, Page, gzip};

use crate::full_page::{evil_names, full_page};

const FORMATS: [Format; 2] = [Format::TEXT, Format::OPEN_METRICS];

/// Runs a program over a page; `None` (and a loud line) if the program is not there.
fn ask(program: &str, arguments: &[&str], input: &[u8]) -> Option<Output> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        println!("skipped: no {program}; apt-get install prometheus python3");
        return None;
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    Some(child.wait_with_output().unwrap())
}

/// What a parser of the Python client reads: a line per sample, each label value in hex.
fn python_reads(module: &str, page: &[u8]) -> Option<Vec<String>> {
    if !ask(
        "python3",
        &["-c", "import prometheus_client.openmetrics.parser"],
        b"",
    )?
    .status
    .success()
    {
        println!("skipped: no strict OpenMetrics parser; pip install prometheus_client");
        return None;
    }
    let script = format!(
        "import sys\n\
         from {module} import text_string_to_metric_families as parse\n\
         for family in parse(sys.stdin.buffer.read().decode()):\n\
         \x20for s in family.samples:\n\
         \x20 labels = ','.join(k + '=' + v.encode().hex() for k, v in s.labels.items())\n\
         \x20 print(family.type, s.name, labels, float(s.value))\n"
    );
    let output = ask("python3", &["-c", &script], page)?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect(),
    )
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn promtool_is_content_with_text() {
    let Some(output) = ask("promtool", &["check", "metrics"], &full_page(Format::TEXT)) else {
        return;
    };
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_strict_parser_reads_what_was_meant() {
    let Some(samples) = python_reads(
        "prometheus_client.openmetrics.parser",
        &full_page(Format::OPEN_METRICS),
    ) else {
        return;
    };
    let host = format!("hostname={}", hex("db1"));
    let mut expected = vec![
        format!("info target_info {host},os={} 1.0", hex("linux")),
        format!("unknown sigma_ports_total {host} 20001.0"),
        format!(
            "counter node_cpu_seconds_total {host},cpu={},mode={} 12.5",
            hex("0"),
            hex("idle")
        ),
        format!("counter sigma_port_scans_total {host} 7.0"),
        format!("counter sigma_port_scans_created {host} 1700000000.25"),
        format!(
            "gauge node_filesystem_free_bytes {host},mountpoint={} 1.8446744073709552e+19",
            hex("/")
        ),
        format!("gauge odd_numbers {host},which={} nan", hex("nan")),
        format!("gauge odd_numbers {host},which={} 5e-324", hex("tiny")),
        format!(
            "gauge odd_numbers {host},which={} 1.7976931348623157e+308",
            hex("huge")
        ),
        format!(
            "gauge odd_numbers {host},which={} 0.3333333333333333",
            hex("third")
        ),
        format!(
            "stateset sigma_loop_state {host},loop={},sigma_loop_state={} 1.0",
            hex("scan"),
            hex("running")
        ),
        format!(
            "histogram http_request_duration_seconds_bucket {host},route={},le={} 2.0",
            hex("/metrics"),
            hex("0.005")
        ),
        format!(
            "histogram http_request_duration_seconds_count {host},route={} 4.0",
            hex("/metrics")
        ),
    ];
    for name in evil_names() {
        let name = hex(&String::from_utf8_lossy(&name));
        expected.push(format!("gauge process_names {host},name={name} 1.0"));
    }
    for line in expected {
        assert!(samples.contains(&line), "missing: {line}\nin: {samples:#?}");
    }
}

#[test]
fn the_text_parser_reads_the_same_samples() {
    let text = python_reads("prometheus_client.parser", &full_page(Format::TEXT));
    let open_metrics = python_reads(
        "prometheus_client.openmetrics.parser",
        &full_page(Format::OPEN_METRICS),
    );
    let (Some(text), Some(open_metrics)) = (text, open_metrics) else {
        return;
    };
    let untyped = |samples: Vec<String>| -> Vec<String> {
        let samples = samples
            .into_iter()
            .filter(|line| !line.contains("_created "));
        samples
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect()
    };
    assert_eq!(untyped(text), untyped(open_metrics));
}

#[test]
fn the_oracles_do_complain() {
    if let Some(output) = ask(
        "promtool",
        &["check", "metrics"],
        b"# TYPE x_total gauge\nx_total 1\n",
    ) {
        assert_eq!(output.status.code(), Some(3));
    }
    let script = "import sys\nfrom prometheus_client.openmetrics.parser import *\n\
                  list(text_string_to_metric_families(sys.stdin.read()))";
    if let Some(output) = ask("python3", &["-c", script], b"x 1\n") {
        assert!(!output.status.success());
    }
}

/// A process that dies with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers every request with the same page, packed.
fn publish(page: &[u8], format: Format) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let packed = gzip(page);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        format.content_type(),
        packed.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&[head.as_bytes(), &packed].concat());
        }
    });
    address
}

/// A Prometheus that scrapes the addresses, and where it answers queries.
fn prometheus(targets: &[SocketAddr], folder: &std::path::Path) -> Option<(Running, SocketAddr)> {
    let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: page, static_configs: [{{targets: [{}]}}]}}]\n",
        targets.join(", ")
    );
    let (file, data) = (folder.join("prometheus.yml"), folder.join("data"));
    std::fs::write(&file, config).unwrap();
    let spawned = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg("--web.listen-address=127.0.0.1:0")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else {
        println!("skipped: no prometheus; apt-get install prometheus");
        return None;
    };
    let log = BufReader::new(child.stderr.take().unwrap());
    let running = Running(child);
    let mut lines = log.lines().map_while(Result::ok);
    let line = lines
        .find(|line| line.contains("\"Listening on\""))
        .expect("prometheus starts");
    let address = line
        .split("address=")
        .nth(1)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    Some((running, address))
}

fn query(prometheus: SocketAddr, query: &str) -> String {
    let mut stream = TcpStream::connect(prometheus).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn a_real_prometheus_takes_every_sample() {
    let folder = std::env::temp_dir().join(format!("promexport-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pages = FORMATS.map(full_page);
    let targets: Vec<_> = pages
        .iter()
        .zip(FORMATS)
        .map(|(page, format)| publish(page, format))
        .collect();
    let Some((running, address)) = prometheus(&targets, &folder) else {
        return;
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    for (target, page) in targets.iter().zip(&pages) {
        let samples = page
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let wanted = format!(",\"{}\"]", samples.count());
        let scraped = format!("scrape_samples_scraped{{instance=\"{target}\"}}");
        while !query(address, &scraped).contains(&wanted) {
            let up = query(address, &format!("up{{instance=\"{target}\"}}"));
            assert!(
                Instant::now() < deadline,
                "wanted {wanted}, got {}; {up}",
                query(address, &scraped)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let ports = query(
            address,
            &format!("sigma_ports_total{{instance=\"{target}\"}}"),
        );
        assert!(ports.contains("\"20001\""), "{ports}");
        let evil = query(
            address,
            &format!("count(process_names{{instance=\"{target}\"}})"),
        );
        assert!(
            evil.contains(&format!("\"{}\"", evil_names().len())),
            "{evil}"
        );
    }
    drop(running);
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn what_packs_unpacks_with_gzip() {
    let page = full_page(Format::OPEN_METRICS);
    if let Some(output) = ask("gzip", &["-dc"], &gzip(&page)) {
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.stdout == page);
    }
}

#[test]
fn the_strict_parser_reads_pages_with_refused_samples() {
    static CPU: Counter<1> = Counter::new("cpu_seconds_total", "CPU time.", ["cpu"]);
    let mut page = Page::new(Format::OPEN_METRICS);
    for value in [1.0, -1.0, f64::NAN, 2.0] {
        page.counter(&CPU, ["0"], value);
    }
    if let Some(samples) = python_reads("prometheus_client.openmetrics.parser", &page.finish()) {
        assert_eq!(samples, ["counter cpu_seconds_total cpu=30 1.0"]);
    }
}
