//! Outages of a day and of a month, on a clock that the test turns: the real loops, the real outbox and the real spool, with a server
//! that only counts.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metricpush::Sample;
use periodic::{Phase, Policy, Supervisor};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Delivered, Delivery, Outbox, Refusal, Why};
use crate::cli::{self, Backfill, Call, Command, Config};
use crate::loops;
use crate::loops::push::{Backfiller, Sender, backfill_policy, policy};
use crate::place::Place;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// When the simulation begins, in the time of the samples.
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// A server that is away for a while.
struct Server {
    began: Instant,
    away: std::ops::Range<Duration>,
    /// The time of each sample that came, with the moment it came.
    came: Mutex<Vec<(u64, Duration)>>,
    tries_while_away: AtomicU64,
}

impl Delivery for Server {
    async fn deliver(&self, body: String) -> Result<Delivered, Refusal> {
        let now = self.began.elapsed();
        if self.away.contains(&now) {
            self.tries_while_away.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal {
                message: "connection refused".to_owned(),
                class: None,
                why: Why::Away,
            });
        }
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        // The uptime of the simulated host is the number of the sample: it tells samples apart without parsing dates.
        self.came
            .lock()
            .unwrap()
            .push((body["uptime_s"].as_u64().unwrap(), now));
        Ok(Delivered {
            status: 202,
            key_hash: "00000000".to_owned(),
        })
    }
}

struct Outcome {
    came: Vec<(u64, Duration)>,
    taken: u64,
    tries_while_away: u64,
    waiting: u64,
    bytes: u64,
    dropped: u64,
    most_in_memory: usize,
}

