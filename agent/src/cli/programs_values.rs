//! Texts of the options of `programs …` → values; each error says what is allowed.

use std::time::{Duration, SystemTime};

use bpf_artifact::{Attach, Direction, HostId, Manifest, OnAgentExit, Target, XdpMode};

use super::programs_command::{Json, NotAfter};

type Parsed<T> = Result<T, String>;

pub(super) fn host(text: &str) -> Parsed<HostId> {
    HostId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn on_agent_exit(text: &str) -> Parsed<OnAgentExit> {
    match text {
        "detach" => Ok(OnAgentExit::Detach),
        "persist" => Ok(OnAgentExit::Persist),
        _ => Err("allowed: detach, persist".to_owned()),
    }
}

/// A number with one of the units `s`, `m`, `h`, `d`.
pub(super) fn span(text: &str) -> Parsed<Duration> {
    let parsed = || {
        let unit = text.chars().next_back()?;
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        number.checked_mul(seconds).filter(|seconds| *seconds > 0)
    };
    parsed()
        .map(Duration::from_secs)
        .ok_or_else(|| "allowed: a number with a unit: 90s, 15m, 12h, 30d".to_owned())
}

pub(super) fn not_after(text: &str) -> Parsed<NotAfter> {
    let span = || span(text).ok().map(NotAfter::In);
    let end = moment(text).map(NotAfter::At).or_else(span);
    end.ok_or_else(|| {
        "allowed: a moment in UTC, such as 2026-12-31T00:00:00Z, or a span from now on, such as 30d"
            .to_owned()
    })
}

/// A moment as manifests write it, read by the reader of manifests.
fn moment(text: &str) -> Option<SystemTime> {
    let start = SystemTime::UNIX_EPOCH;
    let any = Manifest {
        hosts: vec!["*".to_owned()],
        ..Manifest::new(b"", "any", "any", 0, start..start + Duration::from_secs(1))
    };
    let mut manifest = serde_json::to_value(any).ok()?;
    *manifest.get_mut("not_after")? = text.into();
    let read = Manifest::from_json(manifest.to_string().as_bytes());
    read.ok().map(|manifest| manifest.not_after)
}

pub(super) fn json(text: &str) -> Parsed<Json> {
    if let Some(path) = text.strip_prefix('@') {
        return Ok(Json::File(path.into()));
    }
    serde_json::from_str(text)
        .map(Json::Given)
        .map_err(|error| format!("not a JSON object: {error}; from a file: @FILE"))
}

/// `PROGRAM=KIND:PLACE[:MORE]`, or the JSON of the manifest.
pub(super) fn attach(text: &str) -> Parsed<Attach> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let (program, place) = text
        .split_once('=')
        .filter(|(program, _)| !program.is_empty())
        .ok_or("it has the form PROGRAM=PLACE, such as guard=interface:eth0")?;
    Ok(Attach {
        program: program.to_owned(),
        to: place_of(place)?,
    })
}

fn place_of(text: &str) -> Parsed<Target> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    if rest.is_empty() {
        return Err(format!("{text:?} names no place; such as interface:eth0"));
    }
    match kind {
        "interface" => interface(rest),
        "cgroup" => Ok(Target::Cgroup {
            path: rest.to_owned(),
        }),
        "hook" => Ok(Target::Hook {
            name: rest.to_owned(),
        }),
        "function" => {
            let (path, symbol) = rest
                .rsplit_once(':')
                .ok_or("a function has the form function:FILE:SYMBOL")?;
            Ok(Target::UserFunction {
                path: path.to_owned(),
                symbol: symbol.to_owned(),
                offset: 0,
                pid: None,
            })
        }
        "clock" => {
            let frequency_hz = rest
                .parse()
                .map_err(|_| "a clock has the form clock:HERTZ".to_owned())?;
            Ok(Target::Clock { frequency_hz })
        }
        _ => Err(format!(
            "{kind:?} is no kind of place; allowed: interface, cgroup, hook, function, clock"
        )),
    }
}

fn interface(text: &str) -> Parsed<Target> {
    let (name, how) = text.split_once(':').unwrap_or((text, ""));
    let (direction, mode) = match how {
        "" => (None, None),
        "ingress" => (Some(Direction::Ingress), None),
        "egress" => (Some(Direction::Egress), None),
        "skb" => (None, Some(XdpMode::Skb)),
        "driver" => (None, Some(XdpMode::Driver)),
        _ => {
            return Err(format!(
                "{how:?} is no way to attach to an interface; allowed: ingress, egress, skb, driver"
            ));
        }
    };
    Ok(Target::Interface {
        name: name.to_owned(),
        direction,
        mode,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_short_are_those_of_the_manifest() {
        for (short, long) in [
            (
                "a=interface:eth0",
                r#"{"program":"a","to":{"interface":{"name":"eth0"}}}"#,
            ),
            (
                "a=interface:eth0:egress",
                r#"{"program":"a","to":{"interface":{"name":"eth0","direction":"egress"}}}"#,
            ),
            (
                "a=interface:eth0:driver",
                r#"{"program":"a","to":{"interface":{"name":"eth0","mode":"driver"}}}"#,
            ),
            (
                "a=cgroup:system.slice/x:y.service",
                r#"{"program":"a","to":{"cgroup":{"path":"system.slice/x:y.service"}}}"#,
            ),
            (
                "a=hook:sched/sched_switch",
                r#"{"program":"a","to":{"hook":{"name":"sched/sched_switch"}}}"#,
            ),
            (
                "a=function:/lib/x.so:read",
                r#"{"program":"a","to":{"user_function":{"path":"/lib/x.so","symbol":"read"}}}"#,
            ),
            (
                "a=clock:99",
                r#"{"program":"a","to":{"clock":{"frequency_hz":99}}}"#,
            ),
        ] {
            assert_eq!(attach(short).unwrap(), attach(long).unwrap(), "{short}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_is_one() {
        for (text, part) in [
            ("guard", "PROGRAM=PLACE"),
            ("=interface:eth0", "PROGRAM=PLACE"),
            ("a=eth0", "interface:eth0"),
            ("a=interface:", "interface:eth0"),
            ("a=interface:eth0:sideways", "ingress, egress, skb, driver"),
            ("a=clock:often", "clock:HERTZ"),
            ("a=function:/lib/x.so", "function:FILE:SYMBOL"),
            ("a=socket:1", "allowed: interface, cgroup"),
            ("{}", "missing field"),
        ] {
            let why = attach(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn spans_have_a_unit_and_are_not_nothing() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for wrong in [
            "",
            "s",
            "0s",
            "1",
            "1w",
            "-1s",
            "99999999999999999999d",
            "1é",
        ] {
            assert!(span(wrong).is_err(), "{wrong:?}");
        }
        // From `date -u -d 2026-12-31T00:00:00Z +%s`.
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_675_200);
        assert_eq!(not_after("2026-12-31T00:00:00Z"), Ok(NotAfter::At(end)));
        assert_eq!(
            not_after("12h"),
            Ok(NotAfter::In(Duration::from_secs(43_200)))
        );
        assert!(not_after("soon").unwrap_err().contains("30d"));
    }
}
