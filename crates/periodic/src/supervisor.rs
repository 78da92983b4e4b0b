//! Runs named tasks on their schedules until it is told to stop.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::board::{Record, lock};
use crate::clock::Clock;
use crate::phase::hash;
use crate::{Board, Change, Failure, Health, Outcome, Policy, Retry, Schedule};

/// Runs named tasks on their schedules, on one thread, until it is told to stop.
///
/// Tasks are async closures and need not be `Send`. No task ever has two runs at once; tasks do
/// not wait for each other, unless one blocks the thread. While it sleeps, a task costs one timer.
///
/// Dropping the supervisor, or the future of [`run`](Self::run), drops all tasks at once.
pub struct Supervisor {
    local: LocalSet,
    board: Board,
    seed: u64,
    on_change: OnChange,
}

type OnChange = Rc<dyn Fn(&str, &Change)>;

/// Wakes tasks and replaces their policies. Cheap to clone, usable from every thread.
#[derive(Clone)]
pub struct Control {
    slots: Arc<Mutex<Vec<Arc<Slot>>>>,
}

impl Supervisor {
    /// A supervisor without tasks. `seed` feeds the jitter: give each process another one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_wall_clock(seed, SystemTime::now)
    }

    /// A supervisor that takes the time of day from `wall`: to place the phase when a task is
    /// spawned, and to show it on the [`Board`].
    #[must_use]
    pub fn with_wall_clock(
        seed: u64,
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        let board = Board {
            clock: Clock::new(wall),
            slots: Arc::default(),
        };
        Self {
            local: LocalSet::new(),
            board,
            seed,
            on_change: Rc::new(|_, _| {}),
        }
    }

    /// Calls `notify` with the task's name at each [`Change`] of the tasks spawned from now on.
    #[must_use]
    pub fn on_change(mut self, notify: impl Fn(&str, &Change) + 'static) -> Self {
        self.on_change = Rc::new(notify);
        self
    }

    /// Adds a task. Its first run begins when [`run`](Self::run) is awaited.
    ///
    /// A run is dropped at an `await` when its limit has passed: what the closure keeps between
    /// runs should be whole at every `await`. Names should differ; [`Control`] reaches every task
    /// of a name.
    pub fn spawn<F>(&mut self, name: &str, policy: Policy, task: F)
    where
        F: AsyncFnMut() -> Outcome + 'static,
    {
        let slot = Arc::new(Slot::new(name));
        let now = self.board.clock.stamp();
        let seed = self.seed ^ hash(name.as_bytes());
        let driver = Driver {
            slot: Arc::clone(&slot),
            clock: self.board.clock.clone(),
            schedule: Schedule::new(policy, seed, now.at, now.wall),
            on_change: Rc::clone(&self.on_change),
        };
        lock(&self.board.slots).push(slot);
        self.local.spawn_local(driver.drive(task));
    }

    /// The health of all tasks, also of those spawned later.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// A handle that wakes tasks and replaces policies, also of tasks spawned later.
    #[must_use]
    pub fn control(&self) -> Control {
        Control {
            slots: Arc::clone(&self.board.slots),
        }
    }

    /// Runs all tasks until `stop` is ready. Then sleeping tasks end at once, and runs under way
    /// get `grace` to end; those that do not are dropped. Returns the names of the dropped ones.
    pub async fn run(mut self, stop: impl Future<Output = ()>, grace: Duration) -> Vec<Arc<str>> {
        self.local.run_until(stop).await;
        let slots = lock(&self.board.slots).clone();
        for slot in &slots {
            slot.order(|orders| orders.stop = true);
        }
        // Whether the time was enough is told by the tasks themselves.
        let _ = timeout(grace, &mut self.local).await;
        let alive = |slot: &&Arc<Slot>| !lock(&slot.record).is_stopped();
        slots
            .iter()
            .filter(alive)
            .map(|slot| Arc::clone(&slot.name))
            .collect()
    }
}

impl Control {
    /// Runs a task now, or as soon as its policy's `wake_gap` and the server's `Retry-After`
    /// allow. A task that is running runs once more afterwards. Many calls are as good as one.
    ///
    /// Says whether there is a task of this name.
    pub fn wake(&self, name: &str) -> bool {
        self.order(name, |orders| orders.wake = true)
    }

    /// Replaces the policy of a task; a run under way keeps its limit. See
    /// [`Schedule::set_policy`].
    ///
    /// Says whether there is a task of this name.
    pub fn set_policy(&self, name: &str, policy: &Policy) -> bool {
        self.order(name, |orders| orders.policy = Some(policy.clone()))
    }

    fn order(&self, name: &str, change: impl Fn(&mut Orders)) -> bool {
        let mut found = false;
        for slot in lock(&self.slots).iter().filter(|slot| &*slot.name == name) {
            slot.order(&change);
            found = true;
        }
        found
    }
}

/// Where a task, its readers and its callers meet.
pub(crate) struct Slot {
    pub(crate) name: Arc<str>,
    record: Mutex<Record>,
    orders: Mutex<Orders>,
    bell: Notify,
}

/// What a task is asked to do when it next sleeps.
#[derive(Default)]
struct Orders {
    stop: bool,
    wake: bool,
    policy: Option<Policy>,
}

impl Slot {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            record: Mutex::default(),
            orders: Mutex::default(),
            bell: Notify::new(),
        }
    }

    pub(crate) fn health(&self, now: Duration) -> Health {
        lock(&self.record).health(Arc::clone(&self.name), now)
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut lock(&self.orders));
        self.bell.notify_one();
    }
}

/// The loop of one task.
struct Driver {
    slot: Arc<Slot>,
    clock: Clock,
    schedule: Schedule,
    on_change: OnChange,
}

impl Driver {
    async fn drive(mut self, mut task: impl AsyncFnMut() -> Outcome) {
        while self.sleep().await {
            self.run(&mut task).await;
        }
    }

    /// Sleeps until the next run is due. `false` means stop.
    async fn sleep(&mut self) -> bool {
        loop {
            let due = self.schedule.due();
            lock(&self.slot.record).sleeps_until(due);
            let wait = due.saturating_sub(self.clock.now());
            if timeout(wait, self.slot.bell.notified()).await.is_err() {
                return true;
            }
            if !self.obey() {
                return false;
            }
        }
    }

    /// Carries out what was ordered. `false` means stop.
    fn obey(&mut self) -> bool {
        let orders = std::mem::take(&mut *lock(&self.slot.orders));
        if let Some(policy) = orders.policy {
            self.schedule.set_policy(self.clock.now(), policy);
        }
        if orders.wake {
            self.schedule.wake(self.clock.now());
        }
        !orders.stop
    }

    async fn run(&mut self, task: &mut impl AsyncFnMut() -> Outcome) {
        let start = self.clock.stamp();
        lock(&self.slot.record).started(start);
        let limit = self.schedule.policy().limit;
        let outcome = timeout(limit, task()).await.unwrap_or_else(|_| {
            lock(&self.slot.record).timed_out();
            Err(Failure::new(
                format!("no result within {limit:?}"),
                Retry::Backoff,
            ))
        });
        let end = self.clock.stamp();
        let due = self.schedule.ran(start.at, end.at, &outcome);
        let change = lock(&self.slot.record).ended(end, &outcome, due);
        if let Some(change) = change {
            (self.on_change)(&self.slot.name, &change);
        }
    }
}

/// However the loop ends, the board says so.
impl Drop for Driver {
    fn drop(&mut self) {
        lock(&self.slot.record).stopped();
    }
}
