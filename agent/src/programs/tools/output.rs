//! Files that a tool makes: whole or not at all, and over nothing that is there unless that was asked for.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Readers {
    Owner,
    All,
}

/// Writes a file; with `force` in place of one that is there.
pub(super) fn write(
    path: &Path,
    bytes: &[u8],
    readers: Readers,
    force: bool,
) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    check_free(path, force)?;
    let draft = beside(path);
    let written = fill(&draft, bytes, readers).and_then(|()| {
        if force {
            std::fs::rename(&draft, path)
        } else {
            // Unlike a rename, this never replaces what somebody else made meanwhile.
            std::fs::hard_link(&draft, path)
        }
    });
    if written.is_err() || !force {
        let _ = std::fs::remove_file(&draft);
    }
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken(path)),
        Err(error) => Err(fail(error)),
        Ok(()) => Ok(()),
    }
}

/// Says so if a file is there and may not be replaced: before there is half of the work.
pub(super) fn check_free(path: &Path, force: bool) -> Result<(), String> {
    if !force && std::fs::symlink_metadata(path).is_ok() {
        return Err(taken(path));
    }
    Ok(())
}

fn taken(path: &Path) -> String {
    format!(
        "{}: is there already; --force overwrites it",
        path.display()
    )
}

/// A name in the same folder that nobody has.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

fn fill(path: &Path, bytes: &[u8], readers: Readers) -> std::io::Result<()> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    let mut options = File::options();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_by_force_and_a_link_never_written_through() {
        let folder =
            std::env::temp_dir().join(format!("sigma-agent-output-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (target, path) = (folder.join("target"), folder.join("link"));
        std::fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();

        let why = write(&path, b"new", Readers::All, false).unwrap_err();
        assert!(why.contains("--force"), "{why}");
        write(&path, b"new", Readers::Owner, true).unwrap();

        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read(&target).unwrap(), b"precious");
        let names = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(names, 2, "nothing is left behind");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
