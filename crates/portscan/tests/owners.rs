//! Who holds which socket: real processes, forked holders, deaths, odd names, missing rights.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failing test is meant to stop, and to say why"
)]

mod sandbox;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use portscan::{Backend, Config, Owners, Process, Scanner, Socket, Sources};
use sandbox::*;

/// One test at a time: a child that is started inherits for a moment what other tests have open.
fn alone(test: impl FnOnce() + Send + 'static) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    in_namespace(test);
}

/// A child process that holds our socket and little else, until it is told to go.
struct Holder {
    child: Child,
    input: Option<ChildStdin>,
}

impl Holder {
    /// The shell keeps the inherited socket; it says a word when it runs and ends at the end of its input.
    fn of(socket: &impl AsRawFd) -> Self {
        Self::running(socket, "echo ready; read line")
    }

    fn running(socket: &impl AsRawFd, script: &str) -> Self {
        keep_on_exec(socket, true);
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        keep_on_exec(socket, false);
        let input = child.stdin.take();
        let mut word = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut word)
            .unwrap();
        assert_eq!(word, "ready\n");
        Self { child, input }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) {
        drop(self.input.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.end();
    }
}

fn keep_on_exec(socket: &impl AsRawFd, keep: bool) {
    let flags = if keep { 0 } else { libc::FD_CLOEXEC };
    #[allow(unsafe_code, reason = "sets a flag of a live descriptor")]
    // SAFETY: fcntl with F_SETFD touches no memory.
    let result = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFD, flags) };
    assert_eq!(result, 0);
}

fn owners_of(scanner: &mut Scanner, port: u16, now: Instant) -> Vec<u32> {
    let picture = scanner.scan(&ranges("1-65535"), &[], now).unwrap();
    picture
        .sockets_of(port)
        .iter()
        .flat_map(|socket| &socket.owners)
        .map(|process| process.pid)
        .collect()
}

#[test]
fn an_owner_is_found_remembered_and_replaced_when_it_dies() {
    alone(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut first = Holder::of(&listener);
        let mut second = Holder::of(&listener);
        drop(listener);
        let mut scanner = scanner(|_| {});
        let now = Instant::now();

        let found = owners_of(&mut scanner, port, now);
        assert!(
            found == [first.pid()] || found == [second.pid()],
            "{found:?}"
        );
        let again = scanner.scan(&ranges("1-65535"), &[], now).unwrap();
        assert_eq!(
            again.attribution.unwrap().links_read,
            0,
            "nothing new, nothing to search"
        );

        let (dying, left) = if found == [first.pid()] {
            (&mut first, second.pid())
        } else {
            (&mut second, first.pid())
        };
        dying.end();
        assert_eq!(
            owners_of(&mut scanner, port, now),
            [left],
            "the other holder takes its place at once"
        );
    });
}

#[test]
fn a_new_socket_is_found_although_others_are_known() {
    alone(|| {
        let old = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut scanner = scanner(|_| {});
        let now = Instant::now();
        let me = std::process::id();
        assert_eq!(
            owners_of(&mut scanner, old.local_addr().unwrap().port(), now),
            [me]
        );

        let new = UdpSocket::bind("127.0.0.1:0").unwrap();
        let picture = scanner.scan(&ranges("1-65535"), &[], now).unwrap();
        let socket = &picture.sockets_of(new.local_addr().unwrap().port())[0];
        assert_eq!(socket.owners[0].pid, me);
        let report = picture.attribution.unwrap();
        assert!(
            (1..2000).contains(&report.links_read),
            "known owners are searched first: {report:?}"
        );
    });
}

