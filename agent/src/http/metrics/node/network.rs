//! Network interfaces: what went through them, what they are, whom they know, and what the processors made of it.

use std::collections::BTreeMap;
use std::path::Path;

use promexport::{Counter, Gauge, Info, Page};
use sysinfo_linux::Interface;

use super::kept::Aged;
use super::tree::{Tree, attribute, names, number};
use super::{Family, Outcome};

static ARP: Gauge<1> = Gauge::new(
    "node_arp_entries",
    "Neighbours that the host knows.",
    ["device"],
);
static NO_HANDLER: Counter<1> = Counter::new(
    "node_network_receive_nohandler_total",
    "Packets received that nobody wanted.",
    ["device"],
);
static UP: Gauge<1> = Gauge::new(
    "node_network_up",
    "Whether an interface is in the state `up`.",
    ["device"],
);
static SPEED: Gauge<1> = Gauge::new(
    "node_network_speed_bytes",
    "Bytes a second that a link can carry; absent where it does not say.",
    ["device"],
);
static INFO: Info<7> = Info::new(
    "node_network_info",
    "What an interface is.",
    [
        "device",
        "address",
        "broadcast",
        "duplex",
        "operstate",
        "adminstate",
        "ifalias",
    ],
);

/// What went through an interface.
/// A counter of an interface, and where its figure stands.
type Field = (Counter<1>, fn(&Interface) -> u64);

static TRAFFIC: [Field; 16] = [
    traffic(
        "node_network_receive_bytes_total",
        "Bytes received.",
        |one| one.received.bytes,
    ),
    traffic(
        "node_network_receive_packets_total",
        "Packets received.",
        |one| one.received.packets,
    ),
    traffic(
        "node_network_receive_errs_total",
        "Packets received with an error.",
        |one| one.received.errors,
    ),
    traffic(
        "node_network_receive_drop_total",
        "Packets dropped on the way in.",
        |one| one.received.dropped,
    ),
    traffic(
        "node_network_receive_fifo_total",
        "Overruns on the way in.",
        |one| one.received.fifo,
    ),
    traffic(
        "node_network_receive_frame_total",
        "Packets received with a broken frame.",
        |one| one.received.frame,
    ),
    traffic(
        "node_network_receive_compressed_total",
        "Compressed packets received.",
        |one| one.received.compressed,
    ),
    traffic(
        "node_network_receive_multicast_total",
        "Multicast packets received.",
        |one| one.received.multicast,
    ),
    traffic("node_network_transmit_bytes_total", "Bytes sent.", |one| {
        one.sent.bytes
    }),
    traffic(
        "node_network_transmit_packets_total",
        "Packets sent.",
        |one| one.sent.packets,
    ),
    traffic(
        "node_network_transmit_errs_total",
        "Packets that could not be sent.",
        |one| one.sent.errors,
    ),
    traffic(
        "node_network_transmit_drop_total",
        "Packets dropped on the way out.",
        |one| one.sent.dropped,
    ),
    traffic(
        "node_network_transmit_fifo_total",
        "Overruns on the way out.",
        |one| one.sent.fifo,
    ),
    traffic("node_network_transmit_colls_total", "Collisions.", |one| {
        one.sent.collisions
    }),
    traffic(
        "node_network_transmit_carrier_total",
        "Losses of the carrier while sending.",
        |one| one.sent.carrier,
    ),
    traffic(
        "node_network_transmit_compressed_total",
        "Compressed packets sent.",
        |one| one.sent.compressed,
    ),
];

const fn traffic(
    name: &'static str,
    help: &'static str,
    value: fn(&Interface) -> u64,
) -> (Counter<1>, fn(&Interface) -> u64) {
    (Counter::new(name, help, ["device"]), value)
}

