//! The dashboards and alert rules in grafana/: in good form, and every expression of them answers in a real Prometheus.

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
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use parts::{Agent, Api, Holder, PATIENCE, ask, folder, free_port, wait_for};
use serde_json::Value;
use sigma_lab::Role;

const DASHBOARDS: [&str; 3] = ["host", "port-scan", "programs"];

/// What the dashboards of existing users ask for, of both generations; `F` stands for the selection of hosts.
const ASKED_TODAY: &[&str] = &[
    "sigma_ports_total F",
    "sigma_ports_available F",
    "sigma_ports_in_use F",
    "sigma_ports_used{hostname=~\"$hostname\", source=\"envoy\"}",
    "1 - (sigma_ports_available F / sigma_ports_total F)",
    "sigma_port_scan_duration_seconds F",
    "sigma_ports_used F",
    "sigma_ports_used F > 0",
    "sigma_ports_total",
    "sigma_ports_available",
    "sigma_ports_in_use",
    "sigma_ports_used{source=\"envoy\"}",
    "sigma_ports_used{source=\"xray\"}",
    "sigma_ports_used{source=\"nginx\"}",
    "1 - (sigma_ports_available / sigma_ports_total)",
    "sigma_port_scan_duration_seconds",
    // The generation before.
    "sigma_ports_used{hostname=~\"$hostname\", source=\"unknown\"}",
    "sigma_ports_total F - sigma_ports_available F",
    "sigma_ports_used{source=\"unknown\"}",
];

/// An expression with this part may have no answer while the proof has one.
struct Excuse {
    about: &'static str,
    proof: &'static str,
    reason: &'static str,
}

const EXCUSES: &[Excuse] = &[
    Excuse {
        about: "sigma_host_swap_used_bytes",
        proof: "max(sigma_host_swap_total_bytes) == 0",
        reason: "a share of no swap at all",
    },
    Excuse {
        about: "sigma_host_pressure_",
        proof: "absent(sigma_host_pressure_waiting_seconds_total)",
        reason: "a kernel without pressure stall information",
    },
    Excuse {
        about: "sigma_host_disk_",
        proof: "absent(sigma_host_disk_reads_total)",
        reason: "a container that sees no disks",
    },
    Excuse {
        about: "sigma_host_network_",
        proof: "absent(sigma_host_network_physical == 1)",
        reason: "a network namespace that leads nowhere",
    },
    Excuse {
        about: "sigma_host_filesystem_",
        proof: "absent(sigma_host_filesystem_size_bytes)",
        reason: "a container that sees no file system of its own",
    },
    Excuse {
        about: "sigma_program_",
        proof: "max(sigma_programs_running) == 0",
        reason: "agents to which no program is assigned",
    },
    Excuse {
        about: "sigma_programs_assigned",
        proof: "max(sigma_programs_registry_up) == 0",
        reason: "agents whose registry has never answered",
    },
    Excuse {
        about: "policy=\"insecure-accept\"",
        proof: "max(sigma_programs_signature_policy{policy=\"strict\"}) == 1",
        reason: "agents that take only what is signed",
    },
    Excuse {
        about: "sigma_programs_refusals_total",
        proof: "absent(sigma_programs_refusals_total)",
        reason: "agents that had nothing to refuse",
    },
    Excuse {
        about: "sigma_programs_unloads_total",
        proof: "absent(sigma_programs_unloads_total)",
        reason: "agents that had nothing to unload",
    },
    Excuse {
        about: "inodes",
        proof: "absent(sigma_host_filesystem_inodes)",
        reason: "file systems that make inodes as needed",
    },
];

/// Units by Grafana's names that the panels use.
const UNITS: &[&str] = &[
    "Bps",
    "bps",
    "bytes",
    "iops",
    "none",
    "ops",
    "percentunit",
    "pps",
    "reqps",
    "s",
    "short",
];

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(place().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dashboard(name: &str) -> Value {
    serde_json::from_str(&read(&format!("dashboards/{name}.json"))).unwrap()
}

/// All panels that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels.iter().filter(|panel| panel["type"] != "row")
}

fn expressions(dashboard: &Value) -> Vec<String> {
    panels(dashboard)
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

/// One `name{labels}[range]` of an expression.
#[derive(Debug, PartialEq)]
struct Selector<'a> {
    name: &'a str,
    labels: &'a str,
    range: Option<&'a str>,
    /// The function or aggregation right around it.
    within: &'a str,
}

