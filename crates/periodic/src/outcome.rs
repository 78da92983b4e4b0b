//! What one run of a task reports: done, or failed and when to try again.

use std::fmt;
use std::mem::discriminant;
use std::time::Duration;

/// What a run reports. A plain `Result`, so that `?` works inside a task.
pub type Outcome = Result<(), Failure>;

/// A failed run: what happened, and when trying again makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened, for people. Lowercase, short, without secrets: it is shown on status pages.
    pub message: String,
    /// What kind of failure it is, where the message varies: two of the same class [resemble](Self::resembles)
    /// each other whatever their messages say.
    pub class: Option<String>,
    /// When to try again.
    pub retry: Retry,
}

/// When a failed task should be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Soon, with growing random delays: no connection, time-out, 5xx.
    Backoff,
    /// Not before this time has passed (`Retry-After` of a 429 or 503), plus jitter.
    After(Duration),
    /// Rarely, because a person has to act: 401, 403, wrong URL.
    Slowly,
    /// At the normal time, because the same would fail again before: 400, 422.
    NextPeriod,
}

impl Failure {
    /// A failure with this message, to be tried again as `retry` says.
    pub fn new(message: impl Into<String>, retry: Retry) -> Self {
        Self {
            message: message.into(),
            class: None,
            retry,
        }
    }

    /// The same failure with a class, for messages that vary, as those of other people's servers do.
    #[must_use]
    pub fn of_class(mut self, class: impl Into<String>) -> Self {
        self.class = Some(class.into());
        self
    }

    /// Whether both are one state and not two: of the same class, or without classes the same message
    /// but for numbers, such as "timed out after 4.9 s" and "timed out after 5.1 s".
    #[must_use]
    pub fn resembles(&self, other: &Self) -> bool {
        let alike = match (&self.class, &other.class) {
            (Some(one), Some(other)) => one == other,
            (None, None) => without_digits(&self.message).eq(without_digits(&other.message)),
            _ => false,
        };
        alike && discriminant(&self.retry) == discriminant(&other.retry)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

fn without_digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|character| !character.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_differ_in_numbers_alone_resemble_each_other() {
        let slow = Failure::new("timed out after 4.9 s", Retry::Backoff);
        assert!(slow.resembles(&Failure::new("timed out after 15.1 s", Retry::Backoff)));
        assert!(!slow.resembles(&Failure::new("timed out after 4.9 s", Retry::Slowly)));
        assert!(!slow.resembles(&Failure::new("connection refused", Retry::Backoff)));
        let said = |words| Failure::new(words, Retry::Backoff).of_class("500");
        assert!(said("Internal error: ab").resembles(&said("Internal error: yz")));
        assert!(!said("x").resembles(&Failure::new("x", Retry::Backoff)));
        assert!(!said("x").resembles(&Failure::new("x", Retry::Backoff).of_class("502")));
        let limited = Failure::new("429", Retry::After(Duration::from_secs(3)));
        assert!(limited.resembles(&Failure::new("429", Retry::After(Duration::from_secs(9)))));
    }
}