/// Files of an interface in sys that are decimal numbers.
static PROPERTIES: [(&str, Family<1>); 12] = [
    gauge(
        "addr_assign_type",
        "node_network_address_assign_type",
        "How the address was given.",
    ),
    gauge(
        "carrier",
        "node_network_carrier",
        "Whether there is a link.",
    ),
    (
        "carrier_changes",
        Family::counter(
            "node_network_carrier_changes_total",
            "How often the link came or went.",
            ["device"],
        ),
    ),
    (
        "carrier_up_count",
        Family::counter(
            "node_network_carrier_up_changes_total",
            "How often the link came.",
            ["device"],
        ),
    ),
    (
        "carrier_down_count",
        Family::counter(
            "node_network_carrier_down_changes_total",
            "How often the link went.",
            ["device"],
        ),
    ),
    gauge(
        "dormant",
        "node_network_dormant",
        "Whether the interface waits for something outside.",
    ),
    gauge(
        "ifindex",
        "node_network_iface_id",
        "The kernel's number of the interface.",
    ),
    gauge(
        "iflink",
        "node_network_iface_link",
        "The number of the interface below it.",
    ),
    gauge(
        "link_mode",
        "node_network_iface_link_mode",
        "Whether the link wants a policy.",
    ),
    gauge("mtu", "node_network_mtu_bytes", "The largest packet."),
    gauge(
        "tx_queue_len",
        "node_network_transmit_queue_length",
        "Packets that may wait.",
    ),
    gauge(
        "type",
        "node_network_protocol_type",
        "The type of its hardware addresses.",
    ),
];

const fn gauge(
    file: &'static str,
    name: &'static str,
    help: &'static str,
) -> (&'static str, Family<1>) {
    (file, Family::gauge(name, help, ["device"]))
}

static FLAGS: Gauge<1> = Gauge::new(
    "node_network_flags",
    "The flags of an interface, as a number.",
    ["device"],
);

/// The flag of an interface that was switched on.
const IFF_UP: u64 = 1;

/// The columns of `softnet_stat` and where they stand.
static SOFTNET: [(usize, Family<1>); 7] = [
    (
        0,
        per_cpu(
            "node_softnet_processed_total",
            "Packets that were processed.",
        ),
    ),
    (
        1,
        per_cpu("node_softnet_dropped_total", "Packets that were dropped."),
    ),
    (
        2,
        per_cpu(
            "node_softnet_times_squeezed_total",
            "Times that packets were left for later.",
        ),
    ),
    (
        8,
        per_cpu(
            "node_softnet_cpu_collision_total",
            "Times that a device was locked.",
        ),
    ),
    (
        9,
        per_cpu(
            "node_softnet_received_rps_total",
            "Times that another processor woke this one.",
        ),
    ),
    (
        10,
        // A counter may not end in `_count_total`.
        Family::unknown(
            "node_softnet_flow_limit_count_total",
            "Packets dropped because of the flow limit.",
            ["cpu"],
        ),
    ),
    (
        11,
        Family::gauge("node_softnet_backlog_len", "Packets that wait.", ["cpu"]),
    ),
];

/// Where `softnet_stat` has the number of the processor (5.14).
const SOFTNET_CPU: usize = 12;

const fn per_cpu(name: &'static str, help: &'static str) -> Family<1> {
    Family::counter(name, help, ["cpu"])
}

pub(super) fn arp(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let table = tree.net("arp")?;
    let mut entries: BTreeMap<&str, u64> = BTreeMap::new();
    for device in table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_ascii_whitespace().last())
    {
        *entries.entry(device).or_default() += 1;
    }
    for (device, count) in entries {
        page.gauge(&ARP, [device], count);
    }
    Ok(())
}

pub(super) fn netdev(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let class = tree.sys("class/net");
    for interface in tree.place.host().interfaces()? {
        let device = [interface.name.as_encoded_bytes()];
        for (family, value) in &TRAFFIC {
            page.counter(family, device, value(&interface));
        }
        let unwanted = class.join(&interface.name).join("statistics/rx_nohandler");
        if let Some(packets) = number(&unwanted) {
            page.counter(&NO_HANDLER, device, packets);
        }
    }
    Ok(())
}

