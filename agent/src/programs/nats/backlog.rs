//! Messages that must not be lost, on disk before they are sent, and in memory while the disk does not take them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use spool::{Coding, Options, Spool, Sync};
use tokio::sync::Semaphore;

use super::link::Link;
use crate::place::in_time;
use crate::programs::outbox::{Message, Subject};

/// How much waits on disk at most: some 40,000 events.
const MAX_BYTES: u64 = 16 << 20;
const MAX_RECORD_BYTES: u64 = 256 << 10;
/// Nobody acts on what is older.
const MAX_AGE: Duration = Duration::from_secs(7 * 86_400);
/// How many messages memory holds for a disk that takes none.
const MOST_IN_MEMORY: usize = 1_000;

/// A message that waits, and its number on disk if it is there.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Waiting {
    pub(super) message: Message,
    sequence: Option<u64>,
}

/// The queue. Everything that may wait for the disk does so on another thread.
#[derive(Clone)]
pub(super) struct Backlog {
    disk: Arc<Mutex<Disk>>,
    /// What the disk has not taken yet, the oldest first.
    memory: Arc<Mutex<VecDeque<Message>>>,
    /// One at a time has the disk: one that hangs holds one thread.
    turn: Arc<Semaphore>,
    link: Arc<Link>,
}

struct Disk {
    folder: PathBuf,
    spool: Option<Spool>,
}

impl Backlog {
    pub(super) fn new(folder: PathBuf, link: Arc<Link>) -> Self {
        Self {
            disk: Arc::new(Mutex::new(Disk {
                folder,
                spool: None,
            })),
            memory: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
            link,
        }
    }

    /// Keeps messages until they are passed. They are in memory at once; a disk that hangs holds nobody up.
    pub(super) async fn keep(&self, messages: Vec<Message>) {
        let surplus = {
            let mut memory = lock(&self.memory);
            memory.extend(messages);
            let surplus = memory.len().saturating_sub(MOST_IN_MEMORY);
            memory.drain(..surplus);
            surplus
        };
        self.link.dropped(surplus as u64);
        if self.on_disk(Disk::take_over).await.is_none() {
            let why = "the disk does not answer in time";
            self.link.failed("events are kept in memory alone", why);
        }
    }

    /// The oldest messages, at most `most`.
    pub(super) async fn oldest(&self, most: usize) -> Vec<Waiting> {
        let on_disk = self.on_disk(move |disk, _, link| disk.oldest(most, link));
        let on_disk = on_disk.await.unwrap_or_default();
        if !on_disk.is_empty() {
            return on_disk;
        }
        let memory = lock(&self.memory);
        let oldest = memory.iter().take(most).cloned();
        oldest
            .map(|message| Waiting {
                message,
                sequence: None,
            })
            .collect()
    }

    /// Lets go of a message and of all before it.
    pub(super) async fn pass(&self, upto: Waiting) {
        let Some(sequence) = upto.sequence else {
            pass_in_memory(&self.memory, &upto.message.id);
            self.on_disk(|disk, memory, link| disk.count(memory, link))
                .await;
            return;
        };
        self.on_disk(move |disk, memory, link| disk.pass(sequence, memory, link))
            .await;
    }

    /// Makes what waits survive a power cut too.
    pub(super) async fn sync(&self) {
        self.on_disk(|disk, _, _| disk.spool.as_mut().map(Spool::sync))
            .await;
    }

    /// Does work with the disk on a thread that may wait for it; `None` if that takes too long.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Disk, &Mutex<VecDeque<Message>>, &Link) -> T + Send + 'static,
    ) -> Option<T> {
        let (disk, memory) = (Arc::clone(&self.disk), Arc::clone(&self.memory));
        let link = Arc::clone(&self.link);
        in_time(&self.turn, move || work(&mut lock(&disk), &memory, &link)).await
    }
}

impl Disk {
    /// Moves what memory holds to the disk, as far as the disk takes it, and counts.
    fn take_over(&mut self, memory: &Mutex<VecDeque<Message>>, link: &Link) {
        self.open(link);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let dropped = self.dropped();
        if let Some(spool) = &mut self.spool {
            let _ = spool.expire(now);
            loop {
                let Some(message) = lock(memory).front().cloned() else {
                    break;
                };
                match spool.append(now, &record(&message)) {
                    Ok(_) => {}
                    Err(error) if error.is_too_large() => link.dropped(1),
                    Err(error) => {
                        link.failed("the disk does not take events", &error.to_string());
                        break;
                    }
                }
                pass_in_memory(memory, &message.id);
            }
        }
        link.dropped(self.dropped().saturating_sub(dropped));
        self.count(memory, link);
    }

