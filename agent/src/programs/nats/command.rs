//! What a message asks for: a pure function of its bytes, since anybody may have sent them.

use serde_json::{Map, Value};

/// No request is longer.
const MAX_BYTES: usize = 64 << 10;
/// The longest id that is looked at.
const MAX_ID: usize = 256;
/// The longest reason that is kept.
const MAX_REASON: usize = 512;
/// How many hosts one request may name.
const MAX_TARGETS: usize = 100_000;

/// What a message asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    RollBack {
        artifact_id: String,
        reason: Option<String>,
        request_id: Option<String>,
    },
    /// To ask the registry now.
    Poll,
    /// It is for other hosts.
    NotForUs,
}

/// Understands a message for `host`. `to_all` tells that every host gets it, so that it has to name those it is for.
pub(super) fn parse(bytes: &[u8], host: &str, to_all: bool) -> Result<Command, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("it is longer than {MAX_BYTES} bytes"));
    }
    let message: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|_| "it is not a JSON object".to_owned())?;
    if !is_for(&message, host, to_all) {
        return Ok(Command::NotForUs);
    }
    let word = |name: &str| message.get(name).and_then(Value::as_str);
    match word("action").or_else(|| word("type")) {
        Some("apply_ebpf") => return Ok(Command::Poll),
        None | Some("rollback_ebpf" | "rollback_signal" | "rollback") => {}
        Some(_) => return Err("it asks for something that is not known here".to_owned()),
    }
    let artifact_id = word("artifact_id").ok_or("it names no artifact_id")?;
    let request_id = word("request_id").filter(|id| !id.is_empty());
    for id in [Some(artifact_id), request_id].into_iter().flatten() {
        if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
            return Err("an id in it is empty, too long, or holds control characters".to_owned());
        }
    }
    // The original ended on a reason that was no text. A reason is a remark, not a condition.
    let reason = word("reason").map(|text| text.chars().take(MAX_REASON).collect());
    Ok(Command::RollBack {
        artifact_id: artifact_id.to_owned(),
        reason,
        request_id: request_id.map(str::to_owned),
    })
}

/// Whether the hosts that it names, in any of the ways there are, include this one.
fn is_for(message: &Map<String, Value>, host: &str, to_all: bool) -> bool {
    let one = ["host_id", "target_id"]
        .into_iter()
        .filter_map(|name| message.get(name).and_then(Value::as_str));
    let many = message.get("targets").and_then(Value::as_array);
    let many = many.into_iter().flatten().take(MAX_TARGETS);
    let mut named = one.chain(many.filter_map(Value::as_str)).peekable();
    match named.peek() {
        None => !to_all,
        Some(_) => named.any(|name| name == host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [(&str, bool); 6] = [
        (r#"{"artifact_id":"a7","reason":"manual_rollback"}"#, false),
        (r#"{"artifact_id":"a7"}"#, false),
        (
            r#"{"type":"rollback_signal","artifact_id":"a7","host_id":"db-02","reason":"r","threshold":"max_errors","value":"12","timestamp":"2026-01-05T08:00:00Z"}"#,
            false,
        ),
        (
            r#"{"request_id":"q1","action":"rollback_ebpf","target_id":"db-02","artifact_id":"a7","timestamp":"2026-01-05T08:00:00Z"}"#,
            true,
        ),
        (
            r#"{"request_id":"q2","action":"apply_ebpf","artifact_id":"a7","ttl":60,"targets":["db-01","db-02"],"timestamp":"2026-01-05T08:00:00Z"}"#,
            true,
        ),
        (r#"{"artifact_id":"a7","reason":7}"#, false),
    ];

    #[test]
    fn every_shape_of_the_contract_is_understood() {
        let roll_back = |reason: Option<&str>, request: Option<&str>| Command::RollBack {
            artifact_id: "a7".to_owned(),
            reason: reason.map(str::to_owned),
            request_id: request.map(str::to_owned),
        };
        let expected = [
            roll_back(Some("manual_rollback"), None),
            roll_back(None, None),
            roll_back(Some("r"), None),
            roll_back(None, Some("q1")),
            Command::Poll,
            roll_back(None, None),
        ];
        for ((text, to_all), expected) in SHAPES.iter().zip(expected) {
            assert_eq!(
                parse(text.as_bytes(), "db-02", *to_all),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_for_others_or_for_nobody_in_particular_is_not_for_us() {
        for (text, to_all) in [
            (r#"{"artifact_id":"a7","host_id":"db-01"}"#, false),
            (r#"{"artifact_id":"a7","target_id":"db-01"}"#, true),
            (r#"{"artifact_id":"a7","targets":["db-01","db-020"]}"#, true),
            (r#"{"artifact_id":"a7"}"#, true),
        ] {
            assert_eq!(
                parse(text.as_bytes(), "db-02", to_all),
                Ok(Command::NotForUs),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (text, part) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "artifact_id"),
            (r#"{"artifact_id":7}"#, "artifact_id"),
            (r#"{"artifact_id":""}"#, "empty"),
            (r#"{"artifact_id":"a\u0000"}"#, "control"),
            (
                r#"{"artifact_id":"a7","action":"format_disk"}"#,
                "not known",
            ),
            (
                r#"{"request_id":"q","action":"rollback_ebpf","targets":["db-02"]}"#,
                "artifact_id",
            ),
        ] {
            let why = parse(text.as_bytes(), "db-02", false).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
        let long = format!(r#"{{"artifact_id":"{}"}}"#, "a".repeat(MAX_BYTES));
        assert!(parse(long.as_bytes(), "db-02", false).is_err());
    }

    #[test]
    fn no_prefix_and_no_changed_byte_of_a_message_does_harm() {
        for (text, to_all) in SHAPES {
            for end in 0..text.len() {
                assert!(parse(&text.as_bytes()[..end], "db-02", to_all).is_err());
            }
            for at in 0..text.len() {
                for flip in [1, 0x20, 0x80, 0xff] {
                    let mut bytes = text.as_bytes().to_vec();
                    bytes[at] ^= flip;
                    let _ = parse(&bytes, "db-02", to_all);
                }
            }
        }
    }
}
