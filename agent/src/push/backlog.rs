//! Samples that could not be sent, kept on disk, and in memory while the disk does not take them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metricpush::{ROW_WORDS, Sample};
use spool::{Coding, Dropped, Options, Spool, Sync};
use tokio::sync::Semaphore;

use crate::cli;
use crate::place::in_time;

/// Samples that memory holds for a disk that takes none: some hours of one every ten seconds, in 100 KiB.
const MOST_IN_MEMORY: usize = 1000;

/// A sample without its hostname, as it is stored.
type Row = [u64; ROW_WORDS];

/// A sample that waits, and how to say that it need not any more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) sample: Sample,
    ticket: Ticket,
}

/// Where a sample waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ticket {
    Disk(u64),
    Memory(Row),
}

/// How much waits, and what was given up.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Figures {
    pub(crate) samples: u64,
    /// On disk.
    pub(crate) bytes: u64,
    /// Whether the disk takes samples; `None` before it was asked.
    pub(crate) on_disk: Option<bool>,
    pub(crate) dropped: Dropped,
    /// Given up because the disk took none and memory was full.
    pub(crate) dropped_from_memory: u64,
}

/// The queue. Clones share it; everything that may wait for the disk does so on another thread.
#[derive(Clone)]
pub(crate) struct Backlog {
    disk: Arc<Mutex<Disk>>,
    memory: Arc<Mutex<Memory>>,
    /// One at a time has the disk: one that hangs holds one thread.
    turn: Arc<Semaphore>,
}

struct Disk {
    folder: PathBuf,
    options: Options,
    spool: Option<Spool>,
    /// What was said of a failure: it is said once.
    complaint: Option<String>,
    /// When samples that are too old were last looked for, in seconds since 1970.
    expired_at: u64,
}

/// A limit of days need not be kept to the second, and looking costs a read.
const EXPIRE_EVERY: u64 = 600;

#[derive(Default)]
struct Memory {
    /// What the disk has not taken yet, the oldest first.
    rows: VecDeque<Row>,
    figures: Figures,
}

impl Backlog {
    pub(crate) fn new(config: &cli::Backlog) -> Self {
        Self {
            disk: Arc::new(Mutex::new(Disk {
                folder: config.folder.clone(),
                options: options(config),
                spool: None,
                complaint: None,
                expired_at: 0,
            })),
            memory: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Keeps a sample. It is in memory at once; a disk that hangs holds nobody up.
    pub(crate) async fn keep(&self, sample: &Sample) {
        lock(&self.memory).push(sample.to_words());
        self.on_disk(Disk::take_over).await;
    }

    /// Opens what an earlier run has left, so that it counts from the start.
    pub(crate) async fn open(&self) {
        self.on_disk(Disk::take_over).await;
    }

    /// The sample that waits longest.
    pub(crate) async fn oldest(&self) -> Option<Waiting> {
        self.on_disk(|disk, memory| {
            disk.take_over(memory);
            let on_disk = disk.read(|spool| spool.peek(1));
            on_disk.or_else(|| waiting(*lock(memory).rows.front()?))
        })
        .await
        .flatten()
    }

    /// The sample that waits shortest.
    pub(crate) async fn newest(&self) -> Option<Waiting> {
        self.on_disk(|disk, memory| {
            disk.take_over(memory);
            let in_memory = lock(memory).rows.back().copied();
            match in_memory {
                Some(row) => waiting(row),
                None => disk.read(|spool| spool.newest(1)),
            }
        })
        .await
        .flatten()
    }

    /// Lets go of a sample and of all before it.
    pub(crate) async fn pass(&self, upto: &Waiting) {
        let ticket = upto.ticket;
        self.on_disk(move |disk, memory| {
            match ticket {
                Ticket::Disk(sequence) => {
                    disk.write(|spool| spool.acknowledge(sequence));
                }
                Ticket::Memory(row) => {
                    disk.write(|spool| match spool.newest(1)?.first() {
                        Some(last) => spool.acknowledge(last.sequence),
                        None => Ok(()),
                    });
                    lock(memory).pass(&row);
                }
            }
            disk.count(memory);
        })
        .await;
    }

    /// How many samples the disk has not taken yet.
    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        lock(&self.memory).rows.len()
    }

    pub(crate) fn figures(&self) -> Figures {
        lock(&self.memory).figures
    }

    /// Does work with the disk on a thread that may wait for it; `None` if that takes too long.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Disk, &Mutex<Memory>) -> T + Send + 'static,
    ) -> Option<T> {
        let (disk, memory) = (Arc::clone(&self.disk), Arc::clone(&self.memory));
        in_time(&self.turn, move || work(&mut lock(&disk), &memory)).await
    }
}

