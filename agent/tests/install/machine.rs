//! A clean system of a test's own, with or without a service manager that runs in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::clean_root::ground;
use crate::parts::{binary, folder, wait_for};

/// A system; gone with this value.
pub(crate) struct Machine {
    /// Where its files are.
    pub(crate) root: PathBuf,
    place: PathBuf,
    first_process: Option<FirstProcess>,
}

struct FirstProcess {
    /// What holds the machine's namespaces.
    keeper: Child,
    /// The machine's process 1, as it is numbered here.
    id: String,
}

/// What a command said and how it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl Ended {
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.said);
        self.said
    }

    /// It failed with this code and these words.
    pub(crate) fn refused(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        assert!(
            self.said.contains(words),
            "{words:?} is not in:\n{}",
            self.said
        );
    }
}

impl Machine {
    /// Files alone: nothing runs in it.
    pub(crate) fn at_rest() -> Option<Self> {
        let ground = ground()?;
        let place = folder("machine");
        let none = None::<&std::ffi::CStr>;
        mount("tmpfs", &place, "tmpfs", MountFlags::empty(), none).unwrap();
        let root = place.join(format!("root-{}", std::process::id()));
        let [above, work] = ["above", "work"].map(|name| place.join(name));
        for one in [&root, &above, &work] {
            fs::create_dir(one).unwrap();
            fs::set_permissions(one, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let layers = format!(
            "lowerdir={}:{},upperdir={},workdir={}",
            ground.luggage.display(),
            ground.system.display(),
            above.display(),
            work.display()
        );
        let layers = std::ffi::CString::new(layers).unwrap();
        let machine = Self {
            root,
            place,
            first_process: None,
        };
        let flags = MountFlags::empty();
        if let Err(error) = mount(
            "overlay",
            &machine.root,
            "overlay",
            flags,
            Some(layers.as_c_str()),
        ) {
            eprintln!("skipped: needs overlayfs: {error}");
            return None;
        }
        Some(machine)
    }

    /// A systemd boots in it.
    pub(crate) fn with_systemd() -> Option<Self> {
        let mut machine = Self::at_rest()?;
        let name = machine.place.file_name().unwrap().to_str().unwrap();
        let started = Command::new("systemd-nspawn")
            .args(["--quiet", "--boot", "--register=no", "--keep-unit"])
            // As on a machine of its own: programs may be loaded, and a bpffs mounted.
            .args([
                "--capability=all",
                "--system-call-filter=bpf perf_event_open",
            ])
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes")
            .arg(format!("--machine={}", &name[name.len().min(12)..]))
            .arg("--directory")
            .arg(&machine.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(keeper) = started else {
            eprintln!("skipped: needs systemd-nspawn (Debian: systemd-container)");
            return None;
        };
        machine.become_of(keeper);
        wait_for("the end of the boot", || {
            // nspawn has other children before the one that becomes process 1.
            machine.look_for_first_process();
            let state = machine.run("systemctl is-system-running").said;
            ["running", "degraded"]
                .contains(&state.trim())
                .then_some(())
        });
        // Which a systemd that has a machine to itself mounts.
        machine.run("mount -t bpf bpf /sys/fs/bpf").well();
        Some(machine)
    }

    /// An OpenRC that believes that the machine has booted.
    pub(crate) fn with_openrc() -> Option<Self> {
        let mut machine = Self::at_rest()?;
        let script = "mount -t proc proc \"$0/proc\" && mount -t sysfs sysfs \"$0/sys\" && mount -t tmpfs run \"$0/run\" &&
            mount --bind /dev/null \"$0/dev/null\" && cd \"$0/run\" && mkdir -p openrc openrc/exclusive openrc/started openrc/starting openrc/stopping openrc/options openrc/daemons && touch openrc/softlevel &&
            exec chroot \"$0\" sh -c 'while :; do sleep 1; done'";
        // The guest needs a network, which is always there.
        let net = "#!/sbin/openrc-run\ndepend() { provide net; }\nstart() { return 0; }\n";
        let script_of_net = machine.root.join("etc/init.d/net-of-the-host");
        fs::write(&script_of_net, net).unwrap();
        fs::set_permissions(&script_of_net, fs::Permissions::from_mode(0o755)).unwrap();
        // A device in a layer in memory may not be opened.
        fs::write(machine.root.join("dev/null"), "").unwrap();
        let keeper = Command::new("unshare")
            .args([
                "--pid",
                "--mount",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                script,
            ])
            .arg(&machine.root)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        machine.become_of(keeper);
        // The last of these is that its root is its own. A process 1 that waits for its children lets none of them stay a zombie.
        wait_for("the machine's mounts", || {
            let ended = machine.run("test -e /root/install.sh && test -e /run/openrc/softlevel");
            (ended.code == Some(0)).then_some(())
        });
        Some(machine)
    }

    fn become_of(&mut self, keeper: Child) {
        let id = String::new();
        self.first_process = Some(FirstProcess { keeper, id });
        wait_for("the machine's first process", || {
            self.look_for_first_process();
            self.first_process
                .as_ref()
                .filter(|first| !first.id.is_empty())
                .map(|_| ())
        });
    }

    fn look_for_first_process(&mut self) {
        let first = self.first_process.as_mut().unwrap();
        let children = format!("/proc/{0}/task/{0}/children", first.keeper.id());
        let text = fs::read_to_string(children).unwrap_or_default();
        if let Some(id) = text.split_whitespace().next() {
            id.clone_into(&mut first.id);
        }
    }

    /// A command that runs in it, with nothing of this environment.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = match &self.first_process {
            Some(first) => {
                let mut command = Command::new("timeout");
                // What hangs has failed.
                command.args(["180", "nsenter"]);
                command.args(["--target", &first.id, "--mount", "--uts", "--ipc", "--pid"]);
                command.args(["--root", "--wd"]);
                command
            }
            None => {
                let mut command = Command::new("chroot");
                command.arg(&self.root);
                command
            }
        };
        command
            .args(["sh", "-c", script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, script: &str) -> Ended {
        ended(&mut self.command(script))
    }

    /// `install.sh` with these words and variables.
    pub(crate) fn install(&self, words: &str, variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command(&format!("sh /root/install.sh {words}"));
        ended(command.envs(variables.iter().copied()))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.root.join(path.trim_start_matches('/'));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.root.join(path.trim_start_matches('/'))).is_ok()
    }

    /// Mode, owner and the name of the group.
    pub(crate) fn rights(&self, path: &str) -> String {
        let meta = fs::symlink_metadata(self.root.join(path.trim_start_matches('/'))).expect(path);
        let groups = self.read("/etc/group");
        let id = format!(":{}:", meta.gid());
        let group = groups.lines().find(|line| line.contains(&id)).unwrap();
        let group = group.split(':').next().unwrap();
        format!("{:o} {}:{group}", meta.mode() & 0o7777, meta.uid())
    }

    /// All of its files that stay over a reboot: what they are, whose and how long, or where links lead.
    pub(crate) fn listing(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = path.strip_prefix(&self.root).unwrap().to_str().unwrap();
                if ["proc", "sys", "run", "dev", "tmp"].contains(&name) {
                    continue;
                }
                let meta = fs::symlink_metadata(&path).unwrap();
                let size = if meta.is_dir() { 0 } else { meta.size() };
                let target = fs::read_link(&path).unwrap_or_default();
                let told = format!(
                    "{:o} {}:{} {size} {}",
                    meta.mode(),
                    meta.uid(),
                    meta.gid(),
                    target.display()
                );
                found.insert(name.to_owned(), told);
                if meta.is_dir() {
                    folders.push(path);
                }
            }
        }
        found
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut first) = self.first_process.take() {
            // With its process 1 all others of the machine end.
            let _ = Command::new("kill").args(["-KILL", &first.id]).output();
            // Its keeper cleans up after it, if it can.
            for _ in 0..100 {
                if first.keeper.try_wait().is_ok_and(|ended| ended.is_some()) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = first.keeper.kill();
            let _ = first.keeper.wait();
        }
        let _ = unmount(&self.root, UnmountFlags::DETACH);
        let _ = unmount(&self.place, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.place);
    }
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        said: format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

/// `install.sh` on this host, for the system below `--root`.
pub(crate) fn install_from_outside(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg(script());
    for (name, _) in binary(&[]).get_envs() {
        command.env_remove(name);
    }
    command.args(words).stdin(Stdio::null());
    command
}

pub(crate) fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/install.sh")
}