const AGGREGATIONS: &[&str] = &["avg", "count", "group", "max", "min", "sum", "topk"];
const GROUPINGS: &[&str] = &["by", "group_left", "ignoring", "on", "without"];
const OPERATORS: &[&str] = &["and", "bool", "offset", "or", "unless"];

/// The selectors of an expression; Prometheus itself says whether the rest is right.
fn selectors(expr: &str) -> Vec<Selector<'_>> {
    let (mut rest, mut found, mut around, mut call) = (expr, Vec::new(), Vec::new(), "");
    while let Some(first) = rest.chars().next() {
        let word = word(rest);
        rest = &rest[word.len().max(first.len_utf8())..];
        match first {
            '(' => around.push(std::mem::take(&mut call)),
            ')' => drop(around.pop()),
            '"' => drop(until(&mut rest, '"')),
            _ if word.is_empty() || first.is_ascii_digit() || OPERATORS.contains(&word) => {}
            _ if GROUPINGS.contains(&word) => drop(group(&mut rest, '(', ')')),
            _ if AGGREGATIONS.contains(&word) || rest.starts_with('(') => call = word,
            _ => found.push(Selector {
                name: word,
                labels: group(&mut rest, '{', '}').unwrap_or_default(),
                range: group(&mut rest, '[', ']'),
                within: around.last().copied().unwrap_or_default(),
            }),
        }
    }
    found
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    &text[..end.unwrap_or(text.len())]
}

/// What stands between `open` and `close`, if `open` is next.
fn group<'a>(rest: &mut &'a str, open: char, close: char) -> Option<&'a str> {
    *rest = rest.trim_start().strip_prefix(open)?;
    Some(until(rest, close))
}

/// What stands before `end`, outside of quotes.
fn until<'a>(rest: &mut &'a str, end: char) -> &'a str {
    let mut quoted = false;
    let at = rest.find(|c: char| {
        quoted ^= c == '"' && end != '"';
        c == end && !quoted
    });
    let (text, after) = rest.split_at(at.unwrap_or_else(|| panic!("no {end} in {rest}")));
    *rest = &after[1..];
    text
}

#[test]
fn selectors_are_found_with_what_is_around_them() {
    let found = selectors(
        "1e3 - sum by (a, b) (rate(x_total{l=\"(}\", m!=\"\"}[$__rate_interval])) * 8 and on (a) y == 1 or max(z offset 5m) > 0",
    );
    let short: Vec<_> = found
        .iter()
        .map(|one| (one.name, one.labels, one.range, one.within))
        .collect();
    assert_eq!(
        short,
        [
            (
                "x_total",
                "l=\"(}\", m!=\"\"",
                Some("$__rate_interval"),
                "rate"
            ),
            ("y", "", None, ""),
            ("z", "", None, "max"),
        ]
    );
}

/// Names of families, and what a histogram is made of, from docs/METRICS.md.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(place().join("../docs/METRICS.md")).unwrap();
    let mut names = BTreeSet::from(["up".to_owned()]);
    for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once('`').unwrap();
        names.insert(name.to_owned());
        if rest.starts_with(" | histogram") {
            names.extend(["bucket", "count", "sum"].map(|part| format!("{name}_{part}")));
        }
    }
    names
}

#[test]
fn every_metric_that_is_named_stands_in_the_document() {
    let documented = documented();
    assert!(documented.len() > 60, "the families were not found");
    let mut strangers = BTreeSet::new();
    let mut named = 0;
    let mut files = vec!["README.md", "alerts.yml", "alerts.test.yml"];
    let boards = DASHBOARDS.map(|name| format!("dashboards/{name}.json"));
    files.extend(boards.iter().map(String::as_str));
    for file in files {
        let text = read(file);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("sigma_") || word.starts_with("process_"))
        {
            named += 1;
            if !documented.contains(word) {
                strangers.insert(format!("{file}: {word}"));
            }
        }
    }
    assert!(named > 200, "the metrics were not found");
    for name in DASHBOARDS {
        for expr in expressions(&dashboard(name)) {
            let unknown = selectors(&expr)
                .into_iter()
                .find(|selector| !documented.contains(selector.name));
            strangers.extend(unknown.map(|selector| format!("{name}: {}", selector.name)));
        }
    }
    assert_eq!(strangers, BTreeSet::new());
}

