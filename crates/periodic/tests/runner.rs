//! The runner under tokio's paused clock: nothing here waits in real time.

#![allow(clippy::indexing_slicing, reason = "a failing test is meant to stop")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periodic::{Change, Failure, Outcome, Phase, Policy, Retry, State, Supervisor};
use tokio::time::{Instant, sleep};

const MINUTE: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(1);

/// The moments of the runs of one task, since the test began.
#[derive(Clone)]
struct Runs {
    origin: Instant,
    moments: Rc<RefCell<Vec<Duration>>>,
}

impl Runs {
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            moments: Rc::default(),
        }
    }

    fn note(&self) {
        self.moments.borrow_mut().push(self.origin.elapsed());
    }

    fn count(&self) -> usize {
        self.moments.borrow().len()
    }

    fn gaps(&self) -> Vec<Duration> {
        self.moments
            .borrow()
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn minutely() -> Policy {
    Policy::every(MINUTE, Phase::of(b"web-1"))
}

fn refused() -> Outcome {
    Err(Failure::new("connection refused", Retry::Backoff))
}

/// A supervisor whose wall clock stands still, so that no test depends on the time of day.
fn supervisor() -> Supervisor {
    Wall::at(1_800_000_000).supervisor()
}

/// A task that notes its runs and always succeeds.
fn noting(runs: &Runs) -> impl AsyncFnMut() -> Outcome + 'static {
    let runs = runs.clone();
    async move || {
        runs.note();
        Ok(())
    }
}

/// A task that never ends by itself.
async fn hang() -> Outcome {
    pending().await
}

/// Runs the supervisor for a while; says how long the stop took and who had to be cut off.
async fn run_for(supervisor: Supervisor, time: Duration) -> (Duration, Vec<Arc<str>>) {
    let begin = Instant::now();
    let cut = supervisor.run(sleep(time), GRACE).await;
    (begin.elapsed() - time, cut)
}

/// A wall clock that stands still but where the test moves it: seconds since 1970.
#[derive(Clone)]
struct Wall(Arc<AtomicI64>);

impl Wall {
    fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    fn jump(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> SystemTime {
        let seconds = self.0.load(Ordering::Relaxed);
        let distance = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 {
            UNIX_EPOCH - distance
        } else {
            UNIX_EPOCH + distance
        }
    }

    fn supervisor(&self) -> Supervisor {
        let wall = self.clone();
        Supervisor::with_wall_clock(1, move || wall.now())
    }
}

#[tokio::test(start_paused = true)]
async fn first_run_is_immediate_and_the_next_ones_a_period_apart() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    supervisor.spawn("beat", minutely(), noting(&runs));
    run_for(supervisor, 10 * MINUTE).await;
    assert_eq!(runs.moments.borrow()[0], Duration::ZERO);
    let gaps = runs.gaps();
    assert!(gaps[0] <= MINUTE + Duration::from_millis(1), "{gaps:?}");
    assert!(gaps[1..].iter().all(|gap| is_a_minute(*gap)), "{gaps:?}");
    assert!((10..=11).contains(&runs.count()));
}

/// Tokio's timer rounds up to milliseconds.
fn is_a_minute(gap: Duration) -> bool {
    gap.abs_diff(MINUTE) <= Duration::from_millis(1)
}

#[tokio::test(start_paused = true)]
async fn sleeping_costs_no_wakeups() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    supervisor.spawn("beat", minutely(), noting(&runs));
    let mut polls = 0;
    let mut run = pin!(supervisor.run(sleep(100 * MINUTE), GRACE));
    poll_fn(|context| {
        polls += 1;
        run.as_mut().poll(context)
    })
    .await;
    assert!(
        polls <= runs.count() + 3,
        "{polls} polls for {} runs",
        runs.count()
    );
}

