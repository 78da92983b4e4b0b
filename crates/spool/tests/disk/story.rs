//! The life of a spool on a disk that fails, next to an oracle that knows what must be in it.

use std::collections::BTreeMap;
use std::path::Path;

use spool::{Coding, Error, Options, Record, Spool, Sync};

use crate::random::Random;
use crate::simulated::Disk;

/// What is known about an appended record.
#[derive(Clone, Debug)]
struct Known {
    record: Record,
    /// A power cut cannot take it away.
    durable: bool,
}

/// How the machine went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process was killed.
    Kill,
    /// The power went; so many percent of what was not synced reached the disk.
    Power(u64),
}

pub struct Story {
    pub disk: Disk,
    options: Options,
    /// Appends large records and acknowledges none, so that the oldest are dropped.
    pub hoards: bool,
    random: Random,
    spool: Option<Spool>,
    /// All records whose append returned a number.
    known: BTreeMap<u64, Known>,
    /// Records whose append failed: a restart may find them if the disk refused to take them back.
    failed: Vec<Vec<u8>>,
    /// The caller asked for all up to here to go.
    asked: u64,
    /// These have gone for certain, unless the power fails; and even then.
    acknowledged: u64,
    acknowledged_durably: u64,
    /// The largest number ever given.
    given: u64,
    clock: u64,
    /// So many had been dropped for size when the machine went down last.
    by_size: u64,
}

pub fn options(coding: Coding, sync: Sync) -> Options {
    // 2 KiB a segment, so that a short story has several.
    Options {
        coding,
        sync,
        max_bytes: 32 * 1024,
        max_record_bytes: 4096,
        max_age: None,
    }
}

impl Story {
    pub fn new(seed: u64, coding: Coding, sync: Sync) -> Self {
        Self {
            disk: Disk::new(seed),
            options: options(coding, sync),
            hoards: false,
            random: Random::new(seed),
            spool: None,
            known: BTreeMap::new(),
            failed: Vec::new(),
            asked: 0,
            acknowledged: 0,
            acknowledged_durably: 0,
            given: 0,
            clock: 1_800_000_000,
            by_size: 0,
        }
    }

    pub fn open(&mut self) -> Result<(), Error> {
        let spool = Spool::open_on(self.disk.folder(), Path::new("spool"), self.options.clone())?;
        self.spool = Some(spool);
        Ok(())
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().unwrap()
    }

    /// Lives through so many steps, or until the disk is gone. Errors are part of life.
    pub fn live(&mut self, steps: u64) {
        for _ in 0..steps {
            if self.disk.crashed() {
                return;
            }
            let _ = match self.random.below(20) {
                0..=13 => self.append(),
                14..=16 => self.acknowledge(),
                17 => self.sync(),
                18 => self.reopen(),
                _ => self.peek(),
            };
        }
    }

    fn some_record(&mut self) -> Vec<u8> {
        if self.hoards {
            let length = 8 * (90 + self.random.below(90));
            return (0..length)
                .map(|_| self.random.next().to_le_bytes()[0])
                .collect();
        }
        let length = match (self.options.coding, self.random.below(12)) {
            (Coding::Words, 0) => 8 * self.random.below(60),
            (Coding::Words, _) => 72,
            (_, 0) => self.random.below(1500),
            _ => self.random.below(120),
        };
        let steady = self.random.below(3) > 0;
        let mut next = || {
            if steady {
                self.random.next() % 7
            } else {
                self.random.next()
            }
        };
        (0..length).map(|_| next().to_le_bytes()[0]).collect()
    }

    pub fn append(&mut self) -> Result<(), Error> {
        self.clock += self.random.below(120);
        let (bytes, at_seconds) = (self.some_record(), self.clock);
        // An answer that never came leaves open what happened.
        self.failed.push(bytes.clone());
        let sequence = self.spool().append(at_seconds, &bytes)?;
        self.failed.pop();
        assert!(sequence > self.given, "number {sequence} was given again");
        self.given = sequence;
        let record = Record {
            sequence,
            at_seconds,
            bytes,
        };
        let durable = self.options.sync == Sync::Always;
        self.known.insert(sequence, Known { record, durable });
        Ok(())
    }