#[test]
fn dashboards_are_written_in_one_way() {
    let there: BTreeSet<String> = std::fs::read_dir(place().join("dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        there,
        DASHBOARDS
            .iter()
            .map(|name| format!("{name}.json"))
            .collect()
    );
    for name in DASHBOARDS {
        let text = read(&format!("dashboards/{name}.json"));
        let pretty = serde_json::to_string_pretty(&dashboard(name)).unwrap() + "\n";
        assert!(
            text == pretty,
            "{name}.json is not sorted by key and indented by two: jq -S . makes it so"
        );
    }
}

/// The rules of Grafana's dashboard-linter that concern JSON, for one dashboard as a whole.
#[test]
fn dashboards_keep_the_rules() {
    for (name, uid, title) in [
        ("port-scan", "sigma-port-scan", "Sigma Port Scan"),
        ("host", "sigma-host", "Sigma Host"),
        ("programs", "sigma-programs", "Sigma Programs"),
    ] {
        let board = dashboard(name);
        assert_eq!(
            (&board["uid"], &board["title"]),
            (&uid.into(), &title.into())
        );
        assert_eq!(board["schemaVersion"], 41);
        assert_eq!(
            (&board["editable"], &board["id"]),
            (&false.into(), &Value::Null)
        );
        assert_eq!(board["graphTooltip"], 1, "the crosshair is shared");
        let variables: BTreeMap<&str, &Value> = board["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| (variable["name"].as_str().unwrap(), variable))
            .collect();
        let source = variables["datasource"];
        assert_eq!(
            (&source["type"], &source["query"], &source["label"]),
            (
                &"datasource".into(),
                &"prometheus".into(),
                &"Data source".into()
            )
        );
        for (name, label) in [
            ("job", "Job"),
            ("instance", "Instance"),
            ("hostname", "Host"),
        ] {
            let variable = variables[name];
            assert_eq!(
                (&variable["type"], &variable["label"], &variable["allValue"]),
                (&"query".into(), &label.into(), &".+".into())
            );
            assert_eq!(
                (&variable["multi"], &variable["includeAll"]),
                (&true.into(), &true.into())
            );
            assert_eq!(variable["refresh"], 2, "asked again when the time changes");
            assert_eq!(variable["definition"], variable["query"]["query"]);
            assert_eq!(variable["datasource"]["uid"], "${datasource}");
        }
        let broken: Vec<String> = panels(&board)
            .flat_map(|panel| {
                let title = panel["title"].as_str().unwrap_or("without title");
                complaints(panel)
                    .into_iter()
                    .map(move |complaint| format!("{name}, {title}: {complaint}"))
            })
            .collect();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
        fits(&board);
    }
}

/// What the linter would say about one panel.
fn complaints(panel: &Value) -> Vec<String> {
    let mut said = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            said.push(what.to_owned());
        }
    };
    let long = |key: &str, least: usize| panel[key].as_str().is_some_and(|text| text.len() > least);
    must(long("title", 2), "has no title");
    must(long("description", 20), "has no description");
    let defaults = &panel["fieldConfig"]["defaults"];
    let unit = defaults["unit"].as_str().unwrap_or_default();
    must(UNITS.contains(&unit), "has no unit that is known");
    must(
        defaults["thresholds"]["steps"][0]["value"].is_null()
            && defaults["thresholds"]["steps"][0]["color"].is_string(),
        "has no thresholds",
    );
    if unit == "percentunit" {
        let steps = defaults["thresholds"]["steps"].as_array();
        must(
            steps.is_some_and(|steps| {
                steps
                    .iter()
                    .filter_map(|step| step["value"].as_f64())
                    .all(|value| value <= 1.0)
            }),
            "has thresholds in percent for a share",
        );
    }
    must(
        panel["datasource"]["uid"] == "${datasource}",
        "names a data source",
    );
    let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
    must(!targets.is_empty(), "asks for nothing");
    let letters: BTreeSet<&str> = targets
        .iter()
        .filter_map(|target| target["refId"].as_str())
        .collect();
    must(
        letters.len() == targets.len(),
        "has two queries of one name",
    );
    for target in targets {
        must(
            target["datasource"]["uid"] == "${datasource}",
            "names a data source in a query",
        );
        let expr = target["expr"].as_str().unwrap_or_default();
        let selectors = selectors(expr);
        must(!selectors.is_empty(), "has a query without a metric");
        for selector in selectors {
            for label in ["job", "instance", "hostname"] {
                must(
                    selector.labels.contains(&format!("{label}=~\"${label}\"")),
                    &format!("{} is not chosen by {label}", selector.name),
                );
            }
            let rated = ["rate", "irate", "increase"].contains(&selector.within);
            let counts = ["_total", "_bucket", "_sum", "_count"]
                .iter()
                .any(|ending| selector.name.ends_with(ending));
            must(
                counts == rated,
                &format!(
                    "{} is a counter outside of rate, or none within",
                    selector.name
                ),
            );
            must(
                selector
                    .range
                    .is_none_or(|range| range == "$__rate_interval"),
                &format!("{} has a range of its own", selector.name),
            );
        }
    }
    said
}