    fn open(&mut self, link: &Link) {
        if self.spool.is_some() {
            return;
        }
        let options = Options {
            coding: Coding::Bytes,
            sync: Sync::OnSegment,
            max_bytes: MAX_BYTES,
            max_record_bytes: MAX_RECORD_BYTES,
            max_age: Some(MAX_AGE),
        };
        match Spool::open(&self.folder, options) {
            Ok(spool) => self.spool = Some(spool),
            Err(error) => link.failed("events are kept in memory alone", &error.to_string()),
        }
    }

    fn oldest(&mut self, most: usize, link: &Link) -> Vec<Waiting> {
        let Some(spool) = &mut self.spool else {
            return Vec::new();
        };
        let records = spool.peek(most).unwrap_or_else(|error| {
            link.failed("events on disk cannot be read", &error.to_string());
            Vec::new()
        });
        let mut waiting = Vec::new();
        for record in records {
            match message(&record.bytes) {
                Some(message) => waiting.push(Waiting {
                    message,
                    sequence: Some(record.sequence),
                }),
                // Not written by this program. Passed over when the one behind it is passed, or at once if there is none.
                None if waiting.is_empty() => drop(spool.acknowledge(record.sequence)),
                None => {}
            }
        }
        waiting
    }

    fn pass(&mut self, sequence: u64, memory: &Mutex<VecDeque<Message>>, link: &Link) {
        let passed = self.spool.as_mut().map(|spool| spool.acknowledge(sequence));
        if let Some(Err(error)) = passed {
            link.failed("the disk does not take what was sent", &error.to_string());
        }
        self.count(memory, link);
    }

    /// What the spool had to give up so far.
    fn dropped(&self) -> u64 {
        let dropped = self.spool.as_ref().map(Spool::dropped);
        dropped.map_or(0, |all| all.by_size + all.by_age + all.by_damage)
    }

    fn count(&self, memory: &Mutex<VecDeque<Message>>, link: &Link) {
        let on_disk = self.spool.as_ref().map_or(0, Spool::len);
        link.waiting(on_disk + lock(memory).len() as u64);
    }
}

fn pass_in_memory(memory: &Mutex<VecDeque<Message>>, id: &str) {
    let mut memory = lock(memory);
    if let Some(at) = memory.iter().position(|message| message.id == id) {
        memory.drain(..=at);
    }
}

fn record(message: &Message) -> Vec<u8> {
    let subject = match message.subject {
        Subject::Telemetry => "telemetry",
        Subject::RollbackStatus => "rollback_status",
        Subject::Alerts => "alerts",
    };
    json!({"subject": subject, "id": message.id, "body": message.body})
        .to_string()
        .into_bytes()
}

/// The message in a record; `None` for one that this program did not write.
fn message(record: &[u8]) -> Option<Message> {
    let mut value: Value = serde_json::from_slice(record).ok()?;
    let subject = match value.get("subject")?.as_str()? {
        "telemetry" => Subject::Telemetry,
        "rollback_status" => Subject::RollbackStatus,
        "alerts" => Subject::Alerts,
        _ => return None,
    };
    Some(Message {
        subject,
        id: value.get("id")?.as_str()?.to_owned(),
        body: value.get_mut("body")?.take(),
        keep: true,
    })
}

/// A poisoned lock holds a whole value all the same: nothing here is changed in steps that matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_there_is_no_disk_memory_keeps_them_in_their_order() {
        let backlog = Backlog::new("/dev/null/nowhere".into(), Arc::new(Link::new()));
        let message = |number: usize| Message {
            subject: Subject::Alerts,
            body: Value::Null,
            keep: true,
            id: number.to_string(),
        };
        backlog
            .keep((0..MOST_IN_MEMORY + 5).map(message).collect())
            .await;
        let figures = backlog.link.figures();
        assert_eq!(
            (figures.waiting, figures.dropped),
            (MOST_IN_MEMORY as u64, 5)
        );
        assert!(figures.last_error.unwrap().contains("memory alone"));
        let mut oldest = backlog.oldest(3).await;
        let ids: Vec<&str> = oldest.iter().map(|one| one.message.id.as_str()).collect();
        assert_eq!(ids, ["5", "6", "7"]);
        backlog.pass(oldest.remove(1)).await;
        assert_eq!(backlog.oldest(1).await[0].message.id, "7");
        assert_eq!(backlog.link.figures().waiting, MOST_IN_MEMORY as u64 - 2);
    }

    #[test]
    fn a_record_is_the_message_again() {
        for subject in [Subject::Telemetry, Subject::RollbackStatus, Subject::Alerts] {
            let sent = Message {
                subject,
                body: json!({"a": [1, "ä"]}),
                keep: true,
                id: "h-1-2".to_owned(),
            };
            assert_eq!(message(&record(&sent)), Some(sent));
        }
        assert_eq!(message(b"{}"), None);
    }
}
