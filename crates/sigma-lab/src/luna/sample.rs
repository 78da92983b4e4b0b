//! A sample as an agent sends it: the JSON of `POST /agent/metrics`, and what is wrong with it.

use std::fmt;
use std::marker::PhantomData;

use hyper::StatusCode;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::timestamp::Timestamp;
use crate::answer::Refusal;

/// What the lab takes of a body. The protocol has no "unknown": what is left out, or null, is zero.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) cpu_pct: f64,
    pub(super) mem_used_pct: f64,
    pub(super) disk_used_pct: f64,
    pub(super) net_rx_bytes: i64,
    pub(super) net_tx_bytes: i64,
    pub(super) uptime_s: Option<f64>,
    pub(super) system_info: SystemInfo,
}

/// What a machine last said about itself; `None` where it never did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemInfo {
    /// The name it goes by.
    pub hostname: Option<String>,
    /// The distribution.
    pub platform: Option<String>,
    /// The distribution's release.
    pub platform_version: Option<String>,
    /// The kernel's release.
    pub kernel_version: Option<String>,
    /// How many CPUs it can use.
    pub cpu_cores: Option<i64>,
    /// Its memory in MiB.
    pub memory_total_mb: Option<i64>,
    /// The size of its root file system in GiB.
    pub disk_total_gb: Option<i64>,
    /// When it started, RFC 3339 as it was sent.
    pub last_boot_time: Option<String>,
}

impl Sample {
    /// Takes the first JSON value of a body; what comes after it is not looked at.
    pub(super) fn read(body: &[u8]) -> Result<Sample, Refusal> {
        let mut reader = serde_json::Deserializer::from_slice(body);
        let sent = Option::<Object<Sample>>::deserialize(&mut reader).map_err(|_| invalid())?;
        let sample = sent.map(|object| object.0).unwrap_or_default();
        for (field, percent) in [
            ("cpu_pct", sample.cpu_pct),
            ("mem_used_pct", sample.mem_used_pct),
            ("disk_used_pct", sample.disk_used_pct),
        ] {
            if !(0.0..=100.0).contains(&percent) {
                return Err(Refusal::OutOfRange(field));
            }
        }
        Ok(sample)
    }
}

pub(super) fn invalid() -> Refusal {
    Refusal::Text(StatusCode::BAD_REQUEST, "Invalid request body".to_owned())
}

