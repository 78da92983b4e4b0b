//! Random histories of listings, clocks, crashes, failures and breaches: what must always hold.
//!
//! `BPF_LIFECYCLE_RUNS` sets how many histories are played, `BPF_LIFECYCLE_SEED` where they begin.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::{Ask, START_OF_WALL, World, digest, entry, id};
use bpf_lifecycle::{
    Action, ArtifactId, Assigned, Caller, Digest, Event, Figures, Held, History, Hold, Measured,
    Memory, Outcome, ReturnTo, Running, Signal, State, Status, Step, Undo, Why,
};

const LONGEST_TTL: u64 = 500;
const TEN_YEARS: i64 = 315_360_000;

/// Numbers without pattern; xorshift.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

type Issue = (ArtifactId, Digest, Option<u64>);

fn issue(entry: &Assigned) -> Issue {
    (entry.id.clone(), entry.digest, entry.serial)
}

/// A history, and what an onlooker who knows nothing of the code concludes from it.
struct Play {
    numbers: Numbers,
    world: World,
    ask: Ask,
    /// Issues whose end was seen and that were not assigned anew since.
    ended: BTreeSet<Issue>,
    /// Issues that were said to be over while they did not run.
    said_over: BTreeSet<(ArtifactId, Digest)>,
    /// Until when a rolled-back digest is barred at least, in this boot.
    barred: BTreeMap<Digest, i64>,
    /// What the last fresh listing lacked.
    lacking: BTreeSet<ArtifactId>,
    /// How long each issue has run since it was assigned.
    lived: BTreeMap<Issue, u64>,
    last_wait: u64,
    /// The last event of each artifact that was not its end.
    open: BTreeMap<ArtifactId, Status>,
    told: usize,
    requests: u64,
    steps: BTreeMap<&'static str, u64>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut world = World::new();
        world.settings.quarantine.first_seconds = 100;
        world.settings.max_programs = 4;
        world.settings.brake.few = 2;
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        if numbers.one_in(2) {
            world.settings.return_to = ReturnTo::Previous;
        }
        Self {
            numbers,
            world,
            ask: Ask::Absent,
            ended: BTreeSet::new(),
            said_over: BTreeSet::new(),
            barred: BTreeMap::new(),
            lacking: BTreeSet::new(),
            lived: BTreeMap::new(),
            last_wait: 0,
            open: BTreeMap::new(),
            told: 0,
            requests: 0,
            steps: BTreeMap::new(),
        }
    }

    fn turn(&mut self) {
        match self.numbers.below(24) {
            0..=5 => self.list(),
            6..=11 => self.wait(),
            12 => {
                let jump = self.numbers.of(&[TEN_YEARS, -TEN_YEARS, 3_600, -3_600, 60]);
                self.world.now.wall_seconds += jump;
            }
            13 => self.reboot(),
            14 => self.world.forgets_to_note = self.numbers.one_in(2),
            15 => {
                let bad = (digest(self.some_digest()), self.numbers.one_in(2));
                self.world.failing.push(bad);
            }
            16 => self.world.failing.clear(),
            17 => self.disturb(),
            18..=20 => self.measure(),
            21 => self.ask_for_rollback(),
            22 => self.world.settings.max_programs = self.numbers.below(6) as usize,
            _ => self.operate(),
        }
        self.settle();
    }

    fn some_digest(&mut self) -> u8 {
        self.numbers.below(5) as u8
    }

    fn some_id(&mut self) -> ArtifactId {
        id(self.numbers.of(&["a", "b", "c", "d", "e", "f", "g", "h"]))
    }

    fn list(&mut self) {
        match self.numbers.below(8) {
            0 => self.ask = Ask::Absent,
            1 => self.ask = Ask::Kept,
            2 => {
                self.world.listed.clear();
                self.ask = Ask::Fresh;
            }
            _ => {
                for _ in 0..=self.numbers.below(4) {
                    self.change_listing();
                }
                self.ask = Ask::Fresh;
            }
        }
        if self.ask == Ask::Fresh {
            self.see_listing();
        }
    }

    fn change_listing(&mut self) {
        let changed = self.some_id();
        let before = self.world.listed.len();
        if self.numbers.one_in(3) {
            self.world.listed.retain(|entry| entry.id != changed);
            if self.world.listed.len() < before {
                return;
            }
        }
        let mut new = entry(changed.as_str());
        new.digest = digest(self.some_digest());
        new.ttl_seconds = self.numbers.of(&[60, 200, LONGEST_TTL]);
        new.priority = self.numbers.of(&[0, 0, 0, 1]);
        new.protected = self.numbers.one_in(4);
        new.parameters_digest = digest(self.numbers.below(2) as u8);
        if self.numbers.one_in(2) {
            new.serial = Some(self.numbers.below(4));
        }
        if self.numbers.one_in(4) {
            new.not_after = Some(START_OF_WALL + self.numbers.below(2_000) as i64);
        }
        if self.numbers.one_in(4) {
            "shared".clone_into(&mut new.name);
        }
        self.world.listed.retain(|entry| entry.id != changed);
        self.world.listed.push(new);
    }

    fn see_listing(&mut self) {
        let listed: BTreeSet<ArtifactId> = self
            .world
            .listed
            .iter()
            .map(|entry| entry.id.clone())
            .collect();
        let all = "abcdefgh".chars().map(|name| id(&name.to_string()));
        self.lacking = all.filter(|id| !listed.contains(id)).collect();
        self.ended.retain(|(id, ..)| listed.contains(id));
        self.lived.retain(|(id, ..), _| listed.contains(id));
    }

    fn wait(&mut self) {
        let seconds = self.numbers.of(&[1, 5, 30, 30, 45, 120]);
        self.world.wait(seconds);
        self.last_wait = seconds.unsigned_abs();
        for running in &self.world.running {
            *self.lived.entry(issue(&running.loaded)).or_default() += self.last_wait;
        }
    }

    fn reboot(&mut self) {
        let off = self.numbers.of(&[20, 100, 1_000, -TEN_YEARS, TEN_YEARS]);
        self.world.reboot(off);
        self.barred.clear();
    }

    fn disturb(&mut self) {
        let which = self.some_id();
        let kind = self.numbers.below(3);
        let meant = |running: &Running| running.loaded.id == which;
        match kind {
            0 => self.world.running.retain(|running| !meant(running)),
            1 => {
                // A crash in the middle of a replacement leaves two.
                let twin = self.world.running.iter().find(|running| meant(running));
                let twin = twin.cloned();
                self.world.running.extend(twin.map(|mut twin| {
                    twin.loaded.digest = digest(self.numbers.below(5) as u8);
                    twin.loaded_at -= 1;
                    twin
                }));
                self.world.running.dedup_by(|twin, one| {
                    twin.loaded.id == one.loaded.id && twin.loaded.digest == one.loaded.digest
                });
            }
            _ => {
                for running in self
                    .world
                    .running
                    .iter_mut()
                    .filter(|running| meant(running))
                {
                    running.state = State::Damaged;
                }
            }
        }
    }

    fn measure(&mut self) {
        let numbers = &mut self.numbers;
        self.world.measured = self
            .world
            .running
            .iter()
            .map(|running| Measured {
                id: running.loaded.id.clone(),
                digest: running.loaded.digest,
                figures: Figures {
                    errors: numbers.of(&[None, Some(0), Some(3), Some(300)]),
                    cpu_percent: numbers.of(&[None, Some(1.0), Some(90.0)]),
                    verifier_failed: numbers.one_in(20),
                    ..Figures::default()
                },
            })
            .collect();
    }

    fn ask_for_rollback(&mut self) {
        self.requests += 1;
        let signal = Signal {
            id: self.some_id(),
            caller: self.numbers.of(&[Caller::Orchestrator, Caller::Operator]),
            request_id: Some(self.requests.to_string()),
            remark: None,
        };
        let _ = self.world.memory.signal(signal);
    }

    fn operate(&mut self) {
        match self.numbers.below(3) {
            0 => self.world.memory.confirm_shrink(),
            1 => {
                let digest = digest(self.some_digest());
                self.world.memory.clear(&digest);
                self.barred.remove(&digest);
                self.ended.retain(|(_, ended, _)| *ended != digest);
            }
            _ => {
                self.world.memory = Memory::default();
                self.ended.clear();
                self.barred.clear();
                self.lived.clear();
                self.open.clear();
            }
        }
    }

    /// Plans and takes steps until there are no more, checking all the way.
    fn settle(&mut self) {
        let mut last = Vec::new();
        for _ in 0..40 {
            let plan = self.world.plan(self.ask);
            self.world.memory = plan.memory;
            self.world.events.extend(plan.events);
            if self.ask == Ask::Fresh {
                self.ask = Ask::Kept;
            }
            self.note_held(&plan.held);
            self.check_steps(&plan.steps);
            // A crash right after the memory was written down: the same is planned again.
            let again = self.world.plan(self.ask);
            assert_eq!(again.steps, plan.steps, "planned again before it was done");
            for step in &plan.steps {
                self.take(step);
            }
            self.check_events();
            if plan.steps.is_empty() {
                self.check_rest();
                return;
            }
            last = plan.steps;
        }
        panic!("it never settles: {last:#?}");
    }

    fn note_held(&mut self, held: &[Held]) {
        let over = held.iter().filter(|held| held.why == Hold::Expired);
        for held in over {
            let entry = self.world.listed.iter().find(|entry| entry.id == held.id);
            let entry = entry.expect("it is listed");
            self.said_over.insert((held.id.clone(), entry.digest));
        }
    }

    fn check_steps(&mut self, steps: &[Step]) {
        let mut touched = BTreeSet::new();
        for step in steps {
            for id in step.touches() {
                assert!(touched.insert(id.clone()), "{id} has two steps: {steps:#?}");
            }
            let runs = |id: &ArtifactId| self.world.running.iter().any(|one| one.loaded.id == *id);
            let listed = self.ask != Ask::Absent
                && self.world.listed.iter().any(|entry| entry.id == step.id);
            match &step.action {
                Action::Start { new, evicts, .. } => {
                    let stands_in = self.ask != Ask::Absent && self.stands_in(new);
                    assert!(listed || stands_in, "starts what is not listed: {step:?}");
                    assert!(evicts.as_ref().is_none_or(runs), "{step:?}");
                }
                Action::Replace { old, .. } => assert!(listed && runs(old), "{step:?}"),
                _ => assert!(runs(&step.id), "about what does not run: {step:?}"),
            }
            self.check_reason(step);
        }
    }

    /// Whether it may run in the place of an entry of its name that may not.
    fn stands_in(&self, new: &Assigned) -> bool {
        let mut listed = self.world.listed.iter();
        self.world.settings.return_to == ReturnTo::Previous
            && listed.any(|entry| entry.name == new.name && entry.digest != new.digest)
    }

    fn check_reason(&self, step: &Step) {
        match (&step.action, step.why) {
            (
                Action::Start {
                    evicts: Some(id), ..
                },
                _,
            ) => assert!(!self.is_protected(id, None)),
            (Action::Stop, Why::Evicted) => {
                assert!(!self.is_protected(&step.id, Some(step.digest)));
            }
            (Action::Stop, Why::Unassigned) => {
                assert!(self.lacking.contains(&step.id), "never missing: {step:?}");
                // A name that is still assigned goes over to its successor without a gap.
                let meant = |one: &&Running| one.loaded.id == step.id;
                let running = self.world.running.iter().find(meant).expect("it runs");
                let name = &running.loaded.name;
                let mut listed = self.world.listed.iter();
                assert!(
                    self.ask == Ask::Absent || listed.all(|entry| entry.name != *name),
                    "a gap: {step:?}"
                );
            }
            (Action::Stop, Why::Expired) => self.check_expiry(step),
            _ => {}
        }
        let (Action::Start { new, deadline, .. } | Action::Replace { new, deadline, .. }) =
            &step.action
        else {
            return;
        };
        assert!(!deadline.is_over(&self.world.now));
        assert!(deadline.seconds_left(&self.world.now) <= new.ttl_seconds);
        let now = self.world.now.boottime_seconds;
        let until = self.barred.get(&new.digest).copied().unwrap_or(now);
        assert!(until <= now, "barred until {until}, now {now}: {step:?}");
        let dead = |(id, digest, serial): &Issue| {
            *id == new.id && *digest == new.digest && *serial >= new.serial
        };
        assert!(!self.ended.iter().any(dead), "has ended: {step:?}");
    }

    /// Of a program of the same digest as listed, the listing says whether it is protected.
    fn is_protected(&self, id: &ArtifactId, digest: Option<Digest>) -> bool {
        let meant = |one: &&Running| {
            one.loaded.id == *id && digest.is_none_or(|digest| one.loaded.digest == digest)
        };
        let running = self.world.running.iter().find(meant).expect("it runs");
        let own = &running.loaded;
        let listed = self.world.listed.iter().find(|entry| {
            let replay = entry.serial < own.serial;
            self.ask != Ask::Absent && entry.id == *id && entry.digest == own.digest && !replay
        });
        running.loaded.protected && listed.is_none_or(|entry| entry.protected)
    }

    /// Nothing expires early: not by a jump of the wall clock if it has no signed end.
    fn check_expiry(&self, step: &Step) {
        let now = &self.world.now;
        let meant = |one: &&Running| one.loaded.id == step.id && one.loaded.digest == step.digest;
        let running = self.world.running.iter().find(meant).expect("it runs");
        let listed = self.world.listed.iter().filter(|entry| entry.id == step.id);
        let shorter = listed.clone().any(|entry| {
            entry.ttl_seconds < running.loaded.ttl_seconds
                || entry.not_after != running.loaded.not_after
        });
        let over = (step.id.clone(), step.digest);
        let ended = self.ended.contains(&issue(&running.loaded)) || self.said_over.contains(&over);
        assert!(
            running.deadline.is_over(now) || shorter || ended,
            "{step:?} with {} s left",
            running.deadline.seconds_left(now)
        );
    }

    fn take(&mut self, step: &Step) {
        *self.steps.entry(name(&step.action)).or_default() += 1;
        let before: Vec<Running> = self.world.running.clone();
        let worked = self.world.take(step);
        let most = self.world.settings.max_programs.max(before.len());
        assert!(self.world.running.len() <= most, "too many: {step:?}");
        let started = matches!(step.action, Action::Start { .. }) && worked;
        assert!(
            !started || self.world.running.len() <= self.world.settings.max_programs,
            "too many: {step:?}"
        );
        let meant = |one: &&Running| one.loaded.id == step.id && one.loaded.digest == step.digest;
        let target = before.iter().find(meant);
        let over_by_boot =
            |one: &Running| one.deadline.boottime_seconds <= self.world.now.boottime_seconds;
        match (&step.action, target) {
            (Action::Stop, Some(target))
                if worked && step.why == Why::Expired && over_by_boot(target) =>
            {
                self.see_end(&target.loaded);
            }
            (Action::RollBack { .. }, Some(target)) if worked => {
                self.see_end(&target.loaded);
                let until = self.world.now.boottime_seconds + 100;
                self.barred.insert(target.loaded.digest, until);
            }
            _ => {}
        }
    }

    /// It is over for as long as it stays assigned.
    fn see_end(&mut self, entry: &Assigned) {
        if !self.lacking.contains(&entry.id) {
            self.ended.insert(issue(entry));
        }
    }

    /// initiated → cancelled, or → in_progress → failed … → completed.
    fn check_events(&mut self) {
        let new: Vec<Event> = self.world.events[self.told..].to_vec();
        self.told = self.world.events.len();
        for event in new {
            let before = self.open.get(&event.artifact_id).copied();
            let undoing = matches!(before, Some(Status::InProgress | Status::Failed));
            let alone = event.digest.is_none() || event.error.is_some();
            match event.status {
                Status::Initiated => assert!(!undoing, "twice: {event:?}"),
                Status::InProgress | Status::Cancelled => {
                    assert_eq!(before, Some(Status::Initiated), "{event:?}");
                }
                Status::Failed | Status::Completed => {
                    assert!(undoing || alone, "out of nothing: {before:?} {event:?}");
                }
                other => panic!("{other}"),
            }
            if event.digest.is_none() || event.status == Status::Completed && !undoing {
                continue; // a request for what does not run, a refusal at the load
            }
            match event.status {
                Status::Cancelled | Status::Completed => self.open.remove(&event.artifact_id),
                status => self.open.insert(event.artifact_id, status),
            };
        }
    }

    /// All steps are taken: nothing runs that should not.
    fn check_rest(&self) {
        let world = &self.world;
        for running in &world.running {
            let name = &running.loaded.id;
            assert!(!running.deadline.is_over(&world.now), "{name} is over");
            let lived = self.lived.get(&issue(&running.loaded)).copied();
            assert!(
                lived.unwrap_or(0) <= LONGEST_TTL + self.last_wait,
                "{name} lives for ever: {lived:?}"
            );
        }
        let protected = world.running.iter().filter(|one| one.loaded.protected);
        let most = world.settings.max_programs.max(protected.count());
        assert!(
            world.running.len() <= most,
            "more than {most}: {:#?} {:#?}",
            world.running,
            (&world.listed, world.plan(self.ask).held)
        );
        let slots: BTreeSet<&str> = world
            .running
            .iter()
            .map(|one| one.loaded.id.as_str())
            .collect();
        assert_eq!(slots.len(), world.running.len(), "two of one");
        assert!(world.memory.history().len() <= History::CAPACITY);
    }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Start { evicts: None, .. } => "start",
        Action::Start { .. } => "evict",
        Action::Replace { .. } => "replace",
        Action::UpdateParameters { .. } => "update",
        Action::Amend { .. } => "amend",
        Action::Stop => "stop",
        Action::RollBack { undo: Undo::Unload } => "unload",
        Action::RollBack { .. } => "return",
        _ => "other",
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn no_history_breaks_a_rule() {
    let first = setting("BPF_LIFECYCLE_SEED", 1);
    let runs = setting("BPF_LIFECYCLE_RUNS", 3_000);
    let mut steps: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in first..first + runs {
        let played = std::panic::catch_unwind(|| {
            let mut play = Play::new(seed);
            for _ in 0..40 {
                play.turn();
            }
            play.steps
        });
        let Ok(taken) = played else {
            panic!("BPF_LIFECYCLE_SEED={seed} BPF_LIFECYCLE_RUNS=1 breaks a rule");
        };
        for (name, number) in taken {
            *steps.entry(name).or_default() += number;
        }
    }
    println!("{steps:?}");
    for kind in [
        "start", "evict", "replace", "update", "amend", "stop", "unload", "return",
    ] {
        assert!(
            runs < 100 || steps.contains_key(kind),
            "no {kind} in any history"
        );
    }
}

#[test]
fn the_same_input_gives_the_same_plan() {
    let mut world = World::new();
    world.listed = vec![entry("a"), entry("b")];
    assert_eq!(world.plan(Ask::Fresh), world.plan(Ask::Fresh));
    let outcome = |world: &mut World| {
        let plan = world.plan(Ask::Fresh);
        plan.steps
            .iter()
            .map(|step| world.execute(step))
            .collect::<Vec<_>>()
    };
    assert_eq!(outcome(&mut world), [Outcome::Done, Outcome::Done]);
}