#[test]
fn a_socket_that_is_standard_input_is_found() {
    alone(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let input = std::os::fd::OwnedFd::from(listener);
        let mut child = Command::new("sleep")
            .arg("1000")
            .stdin(Stdio::from(input))
            .spawn()
            .unwrap();
        let mut found = Vec::new();
        let mut scanner = scanner(|_| {});
        let start = Instant::now();
        // Until the child runs its own program, it has the files of its parent.
        let mut step = 0;
        wait_for("the child as owner", || {
            step += 100;
            found = owners_of(&mut scanner, port, start + Duration::from_secs(step));
            found == [child.id()]
        });
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn a_parent_stands_for_the_children_that_inherited_its_socket() {
    alone(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let master = Holder::running(
            &listener,
            "sleep 1000 & worker=$!; echo ready; read line; kill $worker",
        );
        drop(listener);
        for cgroup in [None, Some("/sys/fs/cgroup".into())] {
            let mut scanner = scanner(|config| config.cgroup = cgroup);
            assert_eq!(
                owners_of(&mut scanner, port, Instant::now()),
                [master.pid()]
            );
        }
        let mut everyone = scanner(|config| config.owners = Owners::All);
        let all = owners_of(&mut everyone, port, Instant::now());
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0] < all[1] && all.contains(&master.pid()), "{all:?}");
    });
}

#[test]
fn a_closed_socket_of_a_living_owner_goes_to_who_still_holds_it() {
    alone(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let child = Holder::of(&listener);
        let mut scanner = scanner(|_| {});
        let now = Instant::now();
        assert_eq!(owners_of(&mut scanner, port, now), [std::process::id()]);
        drop(listener);
        assert_eq!(owners_of(&mut scanner, port, now), [child.pid()]);
    });
}

#[test]
fn names_of_any_bytes_come_out_as_they_are() {
    alone(|| {
        for name in [
            &b"evil\xff\"\n"[..],
            b"a) b (c",
            b" lead",
            b"nginx",
            b"\x1b[31mred",
            b"a\",pid=1,fd=3",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let octal: String = name.iter().map(|byte| format!("\\{byte:03o}")).collect();
            let holder = Holder::running(
                &listener,
                &format!("printf '{octal}' > /proc/$$/comm; echo ready; read line"),
            );
            drop(listener);
            let picture = scanner(|_| {})
                .scan(&ranges("1-65535"), &[], Instant::now())
                .unwrap();
            let owner = picture.holder(port).unwrap();
            assert_eq!(owner.pid, holder.pid());
            assert_eq!(owner.comm, OsString::from_vec(name.to_vec()));
            assert!(owner.exe.as_deref().is_some_and(Path::is_absolute));
            let expected = if name == b"nginx" { "nginx" } else { "other" };
            assert_eq!(Sources::default().category(Some(owner)), expected);
        }
    });
}

#[test]
fn a_renamed_owner_is_noticed() {
    alone(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = "echo ready; read line; printf envoy > /proc/$$/comm; read line";
        let mut holder = Holder::running(&listener, script);
        drop(listener);
        let mut scanner = scanner(|_| {});
        let now = Instant::now();
        assert_eq!(owners_of(&mut scanner, port, now), [holder.pid()]);
        holder.input.as_mut().unwrap().write_all(b"\n").unwrap();
        let comm = format!("/proc/{}/comm", holder.pid());
        wait_for("the new name", || fs::read(&comm).unwrap() == b"envoy\n");
        let _ = owners_of(&mut scanner, port, now);
        let picture = scanner.scan(&ranges("1-65535"), &[], now).unwrap();
        assert_eq!(picture.holder(port).unwrap().comm, "envoy");
    });
}

#[test]
fn a_socket_without_any_process_does_not_cause_a_search_in_each_scan() {
    alone(|| {
        let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        send_away(&left, &listener);
        drop(listener);
        let mut scanner = scanner(|_| {});
        let start = Instant::now();
        let mut scan_at = |seconds| {
            let now = start + Duration::from_secs(seconds);
            let picture = scanner.scan(&ranges("1-65535"), &[], now).unwrap();
            assert_eq!(picture.sockets_of(port).len(), 1);
            picture.attribution.unwrap()
        };
        let first = scan_at(0);
        assert_eq!((first.unattributed, first.attributed), (1, 0));
        assert!(first.links_read > 0);
        assert!(
            first
                .complaint()
                .unwrap()
                .starts_with("owners of 1 of 1 sockets are not known: ")
        );
        assert_eq!(scan_at(1).links_read, 0);
        assert!(
            scan_at(16).links_read > 0,
            "it is searched for again after a while"
        );
        assert_eq!(scan_at(40).links_read, 0, "and each time later");
        drop(right);
    });
}

