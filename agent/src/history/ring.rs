//! Two rings: the last five minutes as they were read, the last hour every twenty seconds.

use std::collections::VecDeque;
use std::time::Duration;

use super::figures::{Counters, Figures};

/// What the fine ring holds at most: five minutes, read every two seconds.
const FINE: usize = 150;

/// What the coarse ring holds at most: an hour.
const COARSE: usize = 180;

/// How far back the fine ring goes.
const FINE_AGE: Duration = Duration::from_secs(300);

/// Between two entries of the coarse ring; a loop is never early, but its clock may be.
const COARSE_STEP: Duration = Duration::from_millis(19_500);

#[derive(Default)]
pub(super) struct Rings {
    fine: VecDeque<Figures>,
    coarse: VecDeque<Figures>,
    /// The last reading of each ring: figures are what happened since.
    last: Option<Counters>,
    last_coarse: Option<Counters>,
}

impl Rings {
    pub(super) fn add(&mut self, now: Counters) {
        if self
            .last_coarse
            .as_ref()
            .is_none_or(|last| now.at.duration_since(last.at) >= COARSE_STEP)
        {
            let figures = Figures::between(self.last_coarse.as_ref(), &now);
            push(&mut self.coarse, figures, COARSE);
            self.last_coarse = Some(now.clone());
        }
        let figures = Figures::between(self.last.as_ref(), &now);
        push(&mut self.fine, figures, FINE);
        let oldest = figures.at.saturating_sub(milliseconds(FINE_AGE));
        // What lies ahead was put there by a clock that has gone back since.
        while self
            .fine
            .front()
            .is_some_and(|one| one.at < oldest || one.at > figures.at)
        {
            self.fine.pop_front();
        }
        self.last = Some(now);
    }

    pub(super) fn newest(&self) -> Option<&Figures> {
        self.fine.back()
    }

    /// Everything, oldest first: the coarse ring as far as the fine one does not reach.
    pub(super) fn all(&self) -> impl Iterator<Item = &Figures> {
        let fine_from = self.fine.front().map_or(i64::MAX, |one| one.at);
        let coarse = self.coarse.iter().filter(move |one| one.at < fine_from);
        coarse.chain(&self.fine)
    }
}

fn push(ring: &mut VecDeque<Figures>, figures: Figures, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(figures);
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use super::*;

    /// Adds readings `step` apart for `length`, the processor half busy all the time.
    fn run(rings: &mut Rings, start: (Instant, SystemTime), step: u64, length: u64) {
        for second in (0..length).step_by(usize::try_from(step).unwrap()) {
            let after = Duration::from_secs(second);
            let mut now = Counters::at(start.0 + after, start.1 + after);
            now.received = Some(second * 1000);
            rings.add(now);
        }
    }

    #[test]
    fn an_hour_is_kept_and_no_more_however_long_and_often_the_host_is_read() {
        for step in [1, 2, 20] {
            let mut rings = Rings::default();
            let start = (Instant::now(), SystemTime::now());
            run(&mut rings, start, step, 3 * 3600);
            let all: Vec<&Figures> = rings.all().collect();
            assert!(all.len() <= FINE + COARSE, "{step}: {}", all.len());
            assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at), "{step}");
            let span = all[all.len() - 1].at - all[0].at;
            assert!((3_570_000..=3_620_000).contains(&span), "{step}: {span} ms");
            assert!(
                all.iter().all(|one| one.get("received") == Some(1000.0)),
                "{step}: a rate differs between the rings"
            );
        }
        let bytes = (FINE.next_power_of_two() + COARSE.next_power_of_two()) * size_of::<Figures>()
            + size_of::<Rings>();
        println!("at most {bytes} bytes");
        assert!(bytes < 64 * 1024, "{bytes}");
    }

    #[test]
    fn the_first_reading_has_no_rates() {
        let mut rings = Rings::default();
        run(&mut rings, (Instant::now(), SystemTime::now()), 1, 1);
        let all: Vec<&Figures> = rings.all().collect();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].get("received"), None);
    }
}