/// Identifiers are unique, and no panel lies over another or beyond the 24 columns.
fn fits(board: &Value) {
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeMap::new());
    for panel in board["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["id"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{}", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            if let Some(other) = taken.insert(cell, &panel["title"]) {
                panic!("{} lies over {other}", panel["title"]);
            }
        }
    }
}

/// A program of Debian's package `prometheus`, or a loud word that it is missing.
fn tool(name: &str) -> Option<Command> {
    let found = Command::new(name)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: {name} is not installed (apt-get install prometheus)");
    }
    found.then(|| Command::new(name))
}

fn succeeds(command: &mut Command) {
    let output = command.current_dir(place()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn promtool_accepts_the_rules_and_sees_each_alert_fire_and_keep_silent() {
    let Some(mut promtool) = tool("promtool") else {
        return;
    };
    succeeds(promtool.args(["check", "rules", "alerts.yml"]));
    succeeds(Command::new("promtool").args(["test", "rules", "alerts.test.yml"]));
    let tested = read("alerts.test.yml");
    let rules = read("alerts.yml");
    for alert in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(tested.contains(alert), "{alert} is never seen firing");
        assert!(
            read("README.md").contains(&format!("`{alert}`")),
            "grafana/README.md does not say what {alert} means"
        );
    }
}

#[test]
fn promtool_accepts_the_scrape_job_of_the_readme() {
    let Some(mut promtool) = tool("promtool") else {
        return;
    };
    let readme = read("README.md");
    let example = readme
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let file = folder("scrape").join("prometheus.yml");
    std::fs::write(&file, example).unwrap();
    succeeds(
        promtool
            .args(["check", "config", "--syntax-only"])
            .arg(&file),
    );
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
}

/// A real Prometheus that scrapes the given ports each second and has our rules.
struct Prometheus {
    child: Child,
    port: u16,
    place: PathBuf,
}

impl Prometheus {
    fn start(mut command: Command, targets: &[u16]) -> Self {
        let (place, port) = (folder("prometheus"), free_port());
        let targets: Vec<String> = targets
            .iter()
            .map(|port| format!("'127.0.0.1:{port}'"))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: sigma-agent, static_configs: [{{targets: [{}]}}]}}]\n",
            self::place().join("alerts.yml").display(),
            targets.join(", ")
        );
        std::fs::write(place.join("prometheus.yml"), config).unwrap();
        let log = std::fs::File::create(place.join("log")).unwrap();
        let child = command
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!(
                "--config.file={}",
                place.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                place.join("db").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, port, place }
    }

    /// What an endpoint of the API answers; `Null` while there is none.
    fn call(&self, path: &str, key: &str, value: &str) -> Value {
        let value = value.bytes().fold(String::new(), |mut text, byte| {
            write!(text, "%{byte:02X}").unwrap();
            text
        });
        // HTTP/1.0: the answer is not cut into chunks.
        let request = format!("GET /api/v1/{path}?{key}={value} HTTP/1.0\r\nhost: x\r\n\r\n");
        serde_json::from_str(&ask(self.port, &request).body).unwrap_or_default()
    }

    /// The figures that an expression gives, or what Prometheus has against it.
    fn query(&self, expr: &str) -> Result<Vec<f64>, String> {
        let answer = self.call("query", "query", expr);
        if answer["status"] != "success" {
            return Err(format!("{}", answer["error"]));
        }
        let figures = answer["data"]["result"].as_array().unwrap().iter();
        Ok(figures
            .map(|one| one["value"][1].as_str().unwrap().parse().unwrap())
            .collect())
    }

    /// Why an expression does not give what it should, if so. Series of nothing but NaN show nothing.
    fn complaint(&self, expr: &str) -> Option<String> {
        match self.query(expr) {
            Err(error) => Some(error),
            Ok(figures) if figures.iter().any(|figure| !figure.is_nan()) => None,
            Ok(_) => {
                let excuse = EXCUSES.iter().find(|excuse| {
                    expr.contains(excuse.about)
                        && self
                            .query(excuse.proof)
                            .is_ok_and(|proof| !proof.is_empty())
                });
                if let Some(excuse) = excuse {
                    println!("empty: {}: {expr}", excuse.reason);
                }
                excuse.is_none().then(|| "no figures".to_owned())
            }
        }
    }

    fn rules(&self) -> Vec<Value> {
        let answer = self.call("rules", "type", "alert");
        let groups = answer["data"]["groups"].as_array().cloned();
        let groups = groups.unwrap_or_default();
        groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap().clone())
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!(
                "{}",
                std::fs::read_to_string(self.place.join("log")).unwrap_or_default()
            );
        }
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

