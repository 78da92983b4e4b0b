//! Ground to test on: a network, mounts and a peer of their own, gone with the thread that made them.

#![allow(
    dead_code,
    unreachable_pub,
    unsafe_code,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop; not every test uses everything; namespaces are left by unsafe calls"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

use bpf_host::{Artifact, Host, LocalPolicy, OnExit, Places, Target, Verdict, XdpMode};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;
use serde_json::Value;

pub const HERE: &str = "10.77.0.1";
pub const THERE: &str = "10.77.0.2";

/// A ready object.
pub fn object(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/bpf/objects/{name}.o"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder with mounts of its own, and the thread's own network. `None` (said loudly) without root.
pub struct Ground {
    pub folder: PathBuf,
    peer: Option<Peer>,
    /// What the kernel keeps until somebody takes it away.
    cgroups: RefCell<Vec<PathBuf>>,
}

/// A thread in another network, at the other end of a cable.
pub struct Peer {
    /// Connecting to it comes back when all that was sent before has arrived.
    fence: TcpListener,
    work: Option<mpsc::Sender<Box<dyn FnOnce() + Send>>>,
    thread: Option<JoinHandle<()>>,
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "bpf-host-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Runs `ip` in the network of this thread.
pub fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip is installed");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn leave(flags: UnshareFlags) {
    // SAFETY: only namespaces and the file system context of this thread change; descriptors stay shared.
    unsafe { rustix::thread::unshare_unsafe(flags) }.unwrap();
}

impl Ground {
    pub fn new() -> Option<Self> {
        if is_root() && Command::new("ip").arg("-V").output().is_err() {
            eprintln!("skipped: needs the command ip (Debian: iproute2)");
            return None;
        }
        let mut ground = Self::without_network()?;
        leave(UnshareFlags::NEWNET);
        ground.peer = Some(Peer::new());
        Some(ground)
    }

    /// Mounts only.
    pub fn without_network() -> Option<Self> {
        if !is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        leave(UnshareFlags::FS | UnshareFlags::NEWNS);
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        let folder = std::env::temp_dir().join(unique());
        fs::create_dir(&folder).unwrap();
        for (name, kind) in [
            ("bpf", "bpf"),
            ("cgroup", "cgroup2"),
            ("tracing", "tracefs"),
        ] {
            let place = folder.join(name);
            fs::create_dir(&place).unwrap();
            rustix::mount::mount(kind, &place, kind, MountFlags::empty(), None).unwrap();
        }
        Some(Self {
            folder,
            peer: None,
            cgroups: RefCell::default(),
        })
    }

    pub fn peer(&self) -> &Peer {
        self.peer.as_ref().unwrap()
    }

    pub fn places(&self) -> Places {
        places(&self.folder)
    }

    pub fn host(&self) -> Host {
        Host::open(self.places(), LocalPolicy::default()).unwrap()
    }

    /// A cgroup of the test's own.
    pub fn cgroup(&self) -> (PathBuf, String) {
        let name = unique();
        let path = self.folder.join("cgroup").join(&name);
        fs::create_dir(&path).unwrap();
        self.cgroups.borrow_mut().push(path.clone());
        (path, format!("/{name}"))
    }

    /// All entries below the folder of pins.
    pub fn pins(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join("bpf/pins")) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for cgroup in self.cgroups.take() {
            let _ = fs::remove_dir(cgroup);
        }
        for name in ["bpf", "cgroup", "tracing"] {
            let _ =
                rustix::mount::unmount(self.folder.join(name), rustix::mount::UnmountFlags::DETACH);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub fn places(folder: &Path) -> Places {
    Places {
        proc_root: "/proc".into(),
        sys_root: "/sys".into(),
        tracefs: Some(folder.join("tracing")),
        cgroup_root: folder.join("cgroup"),
        pins: Some(folder.join("bpf/pins")),
    }
}

impl Peer {
    fn new() -> Self {
        let (work, jobs) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            leave(UnshareFlags::NEWNET);
            ready.send(rustix::thread::gettid()).unwrap();
            for job in jobs {
                job();
            }
        });
        let tid = is_ready.recv().unwrap().as_raw_nonzero();
        ip("link set lo up");
        ip(&format!(
            "link add here type veth peer name there netns {tid}"
        ));
        ip(&format!("addr add {HERE}/24 dev here"));
        ip("link set here up");
        let peer = Self {
            fence: TcpListener::bind((HERE, 0)).unwrap(),
            work: Some(work),
            thread: Some(thread),
        };
        peer.run(|| {
            ip(&format!("addr add {THERE}/24 dev there"));
            ip("link set there up");
            ip("link set lo up");
        });
        peer
    }

    /// Does something in the other network.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(job).recv().unwrap()
    }

    /// Begins something in the other network.
    pub fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> mpsc::Receiver<T> {
        let (result, answer) = mpsc::channel();
        let job = Box::new(move || drop(result.send(job())));
        self.work.as_ref().unwrap().send(job).unwrap();
        answer
    }

    /// Sends so many datagrams to a port here, and waits until they have arrived.
    pub fn send(&self, port: u16, count: usize) {
        let fence = self.fence.local_addr().unwrap();
        self.run(move || {
            let socket = UdpSocket::bind((THERE, 0)).unwrap();
            for number in 0..count {
                socket.send_to(&number.to_ne_bytes(), (HERE, port)).unwrap();
            }
            TcpStream::connect(fence).unwrap();
        });
        self.fence.accept().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket here, and how many datagrams are waiting in it.
pub struct Mailbox(UdpSocket);

impl Mailbox {
    pub fn new() -> Self {
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Takes everything out: what was sent over a veth before is there already.
    pub fn count(&self) -> usize {
        std::iter::from_fn(|| self.0.recv_from(&mut [0; 64]).ok()).count()
    }
}

/// An artifact without targets and parameters.
pub fn artifact<'a>(slot: &'a str, digest: &'a str, object: &'a [u8]) -> Artifact<'a> {
    Artifact {
        slot,
        digest,
        object,
        targets: BTreeMap::new(),
        parameters: Value::Null,
        on_exit: OnExit::Detach,
        deadline: None,
    }
}

/// An artifact of one program that is named like its slot, on the interface `here`.
pub fn at_here<'a>(program: &'a str, digest: &'a str, object: &'a [u8]) -> Artifact<'a> {
    let targets = [(program.to_owned(), here())].into();
    Artifact {
        targets,
        ..artifact(program, digest, object)
    }
}

/// The interface `here`.
pub fn here() -> Vec<Target> {
    vec![Target::Xdp {
        interface: "here".to_owned(),
        mode: XdpMode::Any,
    }]
}

/// Whether the kernel takes a kind; says loudly if not.
pub fn takes(host: &Host, kind: bpf_host::ProgramKind) -> bool {
    let verdict = host
        .probe()
        .into_iter()
        .find(|support| support.kind == kind)
        .unwrap()
        .verdict;
    if verdict != Verdict::Works {
        eprintln!("skipped: {kind}: {}", verdict.reason().unwrap_or_default());
    }
    verdict.works()
}

/// Waits for something with a deadline.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        thread::yield_now();
    }
}