#[tokio::test(start_paused = true)]
async fn stop_ends_sleeping_tasks_at_once() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    supervisor.spawn("beat", minutely(), noting(&runs));
    supervisor.spawn("retry", minutely(), async || refused());
    let board = supervisor.board();
    let (took, cut) = run_for(supervisor, seconds(150)).await;
    assert_eq!(took, Duration::ZERO);
    assert!(cut.is_empty());
    for health in board.snapshot() {
        assert_eq!(health.state, State::Stopped);
        assert_eq!(health.next_due_in, None);
    }
    assert!(board.get("retry").unwrap().failures > 0);
}

#[tokio::test(start_paused = true)]
async fn stop_lets_a_run_end_within_the_grace() {
    let ended = Rc::new(Cell::new(false));
    let mut supervisor = supervisor();
    let seen = Rc::clone(&ended);
    supervisor.spawn("flush", minutely(), async move || {
        sleep(seconds(5)).await;
        seen.set(true);
        Ok(())
    });
    let (took, cut) = run_for(supervisor, Duration::from_millis(4_500)).await;
    assert_eq!(took, Duration::from_millis(500));
    assert!(cut.is_empty() && ended.get());
}

#[tokio::test(start_paused = true)]
async fn stop_cuts_off_a_run_that_outlives_the_grace() {
    let mut supervisor = supervisor();
    supervisor.spawn("hangs", minutely(), async || hang().await);
    supervisor.spawn("sleeps", minutely(), async || Ok(()));
    let board = supervisor.board();
    let (took, cut) = run_for(supervisor, seconds(5)).await;
    assert_eq!(took, GRACE);
    assert_eq!(cut, [Arc::from("hangs")]);
    let health = board.get("hangs").unwrap();
    assert_eq!(
        (health.state, health.running, health.runs),
        (State::Stopped, false, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn stop_that_comes_first_starts_nothing() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    supervisor.spawn("beat", minutely(), noting(&runs));
    let cut = supervisor.run(async {}, Duration::ZERO).await;
    assert_eq!((runs.count(), cut.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_run_drops_the_tasks() {
    let kept = Rc::new(());
    let held = Rc::clone(&kept);
    let mut supervisor = supervisor();
    supervisor.spawn("hangs", minutely(), async move || {
        let _held = &held;
        hang().await
    });
    let board = supervisor.board();
    let timed_out = tokio::time::timeout(seconds(3), supervisor.run(pending(), GRACE)).await;
    assert!(timed_out.is_err());
    assert_eq!(Rc::strong_count(&kept), 1);
    assert_eq!(board.get("hangs").unwrap().state, State::Stopped);
}

#[tokio::test(start_paused = true)]
async fn hung_run_meets_its_limit_while_others_go_on() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    let limited = Policy {
        limit: seconds(10),
        ..minutely()
    };
    supervisor.spawn("hangs", limited, async || hang().await);
    supervisor.spawn("beat", minutely(), noting(&runs));
    let board = supervisor.board();
    let watcher = board.clone();
    let stop = async move {
        sleep(seconds(5)).await;
        let health = watcher.get("hangs").unwrap();
        assert!(health.running && health.next_due_in.is_none() && health.state == State::Waiting);
        sleep(10 * MINUTE).await;
    };
    supervisor.run(stop, GRACE).await;
    assert!(runs.count() >= 10);
    let health = board.get("hangs").unwrap();
    assert_eq!(health.timeouts, health.failures);
    assert_eq!(health.last_duration, Some(seconds(10)));
    assert_eq!(health.last_error.unwrap().message, "no result within 10s");
    // A run of 10 s and a delay of 30 to 120 s each.
    assert!((5..=15).contains(&health.timeouts), "{}", health.timeouts);
}

#[tokio::test(start_paused = true)]
async fn run_longer_than_the_period_never_meets_another_of_its_kind() {
    let (running, overlapped) = (Cell::new(false), Rc::new(Cell::new(false)));
    let seen = Rc::clone(&overlapped);
    let runs = Runs::new();
    let mut supervisor = supervisor();
    let noted = runs.clone();
    supervisor.spawn(
        "scan",
        Policy {
            limit: 5 * MINUTE,
            ..minutely()
        },
        async move || {
            seen.set(seen.get() || running.replace(true));
            noted.note();
            sleep(seconds(150)).await;
            running.set(false);
            Ok(())
        },
    );
    let control = supervisor.control();
    let stop = async move {
        for _ in 0..300 {
            sleep(seconds(2)).await;
            control.wake("scan");
        }
        sleep(10 * MINUTE).await;
    };
    supervisor.run(stop, GRACE).await;
    assert!(!overlapped.get() && runs.count() >= 5);
    assert!(
        runs.gaps().iter().all(|gap| *gap >= seconds(150)),
        "{:?}",
        runs.gaps()
    );
}

#[tokio::test(start_paused = true)]
async fn wake_runs_a_sleeping_task_now() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    let daily = Policy {
        period: seconds(86_400),
        ..minutely()
    };
    supervisor.spawn("beat", daily.clone(), noting(&runs));
    let control = supervisor.control();
    let stop = async move {
        sleep(seconds(100)).await;
        assert!(control.wake("beat"));
        assert!(!control.wake("nobody"));
        sleep(seconds(100)).await;
        // Any further order: the wake-up is not carried out again with it.
        control.set_policy("beat", &daily);
        sleep(seconds(1)).await;
    };
    supervisor.run(stop, GRACE).await;
    assert_eq!(*runs.moments.borrow(), [Duration::ZERO, seconds(100)]);
}

#[tokio::test(start_paused = true)]
async fn wake_during_a_run_causes_exactly_one_more() {
    let runs = Runs::new();
    let noted = runs.clone();
    let mut supervisor = supervisor();
    supervisor.spawn(
        "beat",
        Policy {
            period: seconds(86_400),
            ..minutely()
        },
        async move || {
            noted.note();
            sleep(seconds(3)).await;
            Ok(())
        },
    );
    let control = supervisor.control();
    let stop = async move {
        sleep(seconds(1)).await;
        for _ in 0..50 {
            control.wake("beat");
        }
        sleep(seconds(100)).await;
    };
    supervisor.run(stop, GRACE).await;
    assert_eq!(*runs.moments.borrow(), [Duration::ZERO, seconds(10)]);
}

#[tokio::test(start_paused = true)]
async fn storm_of_wakes_runs_once_per_gap() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    supervisor.spawn(
        "beat",
        Policy {
            period: seconds(86_400),
            ..minutely()
        },
        noting(&runs),
    );
    let control = supervisor.control();
    let stop = async move {
        for _ in 0..59_000 {
            control.wake("beat");
            sleep(Duration::from_millis(1)).await;
        }
    };
    supervisor.run(stop, GRACE).await;
    assert_eq!(runs.count(), 6);
}

#[tokio::test(start_paused = true)]
async fn policy_is_replaced_while_the_task_sleeps() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    supervisor.spawn(
        "beat",
        Policy {
            period: seconds(86_400),
            ..minutely()
        },
        noting(&runs),
    );
    let board = supervisor.board();
    let control = supervisor.control();
    let stop = async move {
        sleep(seconds(1)).await;
        assert!(board.get("beat").unwrap().next_due_in.unwrap() > MINUTE);
        assert!(control.set_policy("beat", &minutely()));
        sleep(Duration::from_millis(1)).await;
        assert!(board.get("beat").unwrap().next_due_in.unwrap() <= MINUTE);
        assert!(!control.set_policy("nobody", &minutely()));
        sleep(10 * MINUTE).await;
    };
    supervisor.run(stop, GRACE).await;
    assert!((11..=12).contains(&runs.count()), "{}", runs.count());
}

#[tokio::test(start_paused = true)]
async fn each_change_of_health_is_told_once() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let mut supervisor = supervisor().on_change(move |task, change| {
        let line = match change {
            Change::FirstSuccess => "first success".to_owned(),
            Change::Failing { failure, .. } => format!("failing: {failure}"),
            Change::FailingDifferently { failure, .. } => format!("now: {failure}"),
            Change::Recovered { failures, .. } => format!("recovered after {failures}"),
        };
        log.borrow_mut().push(format!("{task} {line}"));
    });
    let mut script = [
        "",
        "",
        "timed out after 5.0 s",
        "timed out after 5.1 s",
        "503",
        "503",
        "",
        "",
        "refused",
        "",
    ]
    .into_iter();
    supervisor.spawn("beat", minutely(), async move || {
        match script.next().unwrap_or("") {
            "" => Ok(()),
            message => Err(Failure::new(message, Retry::Backoff)),
        }
    });
    run_for(supervisor, 60 * MINUTE).await;
    let expected = [
        "beat first success",
        "beat failing: timed out after 5.0 s",
        "beat now: 503",
        "beat recovered after 4",
        "beat failing: refused",
        "beat recovered after 1",
    ];
    assert_eq!(*told.borrow(), expected);
}

