//! The process ends, or the power goes, in the middle of each single operation on the disk.

use spool::{Coding, Sync};

use crate::simulated::Fault;
use crate::story::{End, Story};

const KINDS: [(Coding, Sync); 4] = [
    (Coding::Bytes, Sync::Always),
    (Coding::Bytes, Sync::OnSegment),
    (Coding::Words, Sync::Always),
    (Coding::Words, Sync::OnSegment),
];

/// So many at least; `SPOOL_CRASHES` asks for more.
fn wanted(default: u64) -> u64 {
    std::env::var("SPOOL_CRASHES").map_or(default, |text| text.parse().unwrap())
}

struct Life {
    seed: u64,
    kind: (Coding, Sync),
    hoards: bool,
    steps: u64,
}

impl Life {
    fn begin(&self) -> Story {
        let mut story = Story::new(self.seed, self.kind.0, self.kind.1);
        story.hoards = self.hoards;
        story
    }

    /// How many operations it takes if nothing goes wrong.
    fn length(&self) -> u64 {
        let mut healthy = self.begin();
        healthy.open().unwrap();
        healthy.live(self.steps);
        healthy.disk.operations()
    }

    fn crash(&self, at: u64, end: End) {
        let mut story = self.begin();
        story.disk.fail(Some(Fault::Crash { at }));
        if story.open().is_ok() {
            story.live(self.steps);
        }
        assert!(story.disk.crashed(), "operation {at} never came");
        story.go_down(end);
        story.live(5);
        story.go_down(End::Kill);
    }
}

fn power(at: u64) -> End {
    End::Power([0, 50, 90][usize::try_from(at % 3).unwrap()])
}

#[test]
fn a_crash_in_any_operation_loses_nothing_and_repeats_nothing() {
    let wanted = wanted(2_000);
    let (mut crashes, mut seed) = (0, 0);
    while crashes < wanted {
        let kind = KINDS[usize::try_from(seed % 4).unwrap()];
        let (hoards, steps) = (false, 60);
        let life = Life {
            seed,
            kind,
            hoards,
            steps,
        };
        for at in 0..life.length() {
            life.crash(at, End::Kill);
            life.crash(at, power(at));
            crashes += 2;
        }
        seed += 1;
    }
    println!("{crashes} crashes, in each operation of {seed} lives");
}

#[test]
fn a_crash_while_the_oldest_are_dropped_loses_no_others() {
    let mut crashes = 0;
    for (seed, kind) in [(77, KINDS[0]), (78, KINDS[3])] {
        let (hoards, steps) = (true, 45);
        let life = Life {
            seed,
            kind,
            hoards,
            steps,
        };
        for at in (0..life.length()).step_by(2) {
            life.crash(at, if at % 4 == 0 { End::Kill } else { power(at) });
            crashes += 1;
        }
    }
    println!("{crashes} crashes, in every second operation of 2 lives that drop records");
}

#[test]
fn one_crash_after_the_other_in_one_life() {
    let wanted = wanted(1_000);
    let (mut crashes, mut seed) = (0, 1000);
    while crashes < wanted {
        let (coding, sync) = KINDS[usize::try_from(seed % 4).unwrap()];
        let mut story = Story::new(seed, coding, sync);
        story.open().unwrap();
        for round in 0..50 {
            let at = story.disk.operations() + (seed * 31 + round * 17) % 97;
            story.disk.fail(Some(Fault::Crash { at }));
            story.live(60);
            story.go_down(if round % 2 == 0 {
                End::Kill
            } else {
                End::Power(round % 101)
            });
            crashes += 1;
        }
        seed += 1;
    }
    println!("{crashes} crashes in {} lives", seed - 1000);
}