/// What an interface is. Of all that sys tells of it, these files change seldom.
#[derive(Debug)]
pub(super) struct Properties {
    /// Whether it works, as it was when the rest was read: where this has changed, all may have.
    state: State,
    /// As [`PROPERTIES`] has them.
    numbers: [Option<f64>; 12],
    flags: Option<u64>,
    /// Mbit/s.
    speed: Option<f64>,
    address: String,
    broadcast: String,
    duplex: String,
    alias: String,
}

#[derive(Debug, PartialEq, Eq)]
struct State {
    word: String,
    carrier_changes: Option<String>,
}

impl State {
    fn read(folder: &Path) -> Self {
        Self {
            word: attribute(&folder.join("operstate")).unwrap_or_default(),
            carrier_changes: attribute(&folder.join("carrier_changes")),
        }
    }
}

impl Properties {
    fn read(folder: &Path, state: State) -> Self {
        let word = |file: &str| attribute(&folder.join(file)).unwrap_or_default();
        Self {
            state,
            numbers: PROPERTIES
                .each_ref()
                .map(|(file, _)| number(&folder.join(file))),
            flags: hexadecimal(&word("flags")),
            // What does not know its speed says -1.
            speed: number(&folder.join("speed")).filter(|speed| *speed >= 0.0),
            address: word("address"),
            broadcast: word("broadcast"),
            duplex: word("duplex"),
            alias: word("ifalias"),
        }
    }

    fn write(&self, page: &mut Page, device: &[u8]) {
        for ((_, family), value) in PROPERTIES.iter().zip(self.numbers) {
            if let Some(value) = value {
                family.write(page, [device], value);
            }
        }
        if let Some(speed) = self.speed {
            page.gauge(&SPEED, [device], speed * 125_000.0);
        }
        if let Some(flags) = self.flags {
            page.gauge(&FLAGS, [device], flags);
        }
        page.gauge(&UP, [device], self.state.word == "up");
        let admin = match self.flags {
            Some(flags) if flags & IFF_UP != 0 => "up",
            Some(_) => "down",
            None => "unknown",
        };
        let words = [
            &self.address,
            &self.broadcast,
            &self.duplex,
            &self.state.word,
            admin,
            &self.alias,
        ];
        let [address, broadcast, duplex, state, admin, alias] = words.map(str::as_bytes);
        let labels = [device, address, broadcast, duplex, state, admin, alias];
        page.info(&INFO, labels);
    }
}

pub(super) fn netclass(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let class = tree.sys("class/net");
    let names = names(&class)?;
    let known = &mut tree.kept.interfaces;
    known.retain(|name, _| names.binary_search(name).is_ok());
    for name in names {
        let folder = class.join(&name);
        let state = State::read(&folder);
        if state.word.is_empty() {
            continue;
        }
        let device = name.as_encoded_bytes();
        match known.get(&name).and_then(Aged::get) {
            Some(kept) if kept.state == state => kept.write(page, device),
            _ => {
                let properties = Properties::read(&folder, state);
                properties.write(page, device);
                known.insert(name, Aged::now(properties));
            }
        }
    }
    Ok(())
}

pub(super) fn softnet(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    for (row, line) in tree.net("softnet_stat")?.lines().enumerate() {
        let columns: Vec<Option<u64>> = line.split_ascii_whitespace().map(hexadecimal).collect();
        let column = |index: usize| columns.get(index).copied().flatten();
        let cpu = column(SOFTNET_CPU).map_or_else(|| row.to_string(), |cpu| cpu.to_string());
        for (index, family) in &SOFTNET {
            if let Some(value) = column(*index) {
                family.write(page, [&cpu], value);
            }
        }
    }
    Ok(())
}

/// A number with or without `0x`.
fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}
