//! Short scripts against a host: `command => what comes of it`, one a line.

use bpf_lifecycle::{
    Action, Answer, Assigned, Caller, Counting, Event, Figures, Held, Hold, Measured, Memory,
    OnExit, ReturnTo, Signal, State, Step, Undo,
};

use crate::world::{Ask, START_OF_WALL, World, digest, entry, id};

/// Commands that only prepare what the next one meets.
const PREPARE: &[&str] = &[
    "fail",
    "refuse",
    "stick",
    "mend",
    "measure",
    "lose-notes",
    "forget",
];

/// Runs a script. Each line is a command, `=>`, the steps taken until there are no more; behind
/// `|` what is held by the last plan; behind `!` the events. A line without `=>` expects nothing.
pub(crate) fn check(script: &str) {
    let mut world = World::new();
    let mut ask = Ask::Absent;
    for line in script.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (command, expected) = line.split_once("=>").unwrap_or((line, ""));
        obey(&mut world, command.trim(), &mut ask);
        if PREPARE.contains(&command.split_whitespace().next().unwrap()) {
            continue;
        }
        let (steps, held) = world.settle(ask);
        if ask == Ask::Fresh {
            ask = Ask::Kept;
        }
        let got = said(&steps, &held, &std::mem::take(&mut world.events));
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(got, expected, "after `{command}` in:\n{script}");
        // Nothing has changed: nothing is to be done.
        let again = world.plan(ask);
        if world.stuck.is_empty() {
            assert!(again.steps.is_empty(), "{command}: {:#?}", again.steps);
        }
    }
}

fn obey(world: &mut World, command: &str, ask: &mut Ask) {
    let words: Vec<&str> = command.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<i64>().unwrap();
    match words[0] {
        "list" => {
            world.listed = words[1..].iter().map(|word| parsed(word)).collect();
            *ask = Ask::Fresh;
        }
        "again" => *ask = Ask::Fresh,
        "absent" => *ask = Ask::Absent,
        "wait" => world.wait(number(1)),
        "wall" => world.now.wall_seconds += number(1),
        "reboot" => world.reboot(number(1)),
        "forget" => world.memory = Memory::default(),
        "lose-notes" => world.forgets_to_note = words[1] == "on",
        "lose" => world
            .running
            .retain(|running| running.loaded.id != id(words[1])),
        "damage" => state(world, words[1], State::Damaged),
        "busy" => state(world, words[1], State::Busy),
        "rest" => state(world, words[1], State::Running),
        "measure" => {
            world.measured = words[1..].iter().map(|word| measured(word)).collect();
        }
        "fail" => world.failing.push((parsed(words[1]).digest, false)),
        "refuse" => world.failing.push((parsed(words[1]).digest, true)),
        "mend" => {
            world.failing.clear();
            world.stuck.clear();
        }
        "stick" => drop(world.stuck.insert(id(words[1]))),
        "clear" => world.memory.clear(&parsed(words[1]).digest),
        "confirm" => world.memory.confirm_shrink(),
        "ask" => {
            let answer = world.memory.signal(Signal {
                id: id(words[1]),
                caller: if words[2] == "orchestrator" {
                    Caller::Orchestrator
                } else {
                    Caller::Operator
                },
                request_id: Some(words[3].to_owned()),
                remark: None,
            });
            let expected = words.get(4).copied().unwrap_or("taken");
            assert_eq!(format!("{answer:?}").to_lowercase(), expected);
            assert!(answer != Answer::Refused);
        }
        "set" => set(world, words[1]),
        other => panic!("no such command: {other}"),
    }
}

fn set(world: &mut World, assignment: &str) {
    let (key, value) = assignment.split_once('=').unwrap();
    let settings = &mut world.settings;
    match key {
        "max" => settings.max_programs = value.parse().unwrap(),
        "percent" => settings.brake.percent = value.parse().unwrap(),
        "delay" => settings.rollback_delay_seconds = value.parse().unwrap(),
        "counting" => {
            assert_eq!(value, "cumulative");
            settings.counting = Counting::Cumulative;
        }
        "return" => {
            assert_eq!(value, "previous");
            settings.return_to = ReturnTo::Previous;
        }
        "verifier" => settings.limits.verifier_failure = value == "true",
        other => panic!("no such setting: {other}"),
    }
}

fn state(world: &mut World, name: &str, state: State) {
    for running in &mut world.running {
        if running.loaded.id == id(name) {
            running.state = state;
        }
    }
}