#[tokio::test(start_paused = true)]
async fn task_that_fails_from_the_start_is_told_once_and_recovers_without_a_restart() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let mut supervisor =
        supervisor().on_change(move |_, change| log.borrow_mut().push(change.clone()));
    let origin = Instant::now();
    supervisor.spawn("register", minutely(), async move || {
        if origin.elapsed() < 5 * MINUTE {
            refused()
        } else {
            Ok(())
        }
    });
    run_for(supervisor, 10 * MINUTE).await;
    let [
        Change::Failing { next_in, .. },
        Change::Recovered { failed_for, .. },
    ] = told.borrow()[..]
    else {
        panic!("{told:?}");
    };
    assert!(next_in >= seconds(30) && next_in <= seconds(90));
    assert!(failed_for >= 5 * MINUTE && failed_for <= 7 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn board_shows_what_happened_and_what_comes() {
    let wall = Wall::at(1_800_000_000);
    let mut supervisor = wall.supervisor();
    let mut script = [Ok(()), Err(Failure::new("refused", Retry::Slowly))].into_iter();
    supervisor.spawn("beat", minutely(), async move || {
        sleep(seconds(2)).await;
        script.next().unwrap_or(Ok(()))
    });
    let board = supervisor.board();
    let before = board.get("beat").unwrap();
    assert_eq!((before.state, before.runs), (State::Waiting, 0));
    assert!(
        before.last_start.is_none() && before.last_success.is_none() && before.last_error.is_none()
    );
    let watcher = board.clone();
    let stop = async move {
        sleep(seconds(3)).await;
        let well = watcher.get("beat").unwrap();
        assert_eq!(well.state, State::Ok);
        assert_eq!(well.last_start.unwrap().age, seconds(3));
        assert_eq!(well.last_success.unwrap().age, seconds(1));
        assert_eq!(well.last_success.unwrap().wall, wall.now());
        assert_eq!(well.last_duration, Some(seconds(2)));
        sleep(well.next_due_in.unwrap() + seconds(4)).await;
        let sick = watcher.get("beat").unwrap();
        let error = sick.last_error.unwrap();
        assert_eq!(sick.state, State::Failing { since: error.when });
        assert_eq!(error.message, "refused");
        assert!(error.when.age.abs_diff(seconds(2)) <= Duration::from_millis(1));
        assert_eq!(
            (sick.runs, sick.failures, sick.consecutive_failures),
            (2, 1, 1)
        );
        assert!(sick.next_due_in.unwrap() > seconds(297));
        sleep(10 * MINUTE).await;
        let again = watcher.get("beat").unwrap();
        assert_eq!(
            (again.state, again.consecutive_failures, again.failures),
            (State::Ok, 0, 1)
        );
        assert!(again.last_error.is_some());
    };
    supervisor.run(stop, GRACE).await;
    // Readable from another thread, and after the end.
    std::thread::spawn(move || assert_eq!(board.snapshot().len(), 1))
        .join()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn wall_clock_that_jumps_ten_years_changes_nothing() {
    const TEN_YEARS: i64 = 315_576_000;
    // The real date, and a board without a clock battery.
    for start in [1_800_000_000, 0] {
        for jumps in [
            [TEN_YEARS, -TEN_YEARS],
            [-TEN_YEARS, TEN_YEARS],
            [-TEN_YEARS, -TEN_YEARS],
        ] {
            let wall = Wall::at(start);
            let runs = Runs::new();
            let mut supervisor = wall.supervisor();
            supervisor.spawn("beat", minutely(), noting(&runs));
            let board = supervisor.board();
            let stop = async move {
                for jump in jumps {
                    sleep(seconds(150)).await;
                    wall.jump(jump);
                    let health = board.get("beat").unwrap();
                    assert!(health.last_success.unwrap().age <= MINUTE);
                    assert!(health.next_due_in.unwrap() <= MINUTE);
                }
                sleep(seconds(300)).await;
            };
            supervisor.run(stop, GRACE).await;
            let gaps = runs.gaps();
            assert!(gaps[1..].iter().all(|gap| is_a_minute(*gap)), "{gaps:?}");
            assert!((10..=11).contains(&runs.count()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn suspend_that_stops_the_monotonic_clock_delays_the_next_run_and_repeats_none() {
    let wall = Wall::at(1_800_000_000);
    let runs = Runs::new();
    let mut supervisor = wall.supervisor();
    supervisor.spawn("beat", minutely(), noting(&runs));
    let stop = async move {
        sleep(seconds(90)).await;
        wall.jump(8 * 3_600); // Eight hours pass; CLOCK_MONOTONIC, and tokio with it, stood still.
        sleep(seconds(90)).await;
    };
    supervisor.run(stop, GRACE).await;
    assert!(
        runs.gaps()[1..].iter().all(|gap| is_a_minute(*gap)),
        "{:?}",
        runs.gaps()
    );
}

#[tokio::test(start_paused = true)]
async fn suspend_that_the_clock_counts_causes_one_run() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    supervisor.spawn("beat", minutely(), noting(&runs));
    let noted = runs.clone();
    let stop = async move {
        sleep(seconds(90)).await;
        let before = noted.count();
        tokio::time::advance(seconds(8 * 3_600)).await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(noted.count(), before + 1);
        sleep(5 * MINUTE).await;
        assert_eq!(noted.count(), before + 6);
    };
    supervisor.run(stop, GRACE).await;
}

/// With `panic = "abort"` a panic ends the process; this is what happens where it unwinds.
#[tokio::test(start_paused = true)]
async fn panic_ends_its_task_and_no_other() {
    let runs = Runs::new();
    let mut supervisor = supervisor();
    supervisor.spawn("panics", minutely(), async || panic!("on purpose"));
    supervisor.spawn("beat", minutely(), noting(&runs));
    let board = supervisor.board();
    let watcher = board.clone();
    let stop = async move {
        sleep(5 * MINUTE).await;
        assert_eq!(watcher.get("panics").unwrap().state, State::Stopped);
        assert_eq!(watcher.get("beat").unwrap().state, State::Ok);
    };
    let cut = supervisor.run(stop, GRACE).await;
    assert!(cut.is_empty());
    assert!(runs.count() >= 5);
}

/// The agent's shape: a task keeps what it needs between runs, and borrows it in each.
#[tokio::test(start_paused = true)]
async fn task_keeps_state_between_runs() {
    let seen = Rc::new(Cell::new(0));
    let result = Rc::clone(&seen);
    let mut connection = String::from("c");
    let mut supervisor = supervisor();
    supervisor.spawn("beat", minutely(), async move || {
        use_connection(&mut connection).await?;
        result.set(connection.len());
        Ok(())
    });
    run_for(supervisor, seconds(130)).await;
    assert!(seen.get() >= 3);
}

async fn use_connection(connection: &mut String) -> Outcome {
    sleep(Duration::from_millis(1)).await;
    connection.push('c');
    Ok(())
}