    pub fn acknowledge(&mut self) -> Result<(), Error> {
        if self.hoards {
            return Ok(());
        }
        let count = usize::try_from(self.random.below(12)).unwrap();
        let Some(last) = self.spool().peek(count)?.pop() else {
            return Ok(());
        };
        self.asked = self.asked.max(last.sequence);
        self.spool().acknowledge(last.sequence)?;
        self.acknowledged = self.acknowledged.max(last.sequence);
        if self.options.sync == Sync::Always {
            self.acknowledged_durably = self.acknowledged;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.spool().sync()?;
        for known in self.known.values_mut() {
            known.durable = true;
        }
        self.acknowledged_durably = self.acknowledged;
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.spool = None;
        let opened = self.open();
        if opened.is_err() && !self.disk.crashed() {
            // Whatever it was, it was one of so many faults, and opening changes nothing that matters.
            for _ in 0..1000 {
                if self.open().is_ok() {
                    return Ok(());
                }
            }
            panic!("a spool cannot be opened: {opened:?}");
        }
        opened
    }

    fn peek(&mut self) -> Result<(), Error> {
        let n = usize::try_from(self.random.below(30)).unwrap();
        let peeked = self.spool().peek(n)?;
        let all = self.all()?;
        assert_eq!(peeked, all[..n.min(all.len())]);
        let mut newest = self.spool().newest(n)?;
        newest.reverse();
        assert_eq!(newest, all[all.len() - n.min(all.len())..]);
        Ok(())
    }

    fn all(&mut self) -> Result<Vec<Record>, Error> {
        self.spool().iter()?.collect()
    }

    /// The machine goes down, and the spool is opened again.
    pub fn go_down(&mut self, end: End) {
        // Without a name that was synced, what was dropped may be back in part.
        let dropped = self
            .spool
            .as_ref()
            .map_or(0, |spool| spool.dropped().by_size)
            - self.by_size;
        if let Some(last) = usize::try_from(dropped).unwrap().checked_sub(1) {
            self.asked = self.asked.max(*self.known.keys().nth(last).unwrap());
        }
        self.spool = None;
        match end {
            End::Kill => self.disk.restart(),
            End::Power(percent) => self.disk.power_cut(percent),
        }
        self.open().unwrap();
        let found = self.all().unwrap();
        self.compare(&found, end);
        assert!(self.disk.bytes() <= self.options.max_bytes);
        let (claimed, readable) = (self.spool().len(), found.len() as u64);
        // A power cut makes holes in what was not synced; what was in them counts until reading comes there.
        let holes = self.options.sync == Sync::OnSegment && claimed > readable;
        assert!(claimed == readable || holes, "{claimed}, not {readable}");
        self.by_size = self.spool().dropped().by_size;
        // From here on, what was found is what there is.
        self.known = found
            .into_iter()
            .map(|record| {
                (
                    record.sequence,
                    Known {
                        record,
                        durable: false,
                    },
                )
            })
            .collect();
        self.given = self
            .given
            .max(self.known.last_key_value().map_or(0, |(last, _)| *last));
        if let Some(first) = self.known.keys().next() {
            self.asked = self.asked.min(first - 1);
            self.acknowledged = self.acknowledged.min(first - 1);
        }
        self.failed.clear();
        self.sync().unwrap();
    }

    fn compare(&mut self, found: &[Record], end: End) {
        let mut last = 0;
        for record in found {
            assert!(record.sequence > last, "{} behind {last}", record.sequence);
            last = record.sequence;
            match self.known.get(&last) {
                Some(known) => assert_eq!(record, &known.record),
                None => assert!(
                    self.failed.contains(&record.bytes),
                    "{last} was never appended"
                ),
            }
        }
        let by_size = self.spool().dropped().by_size;
        let first = found.first().map_or(u64::MAX, |record| record.sequence);
        let kept = |known: &&Known| end == End::Kill || known.durable;
        for known in self.known.values().filter(kept) {
            let sequence = known.record.sequence;
            let there = found
                .binary_search_by_key(&sequence, |record| record.sequence)
                .is_ok();
            let dropped = by_size > 0 && sequence < first;
            assert!(
                there || dropped || sequence <= self.asked,
                "{sequence} is lost"
            );
        }
        let gone = if end == End::Kill {
            self.acknowledged
        } else {
            self.acknowledged_durably
        };
        assert!(
            first > gone,
            "{first} is back, though {gone} was acknowledged"
        );
    }

    /// All faults are over: what is there is exactly what was appended and not acknowledged, and the queue works.
    pub fn heal(&mut self) {
        self.disk.fail(None);
        self.append().unwrap();
        self.spool().acknowledge(0).unwrap();
        let _ = self.peek();
        let found = self.all().unwrap();
        for record in &found {
            let known = self.known.get(&record.sequence).map(|known| &known.record);
            assert!(known == Some(record) || self.failed.contains(&record.bytes));
        }
        let asked = self.asked;
        let expected = self
            .known
            .keys()
            .filter(|sequence| **sequence > asked)
            .count();
        let may_be_left = self
            .known
            .keys()
            .filter(|sequence| **sequence > self.acknowledged)
            .count();
        let may_be_left = may_be_left + self.failed.len();
        assert!(
            (expected..=may_be_left).contains(&found.len()),
            "{} of {expected}",
            found.len()
        );
        assert_eq!(self.spool().dropped(), spool::Dropped::default());
    }
}
