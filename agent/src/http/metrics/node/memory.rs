//! Memory: every field that the kernel prints, under its own name.

use promexport::{Gauge, Page, Unknown};

use super::Outcome;
use super::tree::Tree;

pub(super) fn meminfo(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    for line in tree.proc("meminfo")?.lines() {
        let Some((field, rest)) = line.split_once(':') else {
            continue;
        };
        let mut words = rest.split_ascii_whitespace();
        let Some(value) = words.next().and_then(|word| word.parse::<f64>().ok()) else {
            continue;
        };
        let (ending, unit) = match words.next() {
            Some("kB") => ("_bytes", 1024.0),
            _ => ("", 1.0),
        };
        let name = || {
            // `Active(anon)` is shown as `Active_anon`.
            let name = field.replace('(', "_").replace(')', "");
            let help = format!("The field {name} of meminfo.");
            Gauge::try_new(format!("node_memory_{name}{ending}"), help, []).ok()
        };
        tree.kept.memory.with(field, name, |family| {
            page.gauge(family, (), value * unit);
        });
    }
    Ok(())
}

pub(super) fn vmstat(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    for line in tree.proc("vmstat")?.lines() {
        let Some((field, value)) = line.split_once(' ') else {
            continue;
        };
        if let (true, Ok(value)) = (is_shown(field), value.trim_ascii().parse::<f64>()) {
            let name = || {
                let help = format!("The field {field} of vmstat.");
                Unknown::try_new(format!("node_vmstat_{field}"), help, []).ok()
            };
            tree.kept.events.with(field, name, |family| {
                page.unknown(family, (), value);
            });
        }
    }
    Ok(())
}

/// Of some 200 fields, those that tell of paging, swapping, faults and kills: as many as node_exporter shows unless told otherwise.
fn is_shown(field: &str) -> bool {
    ["oom_kill", "pgpg", "pswp"]
        .iter()
        .any(|start| field.starts_with(start))
        || field.starts_with("pg") && field.contains("fault")
}
