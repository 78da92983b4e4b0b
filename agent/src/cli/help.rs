//! What help texts say below the options: notes, examples and exit codes.

use clap::Command;

/// What the end of a command means.
pub(super) type Exits = &'static [(u8, &'static str)];

/// The agent itself, and every command that says nothing else.
pub(super) const EXITS: Exits = &[
    (0, "done; the agent: stopped as asked"),
    (1, "could not be done; standard error says why"),
    (
        64,
        "mistake in the command line or the configuration; nothing was started",
    ),
];

pub(super) const CHECK_EXITS: Exits = &[
    (0, "all is well"),
    (1, "it will run, but something should be looked at"),
    (2, "something will not work"),
    (64, "mistake in the command line"),
];

pub(super) const HEALTH_EXITS: Exits = &[
    (0, "healthy"),
    (1, "not healthy"),
    (64, "mistake in the command line or the configuration"),
];

/// What stands for the name of the program in examples.
const PROGRAM: &str = "{agent}";

/// What is said about a command below its options.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// What else there is to know; `""`: nothing.
    pub(super) notes: &'static str,
    /// Lines for a shell; `{agent}` stands for the program.
    pub(super) examples: &'static str,
    pub(super) exits: Exits,
}

impl Words {
    /// Puts them below the long help of `command`, and the way to it below the short one.
    pub(super) fn below(self, command: Command, program: &str) -> Command {
        let more = "More, with examples and exit codes: --help";
        command.after_help(more).after_long_help(self.text(program))
    }

    fn text(self, program: &str) -> String {
        let mut text = String::new();
        if !self.notes.is_empty() {
            text.push_str(self.notes);
            text.push_str("\n\n");
        }
        text.push_str("Examples:\n");
        for line in self.examples.lines() {
            text.push_str("  ");
            text.push_str(&line.replace(PROGRAM, program));
            text.push('\n');
        }
        text.push_str("\nExit codes:\n");
        for (code, meaning) in self.exits {
            text.push_str(&format!("  {code:<2}  {meaning}\n"));
        }
        text
    }
}
