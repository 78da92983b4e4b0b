//! Where in the parameters something stands, so that an error can say it.

use crate::error::ParameterError;

/// A place in the parameters.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) parent: Option<&'a Place<'a>>,
    pub(crate) step: Step<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(crate) fn root(name: &'a str) -> Self {
        Self {
            parent: None,
            step: Step::Name(name),
        }
    }

    pub(crate) fn name(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Name(name),
        }
    }

    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> ParameterError {
        ParameterError {
            at: self.text(),
            problem: problem.into(),
            needs_reload: false,
        }
    }

    fn text(&self) -> String {
        let before = self.parent.map(Self::text);
        match (before, self.step) {
            (None, Step::Name(name)) => name.to_owned(),
            (Some(before), Step::Name(name)) => format!("{before}.{name}"),
            (before, Step::Index(index)) => format!("{}[{index}]", before.unwrap_or_default()),
        }
    }

    /// The innermost name: what a unit at its end says about the value.
    pub(crate) fn last_name(&self) -> &str {
        match self.step {
            Step::Name(name) => name,
            Step::Index(_) => self.parent.map_or("", |parent| parent.last_name()),
        }
    }
}
