//! `sigma-agent info`: everything the agent knows about this host, once; for people or as JSON.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use ipdiscover::Address;
use serde_json::{Map, Value, json};
use sysinfo_linux::{Disk, DiskKind, Host, Network};

use crate::cli::Config;
use crate::place::{Place, virtualization};
use crate::table::{aligned, printable};

/// Between the two readings of the CPU counters.
const CPU_WINDOW: Duration = Duration::from_millis(200);

/// How long a network or FUSE file system may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// One thing that is known: its key in JSON, its value, and how people read it.
struct Fact {
    key: &'static str,
    value: Value,
    shown: String,
}

/// What belongs together.
struct Section {
    key: &'static str,
    content: Content,
}

enum Content {
    Facts(Vec<Fact>),
    /// Rows of facts with the same keys.
    Table(Vec<Vec<Fact>>),
}

/// The text to print.
pub(crate) fn describe(config: &Config, json: bool) -> String {
    let place = Place::new(&config.host);
    let mut problems = Vec::new();
    let sections = {
        let mut host = place.host();
        let mut read = Reading {
            host: &mut host,
            problems: &mut problems,
        };
        vec![
            read.identity(config),
            read.processor(),
            read.memory(),
            read.disks(),
            read.networks(),
            read.activity(),
            read.addresses(&place, config),
        ]
    };
    if json {
        as_json(&sections, &problems)
    } else {
        for_people(&sections, &problems)
    }
}

/// A reading of the host that notes what cannot be read and goes on.
struct Reading<'a> {
    host: &'a mut Host,
    problems: &'a mut Vec<String>,
}

