//! Asks file systems that may never answer, by one worker thread and with a deadline.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::disk::{DiskUsage, usage_of};

/// What came of a question.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The file system answered in time.
    Came(io::Result<DiskUsage>),
    /// The call has not come back.
    Stuck,
    /// The worker was held up by another file system.
    NotReached,
}

/// Asks file systems, one after another, on a thread that is started with the first question
/// and ends with the asker; while a call does not come back there is no second one.
#[derive(Debug, Default)]
pub(crate) struct Asker {
    desk: Option<Arc<Desk>>,
    /// Those that did not answer in time go last, so that they hold up nobody else.
    slow: Vec<PathBuf>,
}

/// Where questions and answers change hands.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<PathBuf>,
    asked: Option<PathBuf>,
    answers: Vec<(PathBuf, io::Result<DiskUsage>)>,
    closed: bool,
}

impl Asker {
    /// Asks for the usage of each path and returns after `patience` at the latest. The answers
    /// stand in the order of the paths.
    pub(crate) fn ask(&mut self, paths: &[PathBuf], patience: Duration) -> io::Result<Vec<Answer>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let desk = self.desk()?;
        let mut state = desk.lock();
        if state.asked.is_none() {
            state.answers.clear();
            state.waiting = self.in_order(paths);
            desk.changed.notify_all();
            state = desk.wait_until_done(state, patience);
            state.waiting.clear();
        }
        let answers: Vec<Answer> = paths.iter().map(|path| state.take_answer(path)).collect();
        drop(state);
        self.remember_slow(paths, &answers);
        Ok(answers)
    }

    fn desk(&mut self) -> io::Result<Arc<Desk>> {
        if let Some(desk) = &self.desk {
            return Ok(Arc::clone(desk));
        }
        let desk = Arc::new(Desk::default());
        let workers = Arc::clone(&desk);
        std::thread::Builder::new()
            .name("statvfs".to_owned())
            .stack_size(64 << 10)
            .spawn(move || workers.work())?;
        self.desk = Some(Arc::clone(&desk));
        Ok(desk)
    }

    fn in_order(&self, paths: &[PathBuf]) -> VecDeque<PathBuf> {
        let (slow, quick): (Vec<_>, Vec<_>) = paths
            .iter()
            .cloned()
            .partition(|path| self.slow.contains(path));
        quick.into_iter().chain(slow).collect()
    }

    fn remember_slow(&mut self, paths: &[PathBuf], answers: &[Answer]) {
        for (path, answer) in paths.iter().zip(answers) {
            match answer {
                Answer::Came(_) => self.slow.retain(|slow| slow != path),
                Answer::Stuck if !self.slow.contains(path) => self.slow.push(path.clone()),
                Answer::Stuck | Answer::NotReached => {}
            }
        }
    }
}

impl Drop for Asker {
    /// Sends the worker home. It is not waited for: a stuck call can last as long as it likes.
    fn drop(&mut self) {
        if let Some(desk) = &self.desk {
            desk.lock().closed = true;
            desk.changed.notify_all();
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some(path) = state.waiting.pop_front() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.asked = Some(path.clone());
            drop(state);
            let answer = usage_of(&path);
            state = self.lock();
            state.asked = None;
            state.answers.push((path, answer));
            self.changed.notify_all();
        }
    }

    fn wait_until_done<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        patience: Duration,
    ) -> MutexGuard<'a, State> {
        let start = Instant::now();
        while state.asked.is_some() || !state.waiting.is_empty() {
            let Some(left) = patience.checked_sub(start.elapsed()) else {
                break;
            };
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

impl State {
    fn take_answer(&mut self, path: &Path) -> Answer {
        if self.asked.as_deref() == Some(path) {
            return Answer::Stuck;
        }
        match self.answers.iter().position(|(asked, _)| asked == path) {
            Some(index) => Answer::Came(self.answers.swap_remove(index).1),
            None => Answer::NotReached,
        }
    }
}
