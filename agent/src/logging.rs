//! Events of this program as lines: for people, or one JSON object each.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::cli::{Log, LogFormat, LogOutput};
use crate::clock::rfc3339;
use crate::logfile::LogFile;
use crate::table::printable;

/// Events of other crates (connection details of hyper, say) are not ours to log.
const OURS: &str = "sigma_agent";

/// The most verbose level that is logged, as a rank: a reload changes it while running.
static MAX_RANK: AtomicUsize = AtomicUsize::new(3);

/// Starts logging; a second call in one process changes only the level. Fails if a log file was asked for and cannot be opened.
pub(crate) fn init(log: &Log, under_service_manager: bool) -> Result<(), String> {
    set_level(log.level);
    let terminal = match log.output {
        LogOutput::Stderr => std::io::stderr().is_terminal(),
        LogOutput::Stdout => std::io::stdout().is_terminal(),
    };
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => under_service_manager && !terminal,
    };
    let file = match &log.file {
        Some((path, bytes)) => Some(LogFile::open(path, *bytes)?),
        None => None,
    };
    // Fails only where logging is already on, as in tests that start the agent twice.
    let _ = tracing::subscriber::set_global_default(Lines {
        json,
        output: log.output,
        file: file.map(Mutex::new),
    });
    Ok(())
}

/// Changes the level while running.
pub(crate) fn set_level(level: Level) {
    MAX_RANK.store(rank(level), Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

fn rank(level: Level) -> usize {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

struct Lines {
    json: bool,
    output: LogOutput,
    file: Option<Mutex<LogFile>>,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OURS)
            && rank(*metadata.level()) <= MAX_RANK.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match MAX_RANK.load(Ordering::Relaxed) {
            0 | 1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = rfc3339(SystemTime::now());
        let level = *event.metadata().level();
        if let Some(file) = &self.file {
            let line = fields.json(&now, level);
            file.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(line.as_bytes());
        }
        let line = if self.json {
            fields.json(&now, level)
        } else {
            fields.human(&now, level)
        };
        // One write per line, so that lines never mix; a closed output stops nobody.
        let _ = match self.output {
            LogOutput::Stderr => std::io::stderr().write_all(line.as_bytes()),
            LogOutput::Stdout => std::io::stdout().write_all(line.as_bytes()),
        };
    }

    // Spans are not used here; the identifier only has to be non-zero.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The fields of one event, in the order in which they were written.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }

    fn human(&self, now: &str, level: Level) -> String {
        let mut line = format!("{now} {level:>5} {}", printable(&self.message));
        for (name, value) in &self.others {
            let text = match value {
                Value::String(text)
                    if !text.is_empty()
                        && text
                            .chars()
                            .all(|c| c.is_alphanumeric() || "-._:/[]%+@,".contains(c)) =>
                {
                    text.clone()
                }
                other => other.to_string(),
            };
            // Writing to a String cannot fail.
            let _ = write!(line, " {name}={}", printable(&text));
        }
        line.push('\n');
        line
    }

    fn json(&self, now: &str, level: Level) -> String {
        let mut object = Map::new();
        object.insert("timestamp".to_owned(), now.into());
        object.insert(
            "level".to_owned(),
            level.as_str().to_ascii_lowercase().into(),
        );
        object.insert("msg".to_owned(), self.message.as_str().into());
        for (name, value) in &self.others {
            object.insert((*name).to_owned(), value.clone());
        }
        format!("{}\n", Value::Object(object))
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields {
            message: "heartbeat failed".to_owned(),
            others: vec![
                ("error", "bad \u{1b}[31m\nthing".into()),
                ("status", 502.into()),
                ("host", "vps-1".into()),
            ],
        }
    }

    #[test]
    fn a_line_for_people_has_no_control_characters() {
        assert_eq!(
            fields().human("2026-11-20T11:09:12Z", Level::WARN),
            "2026-11-20T11:09:12Z  WARN heartbeat failed error=\"bad \\u001b[31m\\nthing\" status=502 host=vps-1\n"
        );
    }

    #[test]
    fn a_json_line_is_one_object() {
        let line = fields().json("2026-11-20T11:09:12Z", Level::WARN);
        let value: Value = serde_json::from_str(line.trim_end()).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(value["level"], "warn");
        assert_eq!(value["msg"], "heartbeat failed");
        assert_eq!(value["status"], 502);
        assert_eq!(value["error"], "bad \u{1b}[31m\nthing");
    }
}
