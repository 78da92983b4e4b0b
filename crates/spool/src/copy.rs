//! What a folder holds at one moment, in memory: for those who want to see a queue without owning it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::disk::{File, Folder};
use crate::host;

/// A file in memory; whoever has it open keeps it, whatever happens to its name.
type Content = Arc<Mutex<Vec<u8>>>;

/// The copy. What is done to it stays in it.
pub(crate) struct Copy(BTreeMap<String, Content>);

impl Copy {
    /// Reads every file that could be one of a spool's, up to `most_bytes` in all.
    pub(crate) fn of(path: &Path, most_bytes: u64) -> Result<Self, Error> {
        let refused = |source| Error::Disk {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let mut folder = host::Reader::open(path).map_err(refused)?;
        let mut left = most_bytes;
        let mut files = BTreeMap::new();
        for name in folder.list().map_err(refused)? {
            let bytes = match folder.read(&name, left) {
                // Its owner was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(refused)?,
            };
            left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            files.insert(name, Arc::new(Mutex::new(bytes)));
        }
        Ok(Self(files))
    }
}

impl Folder for Copy {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn File>> {
        let content = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Open(Arc::clone(content))))
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn File>> {
        let content = Content::default();
        self.0.insert(name.to_owned(), Arc::clone(&content));
        Ok(Box::new(Open(content)))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let content = self.0.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.0.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.remove(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Open(Content);

impl Open {
    fn content(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File for Open {
    fn length(&mut self) -> io::Result<u64> {
        Ok(u64::try_from(self.content().len()).unwrap_or(u64::MAX))
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = content.get(offset..).unwrap_or_default();
        let count = from.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut content = self.content();
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = start.saturating_add(bytes.len());
        if content.len() < end {
            content.resize(end, 0);
        }
        if let Some(place) = content.get_mut(start..end) {
            place.copy_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.content()
            .truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
