//! A log file that is begun anew when it has grown to its size.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The open file, and what was written to it.
pub(crate) struct LogFile {
    path: PathBuf,
    /// `None` after a failed start over: the next line tries again.
    file: Option<File>,
    written: u64,
    /// The size at which it is renamed to `FILE.1`, in place of the one before it.
    limit: u64,
}

impl LogFile {
    pub(crate) fn open(path: &Path, limit: u64) -> Result<Self, String> {
        let (file, written) = append(path)
            .map_err(|error| format!(
                "cannot open the log file {}: {error}; make its folder and let the agent's user write there, or set --log-file",
                path.display()
            ))?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(file),
            written,
            limit,
        })
    }

    /// Writes a line. A full disk loses lines and stops nobody: they go to the other output as well.
    pub(crate) fn write(&mut self, line: &[u8]) {
        let length = line.len() as u64;
        if self.written > 0 && self.written.saturating_add(length) > self.limit {
            self.start_over();
        }
        if self.file.is_none()
            && let Ok((file, written)) = append(&self.path)
        {
            (self.file, self.written) = (Some(file), written);
        }
        if let Some(file) = &mut self.file
            && file.write_all(line).is_ok()
        {
            self.written = self.written.saturating_add(length);
        }
    }

    fn start_over(&mut self) {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        self.file = None;
        // Where it cannot be renamed it goes on growing: losing lines would be worse.
        if std::fs::rename(&self.path, &old).is_err() {
            self.limit = self.limit.saturating_mul(2);
        }
    }
}

fn append(path: &Path) -> std::io::Result<(File, u64)> {
    let mut options = File::options();
    let file = options.create(true).append(true).mode(0o640).open(path)?;
    let written = file.metadata()?.len();
    Ok((file, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_room_and_the_one_before_it_is_kept() {
        let folder = std::env::temp_dir().join(format!("sigma-agent-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("agent.log");
        let mut log = LogFile::open(&path, 20).unwrap();
        for line in [
            "line one\n",
            "line two\n",
            "line three\n",
            "a line longer than the limit\n",
        ] {
            log.write(line.as_bytes());
        }
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("agent.log"), "a line longer than the limit\n");
        assert_eq!(read("agent.log.1"), "line three\n");
        drop(log);
        LogFile::open(&path, 100).unwrap().write(b"more\n");
        assert_eq!(read("agent.log"), "a line longer than the limit\nmore\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let why = LogFile::open(Path::new("/nonexistent/agent.log"), 1)
            .err()
            .unwrap();
        assert!(why.contains("/nonexistent/agent.log"), "{why}");
    }
}
