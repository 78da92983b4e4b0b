//! One reading of a host.

use std::time::{Duration, SystemTime};

use crate::SystemInfo;
use crate::json::Object;
use crate::rfc3339::rfc3339;

/// One reading of a host. What could not be read is `None` and is not sent.
///
/// ```
/// use metricpush::Sample;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let now = UNIX_EPOCH + Duration::from_secs(1_772_348_410);
/// let sample = Sample { cpu_percent: Some(12.5), ..Sample::at(now) };
/// assert_eq!(
///     sample.to_json(None),
///     r#"{"cpu_percent":12.5,"timestamp":"2026-03-01T07:00:10Z","cpu_pct":12.5}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was read. Sent in whole seconds; a time before 1970 counts as 1970, one after 9999 is not sent.
    pub time: SystemTime,
    /// The name of the host. Sent without blanks around it, and not if there is nothing else.
    pub hostname: Option<String>,
    /// How busy all processors together are, 0 to 100. What lies outside is cut, two decimals are kept, and what
    /// is not a finite number is not sent. The same holds for the other percents.
    pub cpu_percent: Option<f64>,
    /// How much of the memory is in use, 0 to 100.
    pub memory_percent: Option<f64>,
    /// How full the root file system is, 0 to 100.
    pub disk_percent: Option<f64>,
    /// Bytes sent since boot: a counter. Cut to the largest signed 64-bit number, as is the next.
    pub network_bytes_sent: Option<u64>,
    /// Bytes received since boot: a counter.
    pub network_bytes_received: Option<u64>,
    /// Time since boot. Sent in whole seconds.
    pub uptime: Option<Duration>,
}

impl Sample {
    /// A sample of this moment that knows nothing yet.
    pub fn at(time: SystemTime) -> Sample {
        Sample {
            time,
            hostname: None,
            cpu_percent: None,
            memory_percent: None,
            disk_percent: None,
            network_bytes_sent: None,
            network_bytes_received: None,
            uptime: None,
        }
    }

    /// The time as it is sent, such as `2026-03-01T07:00:10Z`. `None` after the year 9999.
    pub fn timestamp(&self) -> Option<String> {
        rfc3339(self.time)
    }

    /// The body to send: compact JSON, its keys always in the same order.
    ///
    /// Each figure stands in it twice. The published specification names them `cpu_percent` and so on, the server
    /// reads `cpu_pct` and so on, and each ignores the other's names.
    ///
    /// `system_info` overwrites what the server holds about the host, field by field; once an hour is enough.
    pub fn to_json(&self, system_info: Option<&SystemInfo>) -> String {
        let mut body = Object::default();
        body.text("hostname", self.hostname.as_deref());
        body.percent("cpu_percent", self.cpu_percent);
        body.percent("memory_percent", self.memory_percent);
        body.percent("disk_percent", self.disk_percent);
        body.count("network_bytes_sent", self.network_bytes_sent);
        body.count("network_bytes_recv", self.network_bytes_received);
        body.moment("timestamp", Some(self.time));
        body.percent("cpu_pct", self.cpu_percent);
        body.percent("mem_used_pct", self.memory_percent);
        body.percent("disk_used_pct", self.disk_percent);
        body.count("net_tx_bytes", self.network_bytes_sent);
        body.count("net_rx_bytes", self.network_bytes_received);
        body.count("uptime_s", self.uptime.map(|uptime| uptime.as_secs()));
        if let Some(system_info) = system_info {
            body.object("system_info", system_info.to_object());
        }
        body.finish()
    }
}
