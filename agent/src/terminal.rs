//! What only a terminal gets: colours, and a line that says what takes so long.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cli::Env;

/// What is over within this time needs no words.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longer lines would wrap, and could not be taken back.
const WIDEST: usize = 76;

/// Whether standard output is to have colours: <https://no-color.org>.
pub(crate) fn has_colours(env: Env<'_>) -> bool {
    let unwanted = env("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !unwanted && !is_dumb(env)
}

fn is_dumb(env: Env<'_>) -> bool {
    env("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Says on standard error what is being done, if that takes more than a second; the line is gone at the end.
pub(crate) struct Progress(Option<Line>);

struct Line {
    now: Arc<Now>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Now {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    doing: String,
    ended: bool,
}

impl Progress {
    /// Shown only where somebody watches.
    pub(crate) fn start(env: Env<'_>) -> Self {
        if !std::io::stderr().is_terminal() || is_dumb(env) {
            return Self(None);
        }
        let now = Arc::new(Now::default());
        let seen = Arc::clone(&now);
        let thread = std::thread::Builder::new()
            .spawn(move || seen.show(&mut std::io::stderr()))
            .ok();
        Self(Some(Line { now, thread }))
    }

    /// What is being done from here on.
    pub(crate) fn at(&self, doing: &str) {
        if let Self(Some(line)) = self {
            line.now.state().doing = doing.chars().take(WIDEST).collect();
            line.now.changed.notify_one();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.now.state().ended = true;
        self.now.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say that could be lost.
            let _ = thread.join();
        }
    }
}

impl Now {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, out: &mut impl Write) {
        let goes_on = |state: &mut State| !state.ended;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), PATIENCE, goes_on);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return;
        }
        while !state.ended {
            // A terminal that went away has nobody who watches.
            let _ = write!(out, "\r\u{1b}[K{} …", state.doing);
            let _ = out.flush();
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let _ = write!(out, "\r\u{1b}[K");
        let _ = out.flush();
    }
}