/// How the queue is kept on disk: synced when a segment is full, since one sample lost by a power cut is no loss of a history.
pub(crate) fn options(config: &cli::Backlog) -> Options {
    Options {
        coding: Coding::Words,
        sync: Sync::OnSegment,
        max_bytes: config.bytes,
        max_record_bytes: 8 * 1024,
        max_age: Some(config.age),
    }
}

impl Disk {
    /// Moves what memory holds to the disk, as far as the disk takes it, and counts.
    fn take_over(&mut self, memory: &Mutex<Memory>) {
        self.open();
        self.expire(seconds(SystemTime::now()));
        loop {
            let Some(row) = lock(memory).rows.front().copied() else {
                break;
            };
            let at = Sample::from_words(&row).map_or(0, |sample| seconds(sample.time));
            let bytes: Vec<u8> = row.iter().flat_map(|word| word.to_le_bytes()).collect();
            if self
                .write(|spool| spool.append(at, &bytes).map(drop))
                .is_none()
            {
                break;
            }
            lock(memory).pass(&row);
        }
        self.count(memory);
    }

    fn expire(&mut self, now: u64) {
        // A clock that was set back is as good a reason to look.
        if now.abs_diff(self.expired_at) >= EXPIRE_EVERY {
            self.expired_at = now;
            self.write(|spool| spool.expire(now).map(drop));
        }
    }

    fn open(&mut self) {
        if self.spool.is_some() {
            return;
        }
        match Spool::open(&self.folder, self.options.clone()) {
            Ok(spool) => {
                let recovered = *spool.recovered();
                if recovered != Default::default() {
                    tracing::warn!(
                        folder = %self.folder.display(),
                        cut_bytes = recovered.cut_bytes,
                        damaged_records = recovered.damaged_records,
                        position_lost = recovered.position_lost,
                        "the backlog was damaged and has been mended"
                    );
                }
                self.spool = Some(spool);
            }
            Err(error) => self.complain(&error),
        }
    }

    fn complain(&mut self, error: &spool::Error) {
        let words = error.to_string();
        if self.complaint.as_ref() != Some(&words) {
            tracing::warn!(
                error = words,
                "the disk does not take samples that could not be sent; up to {MOST_IN_MEMORY} are kept in memory"
            );
            self.complaint = Some(words);
        }
    }

    /// Does something with the spool; `None` if there is none or it fails, which is said once.
    fn write<T>(&mut self, work: impl FnOnce(&mut Spool) -> Result<T, spool::Error>) -> Option<T> {
        match work(self.spool.as_mut()?) {
            Ok(done) => {
                if self.complaint.take().is_some() {
                    tracing::info!("the disk takes samples again");
                }
                Some(done)
            }
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    fn read(
        &mut self,
        read: impl FnOnce(&mut Spool) -> Result<Vec<spool::Record>, spool::Error>,
    ) -> Option<Waiting> {
        let record = self.write(read)?.pop()?;
        Some(Waiting {
            sample: sample(&record)?,
            ticket: Ticket::Disk(record.sequence),
        })
    }

    fn count(&self, memory: &Mutex<Memory>) {
        let mut memory = lock(memory);
        let in_memory = memory.rows.len() as u64;
        let figures = &mut memory.figures;
        figures.on_disk = Some(self.spool.is_some() && self.complaint.is_none());
        figures.samples = in_memory;
        if let Some(spool) = &self.spool {
            figures.samples += spool.len();
            figures.bytes = spool.bytes();
            figures.dropped = spool.dropped();
        }
    }
}

impl Memory {
    fn push(&mut self, row: Row) {
        self.rows.push_back(row);
        self.figures.samples += 1;
        if self.rows.len() > MOST_IN_MEMORY {
            self.rows.pop_front();
            self.figures.samples -= 1;
            self.figures.dropped_from_memory += 1;
        }
    }

    /// Lets go of a row and all before it.
    fn pass(&mut self, row: &Row) {
        if let Some(at) = self.rows.iter().position(|other| other == row) {
            self.rows.drain(..=at);
        }
    }
}

/// The sample in a record of the spool; `None` for one that this program did not write.
pub(super) fn sample(record: &spool::Record) -> Option<Sample> {
    let (words, rest) = record.bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    rest.is_empty()
        .then(|| Sample::from_words(&words))
        .flatten()
}

fn waiting(row: Row) -> Option<Waiting> {
    Some(Waiting {
        sample: Sample::from_words(&row)?,
        ticket: Ticket::Memory(row),
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

/// A poisoned lock holds a whole value all the same: nothing here is changed in steps that matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
