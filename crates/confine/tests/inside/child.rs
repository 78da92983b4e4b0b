//! A process for one test, and what it may try there.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Tells the process that it is the child, and of which test.
const INSIDE: &str = "CONFINE_TEST_INSIDE";

/// Tells it where its folder is.
const FOLDER: &str = "CONFINE_TEST_FOLDER";

/// Runs the rest of the test in a process of its own: `work` may take away what it likes. `test` is the test's own path.
pub(crate) fn alone(test: &str, work: impl FnOnce()) {
    if is_inside(test) {
        return work();
    }
    let output = run(test, None);
    let said = text(&output);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    for line in said.lines().filter(|line| line.starts_with("skipped:")) {
        println!("{line}");
    }
}

/// The same as a user without any rights, where the tests run as root.
pub(crate) fn alone_as_nobody(test: &str, work: impl FnOnce()) {
    if is_inside(test) {
        return work();
    }
    let nobody = rustix::process::geteuid().is_root().then_some(65_534);
    // The program has to be where nobody can read it too.
    let Some(place) = readable_copy() else {
        println!("skipped: no folder from which another user can run this program");
        return;
    };
    let output = run_from(&place, test, nobody);
    std::fs::remove_file(&place).unwrap();
    let said = text(&output);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

pub(crate) fn is_inside(test: &str) -> bool {
    std::env::var_os(INSIDE).is_some_and(|name| name == test)
}

pub(crate) fn run(test: &str, user: Option<u32>) -> Output {
    run_from(&std::env::current_exe().unwrap(), test, user)
}

fn run_from(program: &PathBuf, test: &str, user: Option<u32>) -> Output {
    let folder = Folder::new(test);
    let mut command = Command::new(program);
    // One thread: the test runs on the first one, as a program's own profile does.
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, test)
        .env(FOLDER, &folder.0)
        .current_dir("/");
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command.output().unwrap()
}

fn readable_copy() -> Option<PathBuf> {
    use std::sync::atomic::{AtomicU32, Ordering};

    static NUMBER: AtomicU32 = AtomicU32::new(0);

    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("confine-{}-{number}", std::process::id()));
    // By another process: a file that this one has open for writing cannot be started, nor while a process that another test starts right
    // now still has it open.
    let copy = Command::new("install")
        .args(["-m", "755"])
        .arg(std::env::current_exe().unwrap())
        .arg(&path)
        .status();
    copy.is_ok_and(|status| status.success()).then_some(path)
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// A system call by its number, and what the kernel says to it.
#[allow(unsafe_code, reason = "forbidden calls have no safe names")]
pub(crate) fn call(
    number: libc::c_long,
    arguments: [libc::c_long; 5],
) -> Result<libc::c_long, i32> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the arguments are numbers and null pointers; what a kernel does with those touches no memory of ours.
    // The sixth argument is told too: that of mmap would be whatever the register holds.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, 0) };
    if result == -1 {
        Err(io::Error::last_os_error().raw_os_error().unwrap())
    } else {
        Ok(result)
    }
}

/// The error's number.
pub(crate) fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

/// A folder for the test: made and removed by the process outside, since the one inside may have lost the right to.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os(FOLDER).unwrap().into()
}

/// Made anew, and removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = test.replace(':', "-");
        let path = std::env::temp_dir().join(format!("confine-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether this kernel has Landlock of this version; says what is skipped where it has not.
pub(crate) fn has_landlock(version: libc::c_long) -> bool {
    const VERSION: libc::c_long = 1;
    let found = call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0]);
    let there = found.is_ok_and(|found| found >= version);
    if !there {
        println!("skipped: this kernel's Landlock is {found:?}, not {version}");
    }
    there
}