/// Something made of the members of a JSON object, one after the other.
trait Members: Default {
    /// Takes the value of a member, whose name comes in lower case. A later one of the same name
    /// overwrites it.
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

impl Members for Sample {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            // It has to be right, and is not used: a sample is of when it arrives.
            "timestamp" => drop(map.next_value::<Option<Timestamp>>()?),
            "cpu_pct" => self.cpu_pct = or_zero(map)?,
            "mem_used_pct" => self.mem_used_pct = or_zero(map)?,
            "disk_used_pct" => self.disk_used_pct = or_zero(map)?,
            "net_rx_bytes" => self.net_rx_bytes = or_zero(map)?,
            "net_tx_bytes" => self.net_tx_bytes = or_zero(map)?,
            "uptime_s" => self.uptime_s = map.next_value()?,
            "system_info" => {
                let sent: Option<Object<SystemInfo>> = map.next_value()?;
                self.system_info = sent.map(|object| object.0).unwrap_or_default();
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

fn or_zero<'de, A, T>(map: &mut A) -> Result<T, A::Error>
where
    A: MapAccess<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

impl Members for SystemInfo {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "hostname" => self.hostname = map.next_value()?,
            "platform" => self.platform = map.next_value()?,
            "platform_version" => self.platform_version = map.next_value()?,
            "kernel_version" => self.kernel_version = map.next_value()?,
            "cpu_cores" => self.cpu_cores = map.next_value()?,
            "memory_total_mb" => self.memory_total_mb = map.next_value()?,
            "disk_total_gb" => self.disk_total_gb = map.next_value()?,
            "last_boot_time" => {
                let sent: Option<Timestamp> = map.next_value()?;
                self.last_boot_time = sent.map(|timestamp| timestamp.0);
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

/// A JSON object whose names are read without regard to case.
struct Object<T>(T);

impl<'de, T: Members> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Members> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<T>, A::Error> {
        let mut taken = T::default();
        while let Some(mut name) = map.next_key::<String>()? {
            name.make_ascii_lowercase();
            taken.take(&name, &mut map)?;
        }
        Ok(Object(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract's own example, and one with everything that is read.
    const BODIES: [&str; 2] = [
        r#"{"hostname":"web-3","cpu_percent":12.5,"memory_percent":40.1,"disk_percent":63.0,"network_bytes_sent":9100,"network_bytes_recv":8200,"timestamp":"2026-03-01T07:00:10Z","cpu_pct":12.5,"mem_used_pct":40.1,"disk_used_pct":63.0,"net_tx_bytes":9100,"net_rx_bytes":8200,"uptime_s":86400}"#,
        r#"{"timestamp":null,"cpu_pct":0,"mem_used_pct":100,"disk_used_pct":1e1,"net_rx_bytes":-1,"net_tx_bytes":9223372036854775807,"uptime_s":0.5,"system_info":{"hostname":"","platform":"debian","platform_version":"13","kernel_version":"6.12","cpu_cores":2,"memory_total_mb":1967,"disk_total_gb":49,"last_boot_time":"2026-02-28T07:00:10+01:00"}}"#,
    ];

    fn why_not(body: &str) -> String {
        match Sample::read(body.as_bytes()) {
            Ok(sample) => format!("{sample:?}"),
            Err(Refusal::Text(StatusCode::BAD_REQUEST, why)) => why,
            Err(Refusal::OutOfRange(field)) => field.to_owned(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn both_examples_are_read_to_the_last_field() {
        let [first, all] = BODIES.map(|body| Sample::read(body.as_bytes()).unwrap());
        assert_eq!(
            (first.cpu_pct, first.mem_used_pct, first.disk_used_pct),
            (12.5, 40.1, 63.0)
        );
        assert_eq!(
            (first.net_rx_bytes, first.net_tx_bytes, first.uptime_s),
            (8200, 9100, Some(86400.0))
        );
        assert_eq!(
            first.system_info,
            SystemInfo::default(),
            "a hostname outside is no name"
        );
        assert_eq!(
            (all.cpu_pct, all.mem_used_pct, all.disk_used_pct),
            (0.0, 100.0, 10.0)
        );
        assert_eq!(
            (all.net_rx_bytes, all.net_tx_bytes, all.uptime_s),
            (-1, i64::MAX, Some(0.5))
        );
        let said = SystemInfo {
            hostname: Some(String::new()),
            platform: Some("debian".to_owned()),
            platform_version: Some("13".to_owned()),
            kernel_version: Some("6.12".to_owned()),
            cpu_cores: Some(2),
            memory_total_mb: Some(1967),
            disk_total_gb: Some(49),
            last_boot_time: Some("2026-02-28T07:00:10+01:00".to_owned()),
        };
        assert_eq!(all.system_info, said);
    }

    #[test]
    fn what_the_contract_accepts_is_accepted() {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
        for body in [
            "{}",
            "null",
            " \n{} ",
            r#"{"cpu_pct":null,"mem_used_pct":null,"disk_used_pct":null,"uptime_s":null}"#,
            r#"{"system_info":null}"#,
            r#"{"system_info":{"cpu_cores":null,"unknown":[1,{}]}}"#,
            r#"{"unknown":{"cpu_pct":900},"other":1e999}"#,
            "{} {\"cpu_pct\":900}",
            "{}garbage",
            "null]",
            &deep,
        ] {
            let zeros = Sample::read(body.as_bytes()).unwrap();
            assert_eq!(
                (zeros.cpu_pct, zeros.net_rx_bytes, zeros.uptime_s),
                (0.0, 0, None),
                "{body:.60}"
            );
            assert_eq!(zeros.system_info, SystemInfo::default(), "{body:.60}");
        }
    }

    #[test]
    fn names_are_read_in_any_case_and_the_last_of_two_counts() {
        let body = r#"{"CPU_Pct":1,"cpu_pct":2,"Cpu_PCT":3,"NET_RX_BYTES":7,
            "System_Info":{"HostName":"a","hostname":"b"},"mem_used_pct":9,"MEM_USED_PCT":null}"#;
        let sample = Sample::read(body.as_bytes()).unwrap();
        assert_eq!(
            (sample.cpu_pct, sample.mem_used_pct, sample.net_rx_bytes),
            (3.0, 0.0, 7)
        );
        assert_eq!(sample.system_info.hostname.as_deref(), Some("b"));
    }

    #[test]
    fn wrong_bodies_and_types_are_refused_with_the_same_words() {
        for body in [
            "",
            " ",
            "[]",
            "[{}]",
            "1",
            "\"{}\"",
            "true",
            "nul",
            "{",
            "{'cpu_pct':1}",
            "{\"cpu_pct\":1,}",
            "\u{feff}{}",
            "\u{1f}\u{8b}\u{8}",
            r#"{"cpu_pct":"1"}"#,
            r#"{"cpu_pct":true}"#,
            r#"{"cpu_pct":[1]}"#,
            r#"{"cpu_pct":NaN}"#,
            r#"{"cpu_pct":1e999}"#,
            r#"{"cpu_pct":"x","cpu_pct":1}"#,
            r#"{"net_rx_bytes":10.0}"#,
            r#"{"net_rx_bytes":1e3}"#,
            r#"{"net_tx_bytes":9223372036854775808}"#,
            r#"{"net_tx_bytes":-9223372036854775809}"#,
            r#"{"net_tx_bytes":"1"}"#,
            r#"{"uptime_s":"1"}"#,
            r#"{"timestamp":1772348410}"#,
            r#"{"timestamp":"2026-03-01T07:00:10"}"#,
            r#"{"timestamp":"2026-03-01 07:00:10Z"}"#,
            r#"{"timestamp":""}"#,
            r#"{"system_info":[]}"#,
            r#"{"system_info":"x"}"#,
            r#"{"system_info":{"cpu_cores":2.5}}"#,
            r#"{"system_info":{"memory_total_mb":1.0}}"#,
            r#"{"system_info":{"disk_total_gb":"1"}}"#,
            r#"{"system_info":{"hostname":1}}"#,
            r#"{"system_info":{"last_boot_time":1772348410}}"#,
        ] {
            assert_eq!(why_not(body), "Invalid request body", "{body}");
        }
    }

    #[test]
    fn percentages_out_of_range_are_named() {
        for (body, field) in [
            (r#"{"cpu_pct":100.01}"#, "cpu_pct"),
            (r#"{"cpu_pct":-0.1}"#, "cpu_pct"),
            (r#"{"CPU_PCT":1e300}"#, "cpu_pct"),
            (r#"{"mem_used_pct":101}"#, "mem_used_pct"),
            (r#"{"disk_used_pct":-1}"#, "disk_used_pct"),
            (
                r#"{"disk_used_pct":900,"mem_used_pct":900}"#,
                "mem_used_pct",
            ),
        ] {
            assert_eq!(why_not(body), field, "{body}");
        }
        assert!(Sample::read(br#"{"cpu_pct":900,"cpu_pct":9}"#).is_ok());
    }

    #[test]
    fn every_prefix_of_a_body_is_refused_and_no_mutation_panics() {
        for body in BODIES.map(str::as_bytes) {
            for end in 0..body.len() {
                assert!(Sample::read(body.get(..end).unwrap()).is_err(), "{end}");
            }
            for position in 0..body.len() {
                for byte in 0..=255 {
                    let mut mutated = body.to_vec();
                    mutated[position] = byte;
                    if let Ok(sample) = Sample::read(&mutated) {
                        assert!((0.0..=100.0).contains(&sample.cpu_pct));
                    }
                }
            }
        }
    }
}
