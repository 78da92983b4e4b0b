//! The mount table, read again only when the kernel says that it has changed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Error, Result};
use crate::file::{ServedBy, read_open, served_by};
use crate::parse::{self, Mount};

/// The table as it was read last, from procfs.
#[derive(Debug, Default)]
pub(crate) struct MountTable(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    /// Stays open: the kernel tells whoever polls it of changes since it was opened, or last told.
    file: File,
    mounts: Arc<[Mount]>,
}

impl MountTable {
    /// The mounts that `path` lists now.
    pub(crate) fn read(&self, path: &Path) -> Result<Arc<[Mount]>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.path == path)
            && !has_changed(&kept.file)
        {
            return Ok(Arc::clone(&kept.mounts));
        }
        let file = File::open(path).map_err(|e| Error::read(path, e))?;
        let bytes = read_open(path, &file)?;
        let mounts = parse::mountinfo(&bytes).map_err(|e| Error::parse(path, e))?;
        let mounts: Arc<[Mount]> = mounts.into();
        // A copy of the file tells nobody when it is replaced.
        *kept = (served_by(&file) == ServedBy::Proc).then(|| Kept {
            path: path.to_owned(),
            file,
            mounts: Arc::clone(&mounts),
        });
        Ok(mounts)
    }
}

/// Whether a mount was made, moved or changed since the file was opened or this was asked last.
fn has_changed(file: &File) -> bool {
    let mut asked = [PollFd::new(file, PollFlags::PRI)];
    let at_once = Timespec::default();
    match poll(&mut asked, Some(&at_once)) {
        Ok(_) => asked
            .iter()
            .any(|file| file.revents().intersects(PollFlags::PRI | PollFlags::ERR)),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const TABLE: &str = "/proc/self/mountinfo";
    const NAME: &str = "mounts::tests::a_kept_table_shows_what_is_mounted_and_unmounted";

    /// Does this test once more in a mount namespace of its own.
    fn in_own_namespace() -> bool {
        let inner = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env("SYSINFO_OWN_MOUNTS", "1")
            .output();
        match inner {
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare failed") => {
                false
            }
            Ok(output) => {
                assert!(output.status.success(), "{output:?}");
                true
            }
            Err(_) => false,
        }
    }

    #[test]
    fn a_kept_table_shows_what_is_mounted_and_unmounted() {
        if std::env::var_os("SYSINFO_OWN_MOUNTS").is_none() {
            if !in_own_namespace() {
                println!("skipped: needs unshare(1) and root");
            }
            return;
        }
        let place = std::env::temp_dir().join(format!("sysinfo-mounts-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let table = MountTable::default();
        let read = || table.read(Path::new(TABLE)).unwrap();
        let listed = |mounts: &[Mount]| mounts.iter().any(|mount| mount.mount_point == place);
        let before = read();
        assert!(
            Arc::ptr_eq(&before, &read()),
            "nothing changed, so nothing was read"
        );
        for _ in 0..3 {
            let none = rustix::mount::MountFlags::empty();
            rustix::mount::mount("none", &place, "tmpfs", none, None).unwrap();
            assert!(listed(&read()));
            assert!(Arc::ptr_eq(&read(), &read()));
            rustix::mount::mount_remount(&place, rustix::mount::MountFlags::RDONLY, "").unwrap();
            let mounts = read();
            let own = mounts
                .iter()
                .find(|mount| mount.mount_point == place)
                .unwrap();
            assert!(own.options.to_string_lossy().starts_with("ro"), "{own:?}");
            rustix::mount::unmount(&place, rustix::mount::UnmountFlags::empty()).unwrap();
            assert!(!listed(&read()));
        }
        std::fs::remove_dir(&place).unwrap();
    }

    #[test]
    fn a_copy_of_the_table_is_read_each_time() {
        let place = std::env::temp_dir().join(format!("sysinfo-copy-{}", std::process::id()));
        let table = MountTable::default();
        for point in ["/one", "/two"] {
            std::fs::write(
                &place,
                format!("27 1 254:0 / {point} rw - ext4 /dev/vda rw\n"),
            )
            .unwrap();
            let mounts = table.read(&place).unwrap();
            assert_eq!(mounts.first().unwrap().mount_point, Path::new(point));
        }
        std::fs::remove_file(&place).unwrap();
    }
}