/// `id[@digest][:key=value,…]`
fn parsed(word: &str) -> Assigned {
    let (head, terms) = word.split_once(':').unwrap_or((word, ""));
    let (name, number) = head.split_once('@').unwrap_or((head, "1"));
    let mut entry = entry(name);
    entry.digest = digest(number.parse().unwrap());
    for term in terms.split(',').filter(|term| !term.is_empty()) {
        let (key, value) = term.split_once('=').unwrap_or((term, ""));
        match key {
            "name" => value.clone_into(&mut entry.name),
            "serial" => entry.serial = Some(value.parse().unwrap()),
            "ttl" => entry.ttl_seconds = value.parse().unwrap(),
            "end" => {
                let end: i64 = value.parse().unwrap();
                entry.not_after = Some(START_OF_WALL + end);
            }
            "params" => entry.parameters_digest = digest(value.parse().unwrap()),
            "prio" => entry.priority = value.parse().unwrap(),
            "protected" => entry.protected = true,
            "persist" => entry.on_exit = OnExit::Persist,
            "violations" => entry.limits.max_violations = Some(value.parse().unwrap()),
            other => panic!("no such term: {other}"),
        }
    }
    entry
}

/// `id[@digest]:errors=1,cpu=2.5,…`
fn measured(word: &str) -> Measured {
    let (head, values) = word.split_once(':').unwrap();
    let of = parsed(head);
    let mut figures = Figures::default();
    for value in values.split(',').filter(|value| !value.is_empty()) {
        let (key, value) = value.split_once('=').unwrap();
        match key {
            "errors" => figures.errors = Some(value.parse().unwrap()),
            "violations" => figures.violations = Some(value.parse().unwrap()),
            "cpu" => figures.cpu_percent = Some(value.parse().unwrap()),
            "latency" => figures.latency_ms = Some(value.parse().unwrap()),
            "memory" => figures.memory_kb = Some(value.parse().unwrap()),
            "verifier" => figures.verifier_failed = value == "failed",
            other => panic!("no such figure: {other}"),
        }
    }
    Measured {
        id: of.id,
        digest: of.digest,
        figures,
    }
}

fn said(steps: &[Step], held: &[Held], events: &[Event]) -> String {
    let steps: Vec<String> = steps.iter().map(step_said).collect();
    let held: Vec<String> = held.iter().map(held_said).collect();
    let events: Vec<String> = events.iter().map(event_said).collect();
    let part = |mark: &str, texts: &[String]| match texts {
        [] => String::new(),
        texts => format!("{mark}{}", texts.join(", ")),
    };
    let parts = [part("", &steps), part("| ", &held), part("! ", &events)];
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(" ")
}

fn named(entry: &Assigned) -> String {
    format!("{}@{}", entry.id, entry.digest.0[0])
}

fn step_said(step: &Step) -> String {
    let own = format!("{}@{}", step.id, step.digest.0[0]);
    match &step.action {
        Action::Start { evicts: None, .. } => format!("start {own}"),
        Action::Start {
            evicts: Some(evicted),
            ..
        } => format!("start {own} evicting {evicted}"),
        Action::Replace { old, new, .. } => format!("replace {old} by {}", named(new)),
        Action::UpdateParameters { .. } => format!("update {own}"),
        Action::Amend { .. } => format!("amend {own}"),
        Action::Stop => format!("stop {own} {}", step.why),
        Action::RollBack { undo: Undo::Unload } => format!("undo {own}"),
        Action::RollBack {
            undo: Undo::Return { to, .. },
        } => format!("undo {own} to {}", named(to)),
        other => panic!("{other:?}"),
    }
}

fn held_said(held: &Held) -> String {
    let why = match held.why {
        Hold::Expired => "expired".to_owned(),
        Hold::RolledBack => "rolled-back".to_owned(),
        Hold::Quarantined { .. } => "barred".to_owned(),
        Hold::BackingOff { .. } => "backing-off".to_owned(),
        Hold::Full => "full".to_owned(),
        Hold::AllProtected => "all-protected".to_owned(),
        Hold::Superseded => "superseded".to_owned(),
        Hold::OlderSerial => "older".to_owned(),
        Hold::ListingShrunk {
            missing,
            of,
            answers,
            needed,
        } => format!("missing({missing}/{of},{answers}/{needed})"),
        other => panic!("{other:?}"),
    };
    format!("{} {why}", held.id)
}

fn event_said(event: &Event) -> String {
    let mut words = vec![
        event.artifact_id.to_string(),
        event.status.to_string(),
        event.reason.to_string(),
    ];
    words.extend(event.threshold.map(|threshold| threshold.to_string()));
    words.extend(event.value.clone());
    words.extend(event.request_id.clone());
    words.join(" ")
}