impl Reading<'_> {
    fn get<T>(&mut self, read: impl FnOnce(&mut Host) -> sysinfo_linux::Result<T>) -> Option<T> {
        match read(self.host) {
            Ok(value) => Some(value),
            // What this kernel or container does not have is no problem, only absent.
            Err(error) if error.is_missing() => None,
            Err(error) => self.note(&error),
        }
    }

    /// The same for what every host has.
    fn need<T>(&mut self, read: impl FnOnce(&mut Host) -> sysinfo_linux::Result<T>) -> Option<T> {
        read(self.host).map_or_else(|error| self.note(&error), Some)
    }

    fn note<T>(&mut self, error: &sysinfo_linux::Error) -> Option<T> {
        let problem = error.to_string();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
        None
    }

    fn identity(&mut self, config: &Config) -> Section {
        let hostname = config.hostname.clone().or_else(|| {
            self.need(|host| host.hostname())
                .map(|hostname| hostname.name)
        });
        let os = self.get(|host| host.os());
        let mut facts = Facts::default();
        facts.text("hostname", hostname);
        facts.text(
            "os",
            os.as_ref()
                .and_then(|os| os.pretty_name.clone().or_else(|| os.name.clone())),
        );
        facts.text("os_id", os.as_ref().and_then(|os| os.id.clone()));
        facts.text("os_version", os.and_then(|os| os.version));
        facts.text("kernel", self.need(|host| host.kernel()));
        facts.text("architecture", self.get(|host| host.architecture()));
        facts.text("machine_id", self.get(|host| host.machine_id()).flatten());
        facts.text(
            "virtualization",
            virtualization(self.host).map(str::to_owned),
        );
        facts.text(
            "boot_time",
            self.get(Host::boot_time).map(crate::clock::rfc3339),
        );
        facts.put(
            "uptime_seconds",
            self.need(Host::uptime).map(|uptime| uptime.since_boot),
            |uptime| (json!(uptime.as_secs()), span(uptime)),
        );
        Section {
            key: "host",
            content: Content::Facts(facts.0),
        }
    }

    fn processor(&mut self) -> Section {
        let before = self.need(Host::cpu);
        std::thread::sleep(CPU_WINDOW);
        let now = self.need(Host::cpu);
        let usage = before
            .zip(now)
            .and_then(|(before, now)| now.total.usage_since(&before.total));
        let mut facts = Facts::default();
        facts.number(
            "cores",
            self.need(Host::cpu_count)
                .and_then(|count| u64::try_from(count).ok()),
        );
        facts.put(
            "limit_cores",
            self.get(Host::cpu_limit).flatten(),
            |limit| (json!(limit), format!("{limit:.2} of the cores (cgroup)")),
        );
        for (key, ratio) in [
            ("busy_ratio", usage.as_ref().map(|usage| usage.busy)),
            ("user_ratio", usage.as_ref().map(|usage| usage.user)),
            ("system_ratio", usage.as_ref().map(|usage| usage.system)),
            ("iowait_ratio", usage.as_ref().map(|usage| usage.iowait)),
            ("steal_ratio", usage.as_ref().and_then(|usage| usage.steal)),
        ] {
            facts.ratio(key, ratio);
        }
        facts.put("load", self.need(Host::load), |load| {
            (
                json!([load.one, load.five, load.fifteen]),
                format!("{:.2} {:.2} {:.2}", load.one, load.five, load.fifteen),
            )
        });
        Section {
            key: "cpu",
            content: Content::Facts(facts.0),
        }
    }

    fn memory(&mut self) -> Section {
        let mut facts = Facts::default();
        if let Some(memory) = self.need(Host::memory) {
            let meminfo = &memory.meminfo;
            facts.bytes("total_bytes", Some(meminfo.total_bytes));
            facts.bytes("available_bytes", memory.effective_available_bytes());
            facts.bytes("used_bytes", memory.used_bytes());
            facts.ratio("used_ratio", memory.used_ratio());
            facts.bytes("free_bytes", meminfo.free_bytes);
            facts.bytes("buffers_bytes", meminfo.buffers_bytes);
            facts.bytes("cached_bytes", meminfo.cached_bytes);
            facts.bytes("limit_bytes", memory.cgroup.map(|limit| limit.limit_bytes));
            facts.bytes("swap_total_bytes", meminfo.swap_total_bytes);
            facts.bytes("swap_used_bytes", memory.swap_used_bytes());
        }
        Section {
            key: "memory",
            content: Content::Facts(facts.0),
        }
    }

    fn disks(&mut self) -> Section {
        let disks = self
            .get(|host| host.disks_within(PATIENCE))
            .unwrap_or_default();
        Section {
            key: "disks",
            content: Content::Table(disks.iter().map(disk).collect()),
        }
    }

    fn networks(&mut self) -> Section {
        let networks = self.need(Host::networks).unwrap_or_default();
        Section {
            key: "networks",
            content: Content::Table(networks.iter().map(network).collect()),
        }
    }

    fn activity(&mut self) -> Section {
        let mut facts = Facts::default();
        if let Some(processes) = self.need(|host| host.processes()) {
            facts.number("processes", Some(processes.total));
            facts.number("running", Some(processes.running));
            facts.number("uninterruptible", Some(processes.uninterruptible));
            facts.number("zombies", Some(processes.zombie));
        }
        facts.number(
            "open_files",
            self.get(|host| host.open_files()).map(|files| files.open),
        );
        if let Some(pressure) = self.get(|host| host.pressure()) {
            for (key, pressure) in [
                ("cpu_pressure_ratio", pressure.cpu),
                ("memory_pressure_ratio", pressure.memory),
                ("io_pressure_ratio", pressure.io),
            ] {
                facts.ratio(
                    key,
                    pressure
                        .and_then(|pressure| pressure.some)
                        .map(|some| some.percent_10s / 100.0),
                );
            }
        }
        Section {
            key: "activity",
            content: Content::Facts(facts.0),
        }
    }

    fn addresses(&mut self, place: &Place, config: &Config) -> Section {
        let local = place.local_addresses(&config.ignore_interfaces);
        self.problems
            .extend(local.problems.iter().map(ToString::to_string));
        let reported = ipdiscover::reportable(&local.addresses);
        let rows = local
            .addresses
            .iter()
            .map(|one| address(one, reported.iter().any(|other| other.ip == one.ip)))
            .collect();
        Section {
            key: "addresses",
            content: Content::Table(rows),
        }
    }
}

fn disk(disk: &Disk) -> Vec<Fact> {
    let mut facts = Facts::default();
    facts.text("mounted", Some(lossy(&disk.mount_point)));
    facts.text("type", Some(disk.fs_type.to_string_lossy().into_owned()));
    facts.text("source", Some(disk.source.to_string_lossy().into_owned()));
    let kind = match disk.kind {
        DiskKind::Local => "local",
        DiskKind::Overlay => "overlay",
        DiskKind::Network => "network",
        DiskKind::Fuse => "fuse",
        DiskKind::Automount => "automount",
        _ => "other",
    };
    facts.text("kind", Some(kind.to_owned()));
    let usage = disk.known_usage();
    facts.cell("total_bytes", usage.map(|usage| usage.total_bytes), bytes);
    facts.cell("used_bytes", usage.map(|usage| usage.used_bytes()), bytes);
    facts.cell(
        "available_bytes",
        usage.map(|usage| usage.available_bytes),
        bytes,
    );
    facts.cell(
        "used_ratio",
        usage.and_then(|usage| usage.used_ratio()),
        percent,
    );
    facts.0
}

fn network(network: &Network) -> Vec<Fact> {
    let mut facts = Facts::default();
    facts.text("name", Some(network.name.to_string_lossy().into_owned()));
    facts.text("kind", Some(network.kind.as_str().to_owned()));
    facts.yes("counts", network.physical);
    facts.cell("received_bytes", Some(network.received.bytes), bytes);
    facts.cell("sent_bytes", Some(network.sent.bytes), bytes);
    facts.cell(
        "errors",
        Some(network.received.errors.saturating_add(network.sent.errors)),
        |count| count.to_string(),
    );
    facts.0
}

