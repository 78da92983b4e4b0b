//! Which subjects this host publishes to and listens on.

use crate::cli;
use crate::programs::outbox::Subject;

/// The subjects of one host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Subjects {
    telemetry: String,
    /// The host's id as one word of a subject.
    word: String,
    /// The host's id as it is, where that is something else and can stand in a subject.
    raw: Option<String>,
    flat: bool,
}

/// A subject, and what tells its copy of a message from those on others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) subject: String,
    pub(super) mark: &'static str,
}

impl Subjects {
    pub(super) fn new(host: &str, nats: &cli::Nats) -> Self {
        let word = one_word(host);
        let raw = (host != word && can_stand(host)).then(|| host.to_owned());
        Self {
            telemetry: nats.telemetry_subject.clone(),
            word,
            raw,
            flat: nats.flat_subjects,
        }
    }

    /// Where a message goes: the host's own subject, on which nobody else can speak, and the one of all hosts.
    pub(super) fn of(&self, subject: Subject) -> Vec<Place> {
        let flat = match subject {
            Subject::Telemetry => self.telemetry.as_str(),
            Subject::RollbackStatus => "agent.rollback.status",
            Subject::Alerts => "agent.alerts.threshold",
        };
        let own = Place {
            subject: format!("{flat}.{}", self.word),
            mark: "",
        };
        let all = self.flat.then(|| Place {
            subject: flat.to_owned(),
            mark: "-flat",
        });
        std::iter::once(own).chain(all).collect()
    }

    /// Where requests for this host alone come in; the first is the one that streams are asked for.
    pub(super) fn requests(&self) -> Vec<String> {
        let hosts = std::iter::once(&self.word).chain(&self.raw);
        hosts
            .map(|host| format!("orchestrator.rollback.{host}"))
            .collect()
    }

    /// Where requests for all hosts come in, where those are listened to.
    pub(super) fn requests_for_all(&self) -> &'static [&'static str] {
        if self.flat {
            &["actions.rollback.ebpf", "actions.apply.ebpf"]
        } else {
            &[]
        }
    }

    /// The host's id as one word, for names that take nothing else.
    pub(super) fn word(&self) -> &str {
        &self.word
    }
}

/// A dot would make two words of it, `*` and `>` stand for others' ids.
fn one_word(host: &str) -> String {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && !".*>".contains(c);
    host.chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// Whether the id can be the end of a subject that stands for nothing but itself.
fn can_stand(host: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    !host.contains(['*', '>'])
        && !host.contains(blank)
        && host.split('.').all(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(host: &str, flat: bool) -> Subjects {
        Subjects {
            telemetry: "agent.telemetry".to_owned(),
            word: one_word(host),
            raw: (host != one_word(host) && can_stand(host)).then(|| host.to_owned()),
            flat,
        }
    }

    #[test]
    fn the_id_of_a_host_is_one_word() {
        for (host, requests) in [
            ("db-02", &["orchestrator.rollback.db-02"][..]),
            (
                "db-02.example.org",
                &[
                    "orchestrator.rollback.db-02_example_org",
                    "orchestrator.rollback.db-02.example.org",
                ],
            ),
            ("db 02", &["orchestrator.rollback.db_02"]),
            ("a.>", &["orchestrator.rollback.a__"]),
            ("*", &["orchestrator.rollback._"]),
            ("a..b", &["orchestrator.rollback.a__b"]),
            ("ä", &["orchestrator.rollback.ä"]),
        ] {
            assert_eq!(subjects(host, true).requests(), requests, "{host}");
        }
    }

    #[test]
    fn a_hardened_server_sees_only_subjects_of_this_host() {
        let own: Vec<String> = [Subject::Telemetry, Subject::RollbackStatus, Subject::Alerts]
            .into_iter()
            .flat_map(|subject| subjects("a.b", false).of(subject))
            .map(|place| place.subject)
            .collect();
        assert_eq!(
            own,
            [
                "agent.telemetry.a_b",
                "agent.rollback.status.a_b",
                "agent.alerts.threshold.a_b"
            ]
        );
        assert!(subjects("a.b", false).requests_for_all().is_empty());
        assert_eq!(subjects("a.b", true).of(Subject::Telemetry).len(), 2);
    }
}
