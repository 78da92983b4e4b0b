//! What a probe found out about an address.

use serde_json::{Value, json};

/// The body of `POST /ip-checks`: one check of one address. Needs a key of the role operator or admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The record that the address belongs to.
    pub vps_id: String,
    /// The address as the record spells it.
    pub ip: String,
    /// What was tried, such as `tcp`.
    pub check_type: String,
    /// Who tried, such as a place and a number.
    pub source: String,
    /// Whether it worked.
    pub success: bool,
    /// How long it took. Not sent when `None`.
    pub latency_ms: Option<u32>,
}

impl CheckReport {
    pub(crate) fn to_value(&self) -> Value {
        let mut report = json!({
            "vps_id": self.vps_id,
            "ip": self.ip,
            "check_type": self.check_type,
            "source": self.source,
            "success": self.success,
        });
        if let (Some(latency), Some(fields)) = (self.latency_ms, report.as_object_mut()) {
            fields.insert("latency_ms".to_owned(), latency.into());
        }
        report
    }
}