/// Puts a socket into a message that nobody receives.
#[allow(unsafe_code, reason = "the space for the message is computed by libc")]
fn send_away(through: &std::os::unix::net::UnixStream, socket: &TcpListener) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;
    let fds = [socket.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); 64];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(
        through,
        &[std::io::IoSlice::new(b"x")],
        &mut control,
        SendFlags::empty(),
    )
    .unwrap();
}

#[test]
fn missing_rights_are_named_and_counted() {
    alone(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = Holder::of(&listener);
        drop(listener);
        let report = as_user(65_534, || {
            let picture = scanner(|_| {})
                .scan(&ranges("1-65535"), &[], Instant::now())
                .unwrap();
            assert!(!picture.warnings.is_empty());
            picture.attribution.unwrap()
        });
        assert_eq!(report.unattributed, 1);
        assert!(report.unlisted_processes > 0, "{report:?}");
        assert!(
            report
                .missing_rights()
                .any(|right| right == "CAP_DAC_READ_SEARCH")
        );
        assert!(report.complaint().unwrap().contains("CAP_DAC_READ_SEARCH"));
        drop(holder);
    });
}

#[test]
fn the_group_of_a_socket_leads_to_its_owner() {
    alone(|| {
        let mount = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .find(|path| Path::new(path).join("cgroup.procs").exists());
        let Some(mount) = mount else {
            println!("skipped: no control groups of version 2");
            return;
        };
        let group = Path::new(mount).join(format!("portscan-test-{}.service", std::process::id()));
        if let Err(error) = fs::create_dir(&group) {
            println!("skipped: may not make a control group: {error}");
            return;
        }
        let script = format!(
            "echo $$ > {}/cgroup.procs; exec {} --exact --ignored --nocapture serve",
            group.display(),
            std::env::current_exe().unwrap().display()
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| line.unwrap().strip_prefix("port ").map(str::to_owned))
            .unwrap();
        let port: u16 = port.parse().unwrap();

        let mut hinted = scanner(|config| config.cgroup = Some("/sys/fs/cgroup".into()));
        let picture = hinted
            .scan(&ranges("1-65535"), &[], Instant::now())
            .unwrap();
        let owner = picture.holder(port).unwrap().clone();
        let report = picture.attribution.unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        wait_for("the group to empty", || fs::remove_dir(&group).is_ok());

        assert_eq!(owner.pid, child.id());
        assert!(
            owner
                .cgroup
                .unit
                .as_deref()
                .is_some_and(|unit| unit.starts_with("portscan-test-"))
        );
        assert!(
            report.links_read < 40,
            "only the group's process is searched: {report:?}"
        );
    });
}

/// The child of the test above: made in its group, so that its socket belongs there.
#[test]
#[ignore = "run as a child process by another test"]
fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\nport {}", listener.local_addr().unwrap().port());
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn without_a_proc_directory_sockets_are_listed_without_owners() {
    alone(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let picture = Scanner::new(Config::new("/nonexistent"))
            .scan(&ranges("1-65535"), &[], Instant::now())
            .unwrap();
        assert_eq!(picture.sockets_of(port).len(), 1);
        let report = picture.attribution.clone().unwrap();
        assert!(report.failure.unwrap().starts_with("/nonexistent"));
        assert_eq!(report.unattributed, 1);

        let mut given = picture;
        given.set_owners(|socket: &Socket| {
            vec![Process::named(7, format!("p{}", socket.port())).into()]
        });
        assert_eq!(
            given.holder(port).unwrap().comm,
            format!("p{port}").as_str()
        );
    });
}

#[test]
fn owners_are_found_through_the_files_of_proc_too() {
    alone(|| {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut scanner = scanner(|config| config.backend = Backend::ProcNet);
        assert_eq!(
            owners_of(&mut scanner, port, Instant::now()),
            [std::process::id()]
        );
    });
}
