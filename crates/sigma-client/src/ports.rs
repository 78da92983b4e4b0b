//! Ports that an agent picked on behalf of the API.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

/// The answer of an agent to `POST /vps/{id}/allocate-ports`, as the API passes it on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Allocation {
    /// Free ports of that host, in the agent's order.
    pub ports: Vec<u16>,
    /// What else the agent said, such as how long it keeps the ports.
    pub other: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Allocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut other = Map::deserialize(deserializer)?;
        let ports = other
            .remove("ports")
            .ok_or_else(|| D::Error::missing_field("ports"))?;
        let ports = Vec::<u16>::deserialize(ports).map_err(D::Error::custom)?;
        if ports.contains(&0) {
            return Err(D::Error::custom("port 0 among the ports"));
        }
        Ok(Allocation { ports, other })
    }
}
