//! Sensors: temperatures, fans, voltages and what else a board measures.

use std::collections::BTreeMap;
use std::path::Path;

use promexport::{Counter, Gauge, Page};

use super::Outcome;
use super::tree::{Tree, attribute, names, number, numbered};

static CHIP: Gauge<2> = Gauge::new(
    "node_hwmon_chip_names",
    "The name that a driver gives to a chip.",
    ["chip", "chip_name"],
);
static LABEL: Gauge<3> = Gauge::new(
    "node_hwmon_sensor_label",
    "The name that a driver gives to a sensor.",
    ["chip", "sensor", "label"],
);
static ZONE: Gauge<2> = Gauge::new(
    "node_thermal_zone_temp",
    "Temperature of a zone in degrees Celsius.",
    ["zone", "type"],
);
static COOLING: Gauge<2> = Gauge::new(
    "node_cooling_device_cur_state",
    "How hard a device cools.",
    ["name", "type"],
);
static COOLING_LIMIT: Gauge<2> = Gauge::new(
    "node_cooling_device_max_state",
    "How hard a device can cool.",
    ["name", "type"],
);

/// Kinds of sensors that are shown.
const KINDS: &[&str] = &[
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
];

/// What the files of one sensor say: `temp1_input`, `temp1_max` and so on, by the part behind the `_`.
type Sensor = BTreeMap<String, String>;

pub(super) fn hwmon(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let class = tree.sys("class/hwmon");
    for name in names(&class)? {
        let folder = class.join(name);
        if let Some(chip) = chip_of(&folder) {
            write_chip(page, &chip, &folder);
        }
    }
    Ok(())
}

fn write_chip(page: &mut Page, chip: &str, folder: &Path) {
    if let Some(name) = attribute(&folder.join("name")) {
        page.gauge(&CHIP, [chip, &plain(&name)], 1_u64);
    }
    let mut sensors: BTreeMap<(&str, u32), Sensor> = BTreeMap::new();
    for folder in [folder.to_owned(), folder.join("device")] {
        collect(&folder, &mut sensors);
    }
    for ((kind, index), sensor) in &sensors {
        let labels = [chip, &format!("{kind}{index}")];
        for (property, text) in sensor {
            write_property(page, labels, kind, sensor, property, text);
        }
    }
}

/// A name of a chip that stays the same over restarts: that of its device, else of its driver, else its number.
fn chip_of(folder: &Path) -> Option<String> {
    let of_device = folder
        .join("device")
        .canonicalize()
        .ok()
        .and_then(|device| {
            let name = plain(&device.file_name()?.to_string_lossy());
            let bus = plain(&device.parent()?.file_name()?.to_string_lossy());
            Some(match (bus.as_str(), name.as_str()) {
                ("", _) => name,
                (_, "") => return None,
                _ => format!("{bus}_{name}"),
            })
        });
    of_device
        .or_else(|| Some(plain(&attribute(&folder.join("name"))?)))
        .filter(|name| !name.is_empty())
        .or_else(|| Some(plain(&folder.file_name()?.to_string_lossy())))
        .filter(|name| !name.is_empty())
}

/// A text as part of a name: small letters, digits and `_`.
fn plain(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|letter| match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => letter,
            _ => '_',
        })
        .collect();
    text.trim_matches('_').to_owned()
}

/// Reads the files of all sensors in a folder.
fn collect(folder: &Path, sensors: &mut BTreeMap<(&'static str, u32), Sensor>) {
    for name in names(folder).unwrap_or_default() {
        let Some((kind, index, property)) = name.to_str().and_then(parts) else {
            continue;
        };
        if let Some(text) = attribute(&folder.join(&name)) {
            let sensor = sensors.entry((kind, index)).or_default();
            sensor.insert(property.to_owned(), text);
        }
    }
}

/// `temp1_input` is (temp, 1, input), `pwm2` is (pwm, 2, nothing).
fn parts(file: &str) -> Option<(&'static str, u32, &str)> {
    let (sensor, property) = file.split_once('_').unwrap_or((file, ""));
    let kind = sensor.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let index = sensor.strip_prefix(kind)?.parse().ok()?;
    let kind = KINDS.iter().find(|known| **known == kind)?;
    Some((kind, index, property))
}

fn write_property(
    page: &mut Page,
    labels: [&str; 2],
    kind: &str,
    sensor: &Sensor,
    property: &str,
    text: &str,
) {
    if property == "label" {
        let [chip, sensor] = labels;
        page.gauge(&LABEL, [chip, sensor, text], 1_u64);
        return;
    }
    let Ok(value) = text.parse::<f64>() else {
        return;
    };
    // The input is the value itself, unless a file without a property is.
    let middle = match property {
        "" => String::new(),
        "input" if !sensor.contains_key("") => String::new(),
        other => format!("_{}", plain(other)),
    };
    let (ending, unit) = unit_of(kind, property);
    let name = format!("node_hwmon_{kind}{middle}{ending}");
    let shown = if property.is_empty() {
        "input"
    } else {
        property
    };
    let help = format!("What a sensor says: {kind}, {shown}.");
    if ending.ends_with("_total") {
        if let Ok(family) = Counter::try_new(name, help, ["chip", "sensor"]) {
            page.counter(&family, labels, value * unit);
        }
    } else if let Ok(family) = Gauge::try_new(name, help, ["chip", "sensor"]) {
        page.gauge(&family, labels, value * unit);
    }
}

/// The end of a figure's name, and what makes the driver's number that unit.
fn unit_of(kind: &str, property: &str) -> (&'static str, f64) {
    match (kind, property) {
        (_, "fault" | "alarm") => ("", 1.0),
        (_, "beep") => ("_enabled", 1.0),
        ("in" | "cpu", _) => ("_volts", 1e-3),
        ("temp", "type") => ("", 1.0),
        ("temp", _) => ("_celsius", 1e-3),
        ("curr", _) => ("_amps", 1e-3),
        ("energy", _) => ("_joule_total", 1e-6),
        ("power", "accuracy") | ("humidity", _) => ("", 1e-6),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            ("_seconds", 1e-3)
        }
        ("power", _) => ("_watt", 1e-6),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", 1.0),
        _ => ("", 1.0),
    }
}

pub(super) fn thermal_zone(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let class = tree.sys("class/thermal");
    for (index, folder) in numbered(&class, "thermal_zone")? {
        let kind = attribute(&folder.join("type")).unwrap_or_default();
        if let Some(millidegrees) = number(&folder.join("temp")) {
            page.gauge(&ZONE, [index.to_string(), kind], millidegrees / 1000.0);
        }
    }
    for (index, folder) in numbered(&class, "cooling_device")? {
        let labels = [
            index.to_string(),
            attribute(&folder.join("type")).unwrap_or_default(),
        ];
        for (file, family) in [("cur_state", &COOLING), ("max_state", &COOLING_LIMIT)] {
            if let Some(state) = number(&folder.join(file)) {
                page.gauge(family, [&labels[0], &labels[1]], state);
            }
        }
    }
    Ok(())
}
