//! Sockets and protocols: what the kernel counts of each, by the kernel's own names.

use promexport::{Gauge, Page};

use super::tree::Tree;
use super::{Outcome, named_gauge, named_unknown};

static QUEUES: Gauge<2> = Gauge::new(
    "node_udp_queues",
    "Bytes that wait in UDP sockets.",
    ["queue", "ip"],
);
static TRACKED: Gauge<0> = Gauge::new(
    "node_nf_conntrack_entries",
    "Connections that the kernel tracks.",
    [],
);
static TRACKED_LIMIT: Gauge<0> = Gauge::new(
    "node_nf_conntrack_entries_limit",
    "Connections that the kernel can track.",
    [],
);

/// Columns of the kernel's statistics of tracked connections.
static TRACKING: [(&str, Gauge<0>); 8] = [
    tracking(
        "found",
        "node_nf_conntrack_stat_found",
        "Lookups that found a connection.",
    ),
    tracking(
        "invalid",
        "node_nf_conntrack_stat_invalid",
        "Packets that cannot be tracked.",
    ),
    tracking(
        "ignore",
        "node_nf_conntrack_stat_ignore",
        "Packets that were tracked already.",
    ),
    tracking(
        "insert",
        "node_nf_conntrack_stat_insert",
        "Connections put into the table.",
    ),
    tracking(
        "insert_failed",
        "node_nf_conntrack_stat_insert_failed",
        "Connections that could not be put into the table.",
    ),
    tracking(
        "drop",
        "node_nf_conntrack_stat_drop",
        "Packets dropped for lack of an entry.",
    ),
    tracking(
        "early_drop",
        "node_nf_conntrack_stat_early_drop",
        "Entries dropped to make room.",
    ),
    tracking(
        "search_restart",
        "node_nf_conntrack_stat_search_restart",
        "Lookups that had to start again.",
    ),
];

const fn tracking(
    column: &'static str,
    name: &'static str,
    help: &'static str,
) -> (&'static str, Gauge<0>) {
    (column, Gauge::new(name, help, []))
}

pub(super) fn netstat(page: &mut Page, tree: &Tree) -> Outcome {
    two_line_tables(page, &tree.net("netstat")?);
    two_line_tables(page, &tree.net("snmp")?);
    // Missing where IPv6 is off.
    if let Ok(table) = tree.net("snmp6") {
        for line in table.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(value)) = (words.next(), words.next()) else {
                continue;
            };
            if let Some((protocol, field)) = name.split_once('6') {
                statistic(page, &format!("{protocol}6"), field, value);
            }
        }
    }
    Ok(())
}

/// Pairs of lines, names above values: `Tcp: ActiveOpens …`, `Tcp: 17 …`.
fn two_line_tables(page: &mut Page, text: &str) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let Some((protocol, names)) = names.split_once(':') else {
            continue;
        };
        let values = values.split_ascii_whitespace().skip(1);
        for (field, value) in names.split_ascii_whitespace().zip(values) {
            statistic(page, protocol, field, value);
        }
    }
}

fn statistic(page: &mut Page, protocol: &str, field: &str, value: &str) {
    if !is_shown(protocol, field) {
        return;
    }
    if let Ok(value) = value.parse() {
        let help = format!("The statistic {field} of {protocol}.");
        named_unknown(
            page,
            format!("node_netstat_{protocol}_{field}"),
            help,
            value,
        );
    }
}

/// Of some 400 fields, those that node_exporter shows unless told otherwise, and `MaxConn`, which its dashboards ask for.
fn is_shown(protocol: &str, field: &str) -> bool {
    matches!(field, "InErrors" | "InErrs")
        || match protocol {
            "Ip" => field == "Forwarding",
            "Ip6" | "IpExt" => matches!(field, "InOctets" | "OutOctets"),
            "Icmp" | "Icmp6" => matches!(field, "InMsgs" | "OutMsgs"),
            "Tcp" => matches!(
                field,
                "ActiveOpens"
                    | "PassiveOpens"
                    | "CurrEstab"
                    | "InSegs"
                    | "OutSegs"
                    | "OutRsts"
                    | "RetransSegs"
                    | "MaxConn"
            ),
            "TcpExt" => {
                field.starts_with("Listen")
                    || field.starts_with("Syncookies")
                    || matches!(
                        field,
                        "TCPSynRetrans" | "TCPTimeouts" | "TCPOFOQueue" | "TCPRcvQDrop"
                    )
            }
            "Udp" | "Udp6" => matches!(
                field,
                "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors"
            ),
            _ => false,
        }
}