/// An expression as Grafana sends it.
fn expand(expr: &str, job: &str, instance: &str, hostname: &str) -> String {
    let expanded = expr
        .replace("$__rate_interval", "20s")
        .replace("$job", job)
        .replace("$instance", instance)
        .replace("$hostname", hostname);
    assert!(!expanded.contains('$'), "a variable is left: {expanded}");
    expanded
}

/// Every expression, with all hosts, several of them and one of them chosen.
fn all_expressions(instances: &[String; 2]) -> Vec<String> {
    let written: Vec<String> = DASHBOARDS
        .iter()
        .flat_map(|name| expressions(&dashboard(name)))
        .chain(
            ASKED_TODAY
                .iter()
                .map(|expr| expr.replace(" F", "{hostname=~\"$hostname\"}")),
        )
        .collect();
    // Grafana escapes what was chosen, but not what stands for all.
    let [first, second] = instances.each_ref().map(|name| name.replace('.', "\\\\."));
    let choices = [
        (".+", ".+".to_owned(), ".+"),
        (
            "sigma-agent",
            format!("({first}|{second})"),
            "(vps-a|vps-b)",
        ),
        ("sigma-agent", second, "vps-b"),
    ];
    choices
        .iter()
        .flat_map(|(job, instance, hostname)| {
            written
                .iter()
                .map(move |expr| expand(expr, job, instance, hostname))
        })
        .collect()
}

