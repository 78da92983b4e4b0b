//! Memory: every field that the kernel prints, under its own name.

use promexport::Page;

use super::tree::Tree;
use super::{Outcome, named_gauge, named_unknown};

pub(super) fn meminfo(page: &mut Page, tree: &Tree) -> Outcome {
    for line in tree.proc("meminfo")?.lines() {
        let Some((field, rest)) = line.split_once(':') else {
            continue;
        };
        let mut words = rest.split_ascii_whitespace();
        let Some(value) = words.next().and_then(|word| word.parse::<f64>().ok()) else {
            continue;
        };
        // `Active(anon)` is shown as `Active_anon`.
        let field = field.replace('(', "_").replace(')', "");
        let help = format!("The field {field} of meminfo.");
        match words.next() {
            Some("kB") => named_gauge(
                page,
                format!("node_memory_{field}_bytes"),
                help,
                value * 1024.0,
            ),
            _ => named_gauge(page, format!("node_memory_{field}"), help, value),
        }
    }
    Ok(())
}

pub(super) fn vmstat(page: &mut Page, tree: &Tree) -> Outcome {
    for line in tree.proc("vmstat")?.lines() {
        let Some((field, value)) = line.split_once(' ') else {
            continue;
        };
        if let (true, Ok(value)) = (is_shown(field), value.trim_ascii().parse()) {
            let help = format!("The field {field} of vmstat.");
            named_unknown(page, format!("node_vmstat_{field}"), help, value);
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
