//! The newest rollback events, oldest first.

use std::collections::VecDeque;

use crate::Event;

/// A ring of the newest [`CAPACITY`](Self::CAPACITY) events.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct History(VecDeque<Event>);

impl History {
    /// How many events are kept.
    pub const CAPACITY: usize = 1_024;

    /// The events, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> + ExactSizeIterator {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts older events, such as those of a file that outlived the memory, before these. What is
    /// here already is not taken twice, and the oldest fall out of a full ring.
    pub fn merge(&mut self, older: impl IntoIterator<Item = Event>) {
        let mut merged = Self::default();
        for event in older {
            if !merged.0.contains(&event) && !self.0.contains(&event) {
                merged.push(event);
            }
        }
        for event in std::mem::take(&mut self.0) {
            merged.push(event);
        }
        *self = merged;
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.0.push_back(event);
        self.trim();
    }

    /// Drops the oldest of a ring that was read from a file and is too long.
    pub(crate) fn trim(&mut self) {
        let surplus = self.0.len().saturating_sub(Self::CAPACITY);
        self.0.drain(..surplus);
    }
}