fn config(folder: &std::path::Path, interval: &str, mib: &str) -> Config {
    let args: Vec<std::ffi::OsString> = [
        "--config=/dev/null",
        "--api-key=k",
        "--server-url=http://127.0.0.1:1",
        "--backfill=all",
        "--interval",
        interval,
        "--backlog-mib",
        mib,
        "--backlog-age=60d",
        "--state-dir",
        folder.to_str().unwrap(),
    ]
    .map(Into::into)
    .to_vec();
    let call = Call {
        program: "lunasentri-agent".as_ref(),
        args: &args,
        env: &|_| None,
        variables: &Vec::new,
    };
    match cli::parse(call) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

/// Runs the loops until `end`, with the server away for `away`.
async fn simulate(
    name: &str,
    interval: &str,
    mib: &str,
    away: std::ops::Range<Duration>,
    end: Duration,
) -> Outcome {
    let folder: PathBuf =
        std::env::temp_dir().join(format!("sigma-agent-outage-{name}-{}", std::process::id()));
    let config = config(&folder, interval, mib);
    let push = config.push.clone().unwrap();
    assert_eq!(push.backfill, Backfill::All);
    let place = Place::new(&config.host);
    let outbox = Arc::new(Outbox::new(&config.backlog));
    let (_keep, settings) = watch::channel(Arc::new(config));
    let began = Instant::now();
    let server = Arc::new(Server {
        began,
        away,
        came: Mutex::default(),
        tries_while_away: AtomicU64::default(),
    });
    let mut supervisor =
        Supervisor::with_wall_clock(7, move || SystemTime::UNIX_EPOCH + EPOCH + began.elapsed());
    let control = supervisor.control();
    let taken = Rc::new(RefCell::new((0_u64, 0_usize)));
    let phase = Phase::START;
    let (counter, box_, wake) = (Rc::clone(&taken), Arc::clone(&outbox), control.clone());
    supervisor.spawn(
        loops::SAMPLE,
        Policy::every(push.interval, phase),
        async move || {
            let number = {
                let mut taken = counter.borrow_mut();
                taken.0 += 1;
                taken.1 = taken.1.max(box_.backlog.in_memory());
                taken.0
            };
            let sample = Sample {
                hostname: Some("simulated".to_owned()),
                cpu_percent: Some(number as f64 % 100.0),
                memory_percent: Some(40.0 + number as f64 % 7.0),
                disk_percent: Some(63.0),
                network_bytes_sent: Some(number * 12_345),
                network_bytes_received: Some(number * 54_321),
                uptime: Some(Duration::from_secs(number)),
                ..Sample::at(UNIX_EPOCH + EPOCH + began.elapsed())
            };
            if box_.offer(sample).await {
                wake.wake(loops::PUSH);
            }
            Ok(())
        },
    );
    let mut sender = Sender {
        settings: settings.clone(),
        place,
        outbox: Arc::clone(&outbox),
        delivery: Arc::clone(&server),
        control: control.clone(),
        informed: None,
        facts: None,
        last: None,
    };
    supervisor.spawn(loops::PUSH, policy(&push, phase), async move || {
        sender.run().await
    });
    let mut backfiller = Backfiller {
        settings,
        outbox: Arc::clone(&outbox),
        delivery: Arc::clone(&server),
        control,
        opened: false,
    };
    supervisor.spawn(loops::BACKFILL, backfill_policy(phase), async move || {
        backfiller.run().await
    });
    supervisor
        .run(tokio::time::sleep(end), Duration::from_secs(1))
        .await;
    outbox.save().await;
    let backlog = outbox.totals().backlog;
    let outcome = Outcome {
        came: server.came.lock().unwrap().clone(),
        taken: taken.borrow().0,
        tries_while_away: server.tries_while_away.load(Ordering::Relaxed),
        waiting: backlog.samples,
        bytes: backlog.bytes,
        dropped: backlog.dropped.by_size
            + backlog.dropped.by_age
            + backlog.dropped.by_damage
            + backlog.dropped_from_memory,
        most_in_memory: taken.borrow().1,
    };
    drop(outbox);
    std::fs::remove_dir_all(&folder).unwrap();
    outcome
}

/// Every sample that was taken has come, each once, and the newest never waited for the backlog.
fn nothing_was_lost(outcome: &Outcome, interval: Duration, back: Duration) {
    let numbers: BTreeSet<u64> = outcome.came.iter().map(|(number, _)| *number).collect();
    assert_eq!(outcome.dropped, 0);
    assert_eq!(numbers.len(), outcome.came.len(), "a sample came twice");
    assert_eq!(
        numbers.len() as u64 + outcome.waiting,
        outcome.taken,
        "a sample was lost"
    );
    assert!(
        outcome.most_in_memory <= 2,
        "memory grew to {} samples",
        outcome.most_in_memory
    );
    // The newest of each interval after the return came within two intervals: the first after the longest wait for a retry.
    let first_back = outcome.came.iter().find(|(_, at)| *at >= back).unwrap();
    assert!(
        first_back.1 - back <= Duration::from_secs(60) + interval,
        "{first_back:?}"
    );
    let mut newest = 0;
    let live: Vec<Duration> = outcome
        .came
        .iter()
        .filter(|(number, _)| {
            let is_newest = *number > newest;
            newest = newest.max(*number);
            is_newest
        })
        .map(|(_, at)| *at)
        .filter(|at| *at >= back)
        .collect();
    let gaps = live.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = gaps.max().unwrap();
    assert!(longest <= interval * 2, "the newest waited {longest:?}");
    // Behind it the backlog came in its order.
    let late: Vec<u64> = {
        let mut newest = 0;
        let came = outcome.came.iter().filter(|(_, at)| *at >= back);
        came.filter(|(number, _)| {
            let is_late = *number < newest;
            newest = newest.max(*number);
            is_late
        })
        .map(|(number, _)| *number)
        .collect()
    };
    assert!(late.is_sorted(), "the backlog came out of order");
}

#[tokio::test(start_paused = true)]
async fn a_day_without_a_server_loses_nothing() {
    let (away, interval) = (HOUR..HOUR + DAY, Duration::from_secs(10));
    let back = away.end;
    let outcome = simulate("day", "10s", "8", away, back + 4 * HOUR).await;
    nothing_was_lost(&outcome, interval, back);
    assert_eq!(outcome.waiting, 0, "the backlog was sent within four hours");
    println!(
        "a day of 10 s samples: {} taken, {} came, {} tries while the server was away",
        outcome.taken,
        outcome.came.len(),
        outcome.tries_while_away
    );
    // Full jitter between 5 and 60 s: far fewer tries than the 8,640 samples.
    assert!(
        outcome.tries_while_away < 4_000,
        "{}",
        outcome.tries_while_away
    );
}

#[tokio::test(start_paused = true)]
async fn a_month_without_a_server_fits_into_a_mebibyte_and_loses_nothing() {
    let (away, interval) = (HOUR..HOUR + 30 * DAY, Duration::from_secs(60));
    let back = away.end;
    // As much of the way back as shows that it works; all of it would be 12 hours.
    let outcome = simulate("month", "1m", "1", away, back + HOUR).await;
    nothing_was_lost(&outcome, interval, back);
    println!(
        "30 days of one-minute samples: {} taken, {} came in the hour after, {} wait in {} bytes",
        outcome.taken,
        outcome.came.len(),
        outcome.waiting,
        outcome.bytes
    );
    assert!(outcome.waiting > 38_000 && outcome.bytes <= 1 << 20);
}