fn address(address: &Address, reported: bool) -> Vec<Fact> {
    let mut facts = Facts::default();
    facts.text("address", Some(address.ip.to_string()));
    facts.cell("interface", address.interface.clone(), |name| name);
    facts.text("scope", Some(address.scope.as_str().to_owned()));
    facts.yes("reported", reported);
    facts.yes("container_bridge", address.container_bridge);
    facts.yes("temporary", address.temporary);
    facts.yes("deprecated", address.deprecated);
    facts.0
}

/// Facts in the order in which they were put; unknown ones are left out of lists, and empty in tables.
#[derive(Default)]
struct Facts(Vec<Fact>);

impl Facts {
    fn put<T>(
        &mut self,
        key: &'static str,
        value: Option<T>,
        show: impl FnOnce(T) -> (Value, String),
    ) {
        if let Some((value, shown)) = value.map(show) {
            self.0.push(Fact { key, value, shown });
        }
    }

    /// As in `put`, but an unknown value keeps its column.
    fn cell<T: Clone + Into<Value>>(
        &mut self,
        key: &'static str,
        value: Option<T>,
        show: impl FnOnce(T) -> String,
    ) {
        let (value, shown) = value.map_or((Value::Null, "-".to_owned()), |value| {
            (value.clone().into(), show(value))
        });
        self.0.push(Fact { key, value, shown });
    }

    fn text(&mut self, key: &'static str, text: Option<String>) {
        self.put(key, text, |text| (json!(text), text));
    }

    fn number(&mut self, key: &'static str, number: Option<u64>) {
        self.put(key, number, |number| (json!(number), number.to_string()));
    }

    fn bytes(&mut self, key: &'static str, number: Option<u64>) {
        self.put(key, number, |number| (json!(number), bytes(number)));
    }

    fn ratio(&mut self, key: &'static str, ratio: Option<f64>) {
        self.put(key, ratio, |ratio| (json!(ratio), percent(ratio)));
    }

    fn yes(&mut self, key: &'static str, yes: bool) {
        self.put(key, Some(yes), |yes| {
            (json!(yes), if yes { "yes" } else { "-" }.to_owned())
        });
    }
}

fn as_json(sections: &[Section], problems: &[String]) -> String {
    let object = |facts: &[Fact]| {
        Value::Object(
            facts
                .iter()
                .map(|fact| (fact.key.to_owned(), fact.value.clone()))
                .collect(),
        )
    };
    let mut all: Map<String, Value> = sections
        .iter()
        .map(|section| {
            let value = match &section.content {
                Content::Facts(facts) => object(facts),
                Content::Table(rows) => rows.iter().map(|row| object(row)).collect(),
            };
            (section.key.to_owned(), value)
        })
        .collect();
    all.insert("problems".to_owned(), json!(problems));
    format!("{:#}\n", Value::Object(all))
}

fn for_people(sections: &[Section], problems: &[String]) -> String {
    let mut text = String::new();
    for section in sections {
        let rows: Vec<Vec<String>> = match &section.content {
            Content::Facts(facts) => facts
                .iter()
                .map(|fact| vec![format!("  {}", title(fact.key)), fact.shown.clone()])
                .collect(),
            Content::Table(rows) => {
                let head = rows
                    .first()
                    .map(|row| row.iter().map(|fact| title(fact.key)).collect());
                let body = rows
                    .iter()
                    .map(|row| row.iter().map(|fact| fact.shown.clone()).collect());
                head.into_iter()
                    .chain(body)
                    .map(|mut row: Vec<String>| {
                        if let Some(first) = row.first_mut() {
                            first.insert_str(0, "  ");
                        }
                        row
                    })
                    .collect()
            }
        };
        if !rows.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", title(section.key));
            text.push_str(&aligned(&rows));
        }
    }
    for problem in problems {
        let _ = writeln!(text, "! {}", printable(problem));
    }
    text
}

/// A key without its unit, in words.
fn title(key: &str) -> String {
    let word = ["_bytes", "_ratio", "_seconds"]
        .iter()
        .find_map(|unit| key.strip_suffix(unit))
        .unwrap_or(key);
    word.replace('_', " ")
}

fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn bytes(number: u64) -> String {
    let mut unit = "B";
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut scaled = number as f64;
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = larger;
    }
    if unit == "B" {
        format!("{number} B")
    } else {
        format!("{scaled:.1} {unit}")
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

fn span(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_as_people_read_them() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!(span(Duration::from_secs(59)), "0 min");
        assert_eq!(span(Duration::from_secs(3_660)), "1 h 1 min");
        assert_eq!(span(Duration::from_secs(90_000)), "1 d 1 h");
    }
}
