//! Limits: what is exceeded, for how long, and what was asked for.

use std::collections::BTreeMap;

use crate::adopt::Role;
use crate::figures::Count;
use crate::plan::Draft;
use crate::program::{Breach, Program, Stage, Window};
use crate::retry::Retry;
use crate::signal::Signal;
use crate::{
    ArtifactId, Counting, Digest, Figures, Limits, Now, Settings, State, Status, Threshold,
};

impl Window {
    pub(crate) fn opened(figures: &Figures, now: &Now) -> Self {
        Self {
            began: now.boottime_seconds,
            errors: figures.errors,
            violations: figures.violations,
        }
    }
}

impl Draft<'_> {
    /// Looks at the figures of all that run.
    pub(crate) fn watch(&mut self) {
        let figures: BTreeMap<(&ArtifactId, Digest), &Figures> = self
            .at
            .measured
            .iter()
            .map(|measured| ((&measured.id, measured.digest), &measured.figures))
            .collect();
        for role in self.roles.clone() {
            let watched = role.keeps && role.running.state == State::Running;
            let whose = (role.id(), role.loaded().digest);
            if let Some(figures) = figures.get(&whose).filter(|_| watched) {
                self.check(role, figures);
            }
        }
    }

    fn check(&mut self, role: Role<'_>, figures: &Figures) {
        let (settings, now) = (self.at.settings, &self.at.now);
        let Some(program) = self.memory.programs.get_mut(role.id()) else {
            return;
        };
        let limits = settings.limits.with(&role.terms().limits);
        let refused = limits.verifier_failure && figures.verifier_failed;
        if !program.is_check_due(refused, settings, now) {
            return;
        }
        let exceeded = program.exceeded(&limits, figures, settings, now);
        program.window = Some(Window::opened(figures, now));
        match (program.breach.take(), exceeded) {
            (None, None) => {}
            (None, Some((threshold, value))) => {
                let breach = Breach {
                    threshold: Some(threshold),
                    value: Some(value),
                    figures: Some(figures.clone()),
                    reason: threshold.reason(),
                    ..Breach::of(role)
                };
                let delay = settings.rollback_delay_seconds;
                self.begin(role.id(), breach, if refused { 0 } else { delay });
            }
            (Some(breach), None) => self.tell(role.id(), &breach, Status::Cancelled),
            (Some(breach), Some(_)) => self.act(role.id(), breach),
        }
    }

    /// Turns what was asked for into rollbacks without delay.
    pub(crate) fn take_signals(&mut self) {
        for signal in std::mem::take(&mut self.memory.signals) {
            let meant = |role: &&Role<'_>| role.keeps && *role.id() == signal.id;
            match self.roles.iter().find(meant).copied() {
                None => {
                    let event = signal.failed("not running", self.at.now.wall_seconds);
                    let event = self.memory.record(event);
                    self.events.push(event);
                }
                Some(role) if role.running.state == State::Busy => self.memory.signals.push(signal),
                Some(role) => self.obey(role, signal),
            }
        }
    }

    fn obey(&mut self, role: Role<'_>, signal: Signal) {
        let breach = self
            .memory
            .programs
            .get_mut(role.id())
            .and_then(|program| program.breach.as_mut());
        match breach {
            // It is being rolled back: the end of that answers this request too.
            Some(breach) if matches!(breach.stage, Stage::Acting(_)) => {
                breach.request_id = breach.request_id.take().or(signal.request_id);
                breach.remark = breach.remark.take().or(signal.remark);
            }
            _ => {
                let breach = Breach {
                    reason: signal.caller.reason(),
                    request_id: signal.request_id,
                    remark: signal.remark,
                    ..Breach::of(role)
                };
                self.begin(role.id(), breach, 0);
            }
        }
    }

    fn begin(&mut self, id: &ArtifactId, mut breach: Breach, delay_seconds: u64) {
        self.tell(id, &breach, Status::Initiated);
        if delay_seconds == 0 {
            self.act(id, breach);
            return;
        }
        breach.stage = Stage::Waiting {
            until: self.at.now.after(delay_seconds),
        };
        self.set_breach(id, breach);
    }

    fn act(&mut self, id: &ArtifactId, mut breach: Breach) {
        self.tell(id, &breach, Status::InProgress);
        breach.stage = Stage::Acting(Retry {
            failures: 0,
            at: self.at.now.boottime_seconds,
        });
        self.set_breach(id, breach);
    }

    fn set_breach(&mut self, id: &ArtifactId, breach: Breach) {
        if let Some(program) = self.memory.programs.get_mut(id) {
            program.breach = Some(breach);
        }
    }

    fn tell(&mut self, id: &ArtifactId, breach: &Breach, status: Status) {
        let event = self.memory.record(breach.event(id, status, &self.at.now));
        self.events.push(event);
    }
}

impl Breach {
    /// An empty one of what runs.
    fn of(role: Role<'_>) -> Self {
        Self {
            digest: role.loaded().digest,
            serial: role.loaded().serial,
            reason: crate::Reason::Manual,
            threshold: None,
            value: None,
            figures: None,
            request_id: None,
            remark: None,
            stage: Stage::Waiting { until: 0 },
        }
    }
}

impl Program {
    /// A refusal of the verifier waits neither for the interval nor for the delay.
    fn is_check_due(&self, refused: bool, settings: &Settings, now: &Now) -> bool {
        match self.breach.as_ref().map(|breach| breach.stage) {
            Some(Stage::Acting(_)) => false,
            Some(Stage::Waiting { until }) => refused || now.boottime_seconds >= until,
            None => {
                let interval = settings.check_interval_seconds.max(1);
                let open = self.window.map(|window| elapsed(window, now));
                refused || open.is_none_or(|seconds| seconds >= interval)
            }
        }
    }

    fn exceeded(
        &self,
        limits: &Limits,
        figures: &Figures,
        settings: &Settings,
        now: &Now,
    ) -> Option<(Threshold, String)> {
        let interval_seconds = settings.check_interval_seconds.max(1);
        let count = |total: Option<u64>, base: fn(&Window) -> Option<u64>| match settings.counting {
            Counting::Cumulative => total.map(|number| Count {
                number,
                over_seconds: interval_seconds,
                interval_seconds,
            }),
            Counting::Window => {
                let window = self.window?;
                let (total, base) = (total?, base(&window)?);
                Some(Count {
                    // Less than before: the counter began anew, and all it shows is new.
                    number: total.checked_sub(base).unwrap_or(total),
                    over_seconds: elapsed(window, now).max(1),
                    interval_seconds,
                })
            }
        };
        let errors = count(figures.errors, |window| window.errors);
        let violations = count(figures.violations, |window| window.violations);
        limits.first_exceeded(errors, violations, figures)
    }
}

fn elapsed(window: Window, now: &Now) -> u64 {
    u64::try_from(now.boottime_seconds.saturating_sub(window.began)).unwrap_or(0)
}
