//! Sockets and protocols: what the kernel counts of each, by the kernel's own names.

use promexport::{Gauge, Page, Unknown};

use super::Outcome;
use super::kept::Names;
use super::tree::Tree;

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

pub(super) fn netstat(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    for table in ["netstat", "snmp"] {
        let table = tree.net(table)?;
        two_line_tables(&table, |protocol, field, value| {
            statistic(page, &mut tree.kept.protocols, protocol, field, value);
        });
    }
    // Missing where IPv6 is off.
    let Ok(table) = tree.net("snmp6") else {
        return Ok(());
    };
    for line in table.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(value)) = (words.next(), words.next())
            && let Some(version) = name.find('6')
            && let Some((protocol, field)) = name.split_at_checked(version + 1)
        {
            statistic(page, &mut tree.kept.protocols, protocol, field, value);
        }
    }
    Ok(())
}

/// Pairs of lines, names above values: `Tcp: ActiveOpens …`, `Tcp: 17 …`.
fn two_line_tables(text: &str, mut tell: impl FnMut(&str, &str, &str)) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let Some((protocol, names)) = names.split_once(':') else {
            continue;
        };
        let values = values.split_ascii_whitespace().skip(1);
        for (field, value) in names.split_ascii_whitespace().zip(values) {
            tell(protocol, field, value);
        }
    }
}

fn statistic(
    page: &mut Page,
    names: &mut Names<Unknown<0>>,
    protocol: &str,
    field: &str,
    value: &str,
) {
    if let (true, Ok(value)) = (is_shown(protocol, field), value.parse::<f64>()) {
        let words = format!("{protocol}_{field}");
        let name = || {
            let help = format!("The statistic {field} of {protocol}.");
            Unknown::try_new(format!("node_netstat_{words}"), help, []).ok()
        };
        names.with(&words, name, |family| page.unknown(family, (), value));
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

pub(super) fn sockstat(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let tables = [tree.net("sockstat"), tree.net("sockstat6")];
    if let [Err(_), Err(_)] = tables {
        let [missing, _] = tables;
        missing?;
        return Ok(());
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "the size of a page is a small power of two"
    )]
    let page_bytes = rustix::param::page_size() as f64;
    for line in tables.iter().flatten().flat_map(|table| table.lines()) {
        let Some((protocol, rest)) = line.split_once(':') else {
            continue;
        };
        let mut words = rest.split_ascii_whitespace();
        while let (Some(state), Some(value)) = (words.next(), words.next()) {
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            let names = &mut tree.kept.sockets;
            sockets(page, names, protocol, state, value);
            if state == "mem" {
                sockets(page, names, protocol, "mem_bytes", value * page_bytes);
            }
        }
    }
    Ok(())
}

fn sockets(page: &mut Page, names: &mut Names<Gauge<0>>, protocol: &str, state: &str, value: f64) {
    let words = format!("{protocol}_{state}");
    let name = || {
        let help = format!("The field {state} of {protocol} sockets.");
        Gauge::try_new(format!("node_sockstat_{words}"), help, []).ok()
    };
    names.with(&words, name, |family| page.gauge(family, (), value));
}

pub(super) fn udp_queues(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
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

pub(super) fn conntrack(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
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
