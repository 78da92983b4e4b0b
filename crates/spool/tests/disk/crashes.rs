//! The process ends, or the power goes, in the middle of each single operation on the disk.

use spool::{Coding, Sync};

use crate::story::{End, Story};

const STEPS: u64 = 60;
const KINDS: [(Coding, Sync); 4] = [
    (Coding::Bytes, Sync::Always),
    (Coding::Bytes, Sync::OnSegment),
    (Coding::Words, Sync::Always),
    (Coding::Words, Sync::OnSegment),
];

/// So many at least; `SPOOL_CRASHES` asks for more.
pub fn wanted(default: u64) -> u64 {
    std::env::var("SPOOL_CRASHES").map_or(default, |text| text.parse().unwrap())
}

/// How many operations a story takes if nothing goes wrong.
fn length(seed: u64, (coding, sync): (Coding, Sync)) -> u64 {
    let mut story = Story::new(seed, coding, sync);
    story.open().unwrap();
    story.live(STEPS);
    story.disk.operations()
}

/// Returns the number of crashes.
fn crash_everywhere(seed: u64, kind: (Coding, Sync)) -> u64 {
    let ends = [End::Kill, End::Power(0), End::Power(50), End::Power(90)];
    let length = length(seed, kind);
    for at in 0..length {
        for end in ends {
            let mut story = Story::new(seed, kind.0, kind.1);
            story.disk.fail(Some(crate::simulated::Fault::Crash { at }));
            if story.open().is_ok() {
                story.live(STEPS);
            }
            assert!(
                story.disk.crashed(),
                "{kind:?} {seed}: operation {at} never came"
            );
            story.go_down(end);
            story.live(5);
            story.go_down(End::Kill);
        }
    }
    length * ends.len() as u64
}

#[test]
fn a_crash_in_any_operation_loses_nothing_and_repeats_nothing() {
    let wanted = wanted(4_000);
    let (mut crashes, mut seed) = (0, 0);
    while crashes < wanted {
        for kind in KINDS {
            crashes += crash_everywhere(seed, kind);
        }
        seed += 1;
    }
    println!(
        "{crashes} crashes, in each operation of {} stories",
        seed * 4
    );
}

#[test]
fn one_crash_after_the_other_in_one_life() {
    let wanted = wanted(2_000);
    let (mut crashes, mut seed) = (0, 1000);
    while crashes < wanted {
        let (coding, sync) = KINDS[usize::try_from(seed % 4).unwrap()];
        let mut story = Story::new(seed, coding, sync);
        story.open().unwrap();
        for round in 0..50 {
            let at = story.disk.operations() + (seed * 31 + round * 17) % 97;
            story.disk.fail(Some(crate::simulated::Fault::Crash { at }));
            story.live(STEPS);
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
