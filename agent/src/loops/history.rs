//! Reads the figures of the live page: three times a minute, and every other second while somebody looks.

use std::sync::Arc;

use periodic::{Failure, Outcome, Retry};

use crate::history::{Counters, History};
use crate::place::Place;

/// The loop's state.
pub(crate) struct Recorder {
    pub(crate) place: Place,
    pub(crate) history: Arc<History>,
}

impl Recorder {
    pub(crate) async fn run(&mut self) -> Outcome {
        let counters = self
            .place
            .beside(|place| Counters::read(&mut place.host()))
            .await;
        let outcome = match counters {
            Some(counters) => {
                self.history.add(counters);
                Ok(())
            }
            None => Err(Failure::new(
                "the host's files do not answer",
                Retry::NextPeriod,
            )),
        };
        self.history.turn();
        self.history.relax_if_unwatched();
        outcome
    }
}