/// Asks until all expressions have figures, and says what is left when patience ends.
fn all_answer(prometheus: &Prometheus, expressions: &[String]) {
    let start = Instant::now();
    let mut open: Vec<&String> = expressions.iter().collect();
    loop {
        let complaints: Vec<(&String, String)> = open
            .into_iter()
            .filter_map(|expr| Some((expr, prometheus.complaint(expr)?)))
            .collect();
        if complaints.is_empty() {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{} expressions fail: {complaints:#?}",
            complaints.len()
        );
        open = complaints.into_iter().map(|(expr, _)| expr).collect();
        sleep(Duration::from_millis(200));
    }
}

fn host(api: &Api, name: &str) -> Agent {
    let state = folder(name);
    let place = |name: &str| state.join(name).to_str().unwrap().to_owned();
    Agent::start(
        &api.url(),
        &[
            "--api-key",
            &api.key(Role::Agent),
            "--hostname",
            name,
            "--interval",
            "2",
            "--port-scan",
            "--port-scan-interval",
            "1",
            "--port-scan-range",
            "1024-65535",
            "--programs",
            "--registry-url",
            "http://127.0.0.1:1",
            "--nats-url",
            "off",
            "--pins-dir",
            "off",
            "--programs-state-dir",
            &place("programs"),
            "--cache-dir",
            &place("cache"),
        ],
    )
}

#[test]
fn every_expression_answers_in_a_real_prometheus() {
    let Some(command) = tool("prometheus") else {
        return;
    };
    let start = Instant::now();
    let _holders = ["envoy", "nginx"].map(|name| Holder::start(name.as_ref()));
    let api = Api::start();
    let agents = [host(&api, "vps-a"), host(&api, "vps-b")];
    let prometheus = Prometheus::start(command, &[agents[0].port, agents[1].port]);
    let both = |expr: &str| prometheus.query(expr).is_ok_and(|found| found.len() == 2);
    wait_for("samples of both agents", || {
        (both("count_over_time(up[20s]) >= 5")
            && both("sigma_task_up{task=\"scan\"} == 1")
            && both("sigma_task_up{task=\"heartbeat\"} == 1"))
        .then_some(())
    });
    println!("{:?} until there were samples", start.elapsed());

    let start = Instant::now();
    let instances = [0, 1].map(|index: usize| format!("127.0.0.1:{}", agents[index].port));
    let expressions = all_expressions(&instances);
    assert!(expressions.len() > 300, "the expressions were not found");
    all_answer(&prometheus, &expressions);
    println!("{} expressions in {:?}", expressions.len(), start.elapsed());

    for (expr, expected) in [
        // What the listeners of this test must be seen as, by each agent.
        ("sigma_ports_used{source=\"envoy\"} >= 1", 2),
        ("sigma_ports_listening{source=\"nginx\"} >= 1", 2),
        (
            "sigma_ports_available + on (hostname) sum by (hostname) (sigma_ports_used) == on (hostname) sigma_ports_total",
            2,
        ),
        ("sigma_registered == 1", 2),
    ] {
        let found = prometheus.query(expr).unwrap();
        assert_eq!(found.len(), expected, "{expr}: {found:?}");
    }
    variables_have_values(&prometheus, &instances);
    rules_have_series(&prometheus);
}

fn variables_have_values(prometheus: &Prometheus, instances: &[String; 2]) {
    for name in DASHBOARDS {
        let board = dashboard(name);
        for variable in board["templating"]["list"].as_array().unwrap() {
            let Some(definition) = variable["definition"].as_str() else {
                continue;
            };
            let (selector, label) = definition
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", "))
                .unwrap();
            let selector = expand(selector, ".+", ".+", ".+");
            let answer = prometheus.call(&format!("label/{label}/values"), "match[]", &selector);
            let values: BTreeSet<&str> = answer["data"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let expected = match label {
                "job" => BTreeSet::from(["sigma-agent"]),
                "instance" => instances.iter().map(String::as_str).collect(),
                _ => BTreeSet::from(["vps-a", "vps-b"]),
            };
            assert_eq!(values, expected, "{name}: {definition}");
        }
    }
}

/// Rules have no answer while all is well; each series that they look at must be there.
fn rules_have_series(prometheus: &Prometheus) {
    let rules = wait_for("the rules' evaluation", || {
        let rules = prometheus.rules();
        let evaluated = |rule: &Value| rule["health"] != "unknown";
        (!rules.is_empty() && rules.iter().all(evaluated)).then_some(rules)
    });
    let written = read("alerts.yml").matches("- alert: ").count();
    assert_eq!(rules.len(), written);
    for rule in &rules {
        let name = &rule["name"];
        assert_eq!(rule["health"], "ok", "{name}: {}", rule["lastError"]);
        assert!(
            rule["duration"].as_f64() >= Some(300.0),
            "{name} has no patience"
        );
        let severity = rule["labels"]["severity"].as_str();
        assert!(
            matches!(severity, Some("warning" | "critical")),
            "{name}: {severity:?}"
        );
        for annotation in ["summary", "description"] {
            let text = rule["annotations"][annotation].as_str();
            assert!(text.is_some_and(|text| text.len() > 20), "{name}");
        }
        let expr = rule["query"].as_str().unwrap();
        assert!(prometheus.query(expr).is_ok(), "{name}: {expr}");
        let selectors: Vec<String> = selectors(expr)
            .iter()
            .map(|selector| format!("{}{{{}}}", selector.name, selector.labels))
            .collect();
        assert!(!selectors.is_empty(), "{name}: {expr}");
        all_answer(prometheus, &selectors);
    }
}
