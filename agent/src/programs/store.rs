//! A folder of the agent's own, in which a file is either the old one or the new one, whatever happens.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// How many files of a folder are looked at.
const MOST_FILES: usize = 10_000;

/// An open folder. Everything in it goes by the descriptor, so that nobody can put another folder in its place.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    folder: File,
}

impl Store {
    /// Opens the folder, and makes it if need be. One that belongs to another user, is a link, or lets others write is refused.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above).map_err(|why| fail(&why))?;
        }
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(why) => return Err(fail(&why)),
        }
        let store = Self::at(path)?;
        if store.owner()? != rustix::process::geteuid().as_raw() {
            return Err(fail(&"the folder is another user's"));
        }
        rustix::fs::fchmod(&store.folder, Mode::RWXU).map_err(|why| fail(&why))?;
        Ok(store)
    }

    /// Opens the folder of an agent, to leave a word for it: as the agent's user, or as root.
    pub(crate) fn visit(path: &Path) -> Result<Self, String> {
        let store = Self::at(path)?;
        let (owner, own) = (store.owner()?, rustix::process::geteuid());
        if owner != own.as_raw() && !own.is_root() {
            return Err(format!(
                "{}: the folder is another user's: be that user, or root",
                path.display()
            ));
        }
        Ok(store)
    }

    fn at(path: &Path) -> Result<Self, String> {
        let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|why| fail(&format_args!("{why} (a link, or no folder)")))?;
        let meta = rustix::fs::fstat(&folder).map_err(|why| fail(&why))?;
        if meta.st_mode & 0o022 != 0 {
            return Err(fail(&"others may write into the folder: chmod 0700 it"));
        }
        Ok(Self {
            path: path.to_owned(),
            folder: folder.into(),
        })
    }

    fn owner(&self) -> Result<u32, String> {
        let meta = rustix::fs::fstat(&self.folder);
        meta.map(|meta| meta.st_uid)
            .map_err(|why| format!("{}: {why}", self.path.display()))
    }

    /// Puts a file in place: whole, on the disk, or not at all.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let new = format!("{name}.new");
        let put = || -> std::io::Result<()> {
            let flags = OFlags::WRONLY
                | OFlags::CREATE
                | OFlags::TRUNC
                | OFlags::NOFOLLOW
                | OFlags::CLOEXEC;
            let mut file: File =
                rustix::fs::openat(&self.folder, &new, flags, Mode::RUSR | Mode::WUSR)?.into();
            file.write_all(bytes)?;
            file.sync_all()?;
            rustix::fs::renameat(&self.folder, &new, &self.folder, name)?;
            self.folder.sync_all()
        };
        put().map_err(|why| self.fail(name, &why))
    }

    /// A file's bytes; `None` if there is no such file. One longer than `most` is an error.
    pub(crate) fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = match rustix::fs::openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => file.into(),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(why) => return Err(self.fail(name, &why)),
        };
        let mut bytes = Vec::new();
        let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|why| self.fail(name, &why))?;
        if u64::try_from(bytes.len()).map_or(true, |length| length > most) {
            return Err(self.fail(name, &"longer than it can be"));
        }
        Ok(Some(bytes))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), String> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(why) => Err(self.fail(name, &why)),
        }
    }

    /// The names of the files in it.
    pub(crate) fn names(&self) -> Result<Vec<String>, String> {
        let fail = |why: rustix::io::Errno| format!("{}: {why}", self.path.display());
        let entries = rustix::fs::Dir::read_from(&self.folder).map_err(fail)?;
        let mut names = Vec::new();
        for entry in entries.take(MOST_FILES) {
            let name = entry.map_err(fail)?.file_name().to_str().map(str::to_owned);
            names.extend(name.ok().filter(|name| name != "." && name != ".."));
        }
        Ok(names)
    }

    fn fail(&self, name: &str, why: &dyn std::fmt::Display) -> String {
        format!("{}: {why}", self.path.join(name).display())
    }
}

/// Whether a folder can be used; nothing is written.
pub(crate) fn try_folder(path: &Path) -> Result<(), String> {
    Store::open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("sigma-store-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_is_written_is_read_back_and_nobody_else_can() {
        let path = folder("roundtrip");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.read("a", 10).unwrap(), None);
        store.write("a", b"one").unwrap();
        store.write("a", b"two").unwrap();
        assert_eq!(store.read("a", 3).unwrap().unwrap(), b"two");
        assert!(store.read("a", 2).is_err());
        assert_eq!(store.names().unwrap(), ["a"]);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("a"))), (0o700, 0o600));
        store.remove("a").unwrap();
        store.remove("a").unwrap();
        assert!(store.names().unwrap().is_empty());
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn links_and_folders_that_others_may_write_are_refused() {
        let path = folder("refused");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Store::open(&path).unwrap_err().contains("others may write"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let link = folder("link");
        let _ = std::fs::remove_file(&link);
        symlink(&path, &link).unwrap();
        assert!(Store::open(&link).is_err());
        let store = Store::open(&path).unwrap();
        symlink("/etc/hostname", path.join("a")).unwrap();
        assert!(store.read("a", 100).is_err());
        std::fs::remove_file(&link).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
    }
}