pub(super) fn sockstat(page: &mut Page, tree: &Tree) -> Outcome {
    let tables = [tree.net("sockstat"), tree.net("sockstat6")];
    if let [Err(_), Err(_)] = tables {
        let [missing, _] = tables;
        missing?;
        return Ok(());
    }
    for line in tables.iter().flatten().flat_map(|table| table.lines()) {
        let Some((protocol, rest)) = line.split_once(':') else {
            continue;
        };
        let mut words = rest.split_ascii_whitespace();
        while let (Some(state), Some(value)) = (words.next(), words.next()) {
            if let Ok(value) = value.parse() {
                sockets(page, protocol, state, value);
            }
        }
    }
    Ok(())
}

fn sockets(page: &mut Page, protocol: &str, state: &str, value: f64) {
    let name = format!("node_sockstat_{protocol}_{state}");
    let help = format!("The field {state} of {protocol} sockets.");
    if state == "mem" {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a page is smaller than any number that a float cannot hold"
        )]
        let page_bytes = rustix::param::page_size() as f64;
        let help = format!("Bytes that {protocol} sockets take.");
        named_gauge(page, format!("{name}_bytes"), help, value * page_bytes);
    }
    named_gauge(page, name, help, value);
}

pub(super) fn udp_queues(page: &mut Page, tree: &Tree) -> Outcome {
    let (four, six) = (tree.net("udp"), tree.net("udp6"));
    for (table, version) in [(&four, "v4"), (&six, "v6")] {
        if let Ok(table) = table {
            let (sent, received) = queued(table);
            page.gauge(&QUEUES, ["tx", version], sent);
            page.gauge(&QUEUES, ["rx", version], received);
        }
    }
    four.or(six)?;
    Ok(())
}

/// The bytes that wait to be sent and to be read, over all sockets of a table.
fn queued(table: &str) -> (u64, u64) {
    let mut sum = (0_u64, 0_u64);
    for line in table.lines().skip(1) {
        let queues = line.split_ascii_whitespace().nth(4);
        let Some((sent, received)) = queues.and_then(|queues| queues.split_once(':')) else {
            continue;
        };
        let bytes = |text| u64::from_str_radix(text, 16).unwrap_or_default();
        sum.0 = sum.0.saturating_add(bytes(sent));
        sum.1 = sum.1.saturating_add(bytes(received));
    }
    sum
}

pub(super) fn conntrack(page: &mut Page, tree: &Tree) -> Outcome {
    let count = tree.proc("sys/net/netfilter/nf_conntrack_count")?;
    let limit = tree.proc("sys/net/netfilter/nf_conntrack_max")?;
    page.gauge(&TRACKED, (), count.trim_ascii().parse::<u64>()?);
    page.gauge(&TRACKED_LIMIT, (), limit.trim_ascii().parse::<u64>()?);
    let table = tree.net("stat/nf_conntrack")?;
    for (column, family) in &TRACKING {
        if let Some(sum) = column_sum(&table, column) {
            page.gauge(family, (), sum);
        }
    }
    Ok(())
}

/// The sum over all processors of a column of hexadecimal numbers.
fn column_sum(table: &str, column: &str) -> Option<u64> {
    let mut lines = table.lines();
    let index = lines
        .next()?
        .split_ascii_whitespace()
        .position(|name| name == column)?;
    let values = lines
        .filter_map(|line| u64::from_str_radix(line.split_ascii_whitespace().nth(index)?, 16).ok());
    Some(values.fold(0, u64::saturating_add))
}
