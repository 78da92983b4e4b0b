//! Where programs are attached, as far as their section names do not say it.

use serde::{Deserialize, Serialize};

/// One program of the object and where it is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// The program's function name in the object.
    pub program: String,
    /// Where it goes.
    pub to: Target,
}

/// A place programs are attached to. In JSON an object with one field: `{"interface": {"name": "eth0"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Target {
    /// A network interface, for XDP and traffic control.
    Interface {
        /// Its name.
        name: String,
        /// Which way the packets go, for traffic control.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        direction: Option<Direction>,
        /// Where XDP runs; the kernel chooses if it is not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<XdpMode>,
    },
    /// A control group, by its path below the mount of cgroup2.
    Cgroup {
        /// The path, such as `system.slice/web.service`.
        path: String,
    },
    /// A place in the kernel: a function, a tracepoint as `sched/sched_switch`, an LSM hook.
    Hook {
        /// Its name.
        name: String,
    },
    /// A function of a program or library.
    UserFunction {
        /// The file.
        path: String,
        /// The function.
        symbol: String,
        /// Bytes behind its beginning.
        #[serde(default)]
        offset: u64,
        /// One process, or all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    },
    /// A clock that ticks on every CPU.
    Clock {
        /// How often.
        frequency_hz: u64,
    },
}

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the host.
    Ingress,
    /// Out of the host.
    Egress,
}

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// In the network stack, on any interface.
    Skb,
    /// In the driver.
    Driver,
}
