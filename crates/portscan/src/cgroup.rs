//! The text of `/proc/PID/cgroup` → systemd unit and container.

/// Where a process runs, as far as its control group tells.
///
/// ```
/// use portscan::{Cgroup, Engine};
///
/// let nginx = Cgroup::parse(b"0::/system.slice/nginx.service\n");
/// assert_eq!(nginx.unit.as_deref(), Some("nginx.service"));
///
/// let id = "3f2a".repeat(16);
/// let text = format!("0::/system.slice/docker-{id}.scope\n");
/// let container = Cgroup::parse(text.as_bytes()).container.unwrap();
/// assert_eq!((container.engine, container.id), (Engine::Docker, id));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cgroup {
    /// Innermost systemd service or scope that is not the container's own.
    pub unit: Option<String>,
    /// Innermost container.
    pub container: Option<Container>,
}

/// A container as its control group names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    /// What runs it.
    pub engine: Engine,
    /// Its id, or for LXC its name.
    pub id: String,
}

/// What runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman (libpod).
    Podman,
    /// containerd, mostly for Kubernetes.
    Containerd,
    /// CRI-O.
    Crio,
    /// LXC, LXD, Incus.
    Lxc,
    /// Kubernetes with an engine that the path does not name.
    Kubernetes,
}

/// What engines put before a container's id, longest name first.
const PREFIXES: [(&str, Engine); 7] = [
    ("cri-containerd-", Engine::Containerd),
    ("containerd-", Engine::Containerd),
    ("nerdctl-", Engine::Containerd),
    ("libpod-", Engine::Podman),
    ("podman-", Engine::Podman),
    ("docker-", Engine::Docker),
    ("crio-", Engine::Crio),
];

impl Cgroup {
    /// Reads the whole file: version 2, version 1 and both at once.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let paths = || text.split(|byte| *byte == b'\n').filter_map(hierarchy);
        let systemd =
            paths().filter(|(controllers, _)| matches!(*controllers, "" | "name=systemd"));
        let others =
            paths().filter(|(controllers, _)| !matches!(*controllers, "" | "name=systemd"));
        systemd
            .chain(others)
            .map(|(_, path)| Self::from_path(path))
            .find(|found| *found != Self::default())
            .unwrap_or_default()
    }

    fn from_path(path: &str) -> Self {
        let mut found = Self::default();
        let mut parent = "";
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if let Some(container) = container(parent, segment) {
                found = Self {
                    unit: None,
                    container: Some(container),
                };
            } else if segment.ends_with(".service") || segment.ends_with(".scope") {
                found.unit = Some(unescape(segment));
            }
            parent = segment;
        }
        found
    }
}

/// `4:memory:/a/b` → controllers and path.
fn hierarchy(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}

fn container(parent: &str, segment: &str) -> Option<Container> {
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    lxc(parent, name)
        .or_else(|| prefixed(name))
        .or_else(|| bare(parent, name))
        .or_else(|| colons(name))
        .map(|(engine, id)| Container {
            engine,
            id: id.to_owned(),
        })
}

/// `docker-ID.scope` and its like; `libpod-conmon-ID` is Podman's own watcher, not the container.
fn prefixed(name: &str) -> Option<(Engine, &str)> {
    PREFIXES.iter().find_map(|(prefix, engine)| {
        let id = name.strip_prefix(prefix)?;
        is_id(id).then_some((*engine, id))
    })
}

/// `docker/ID`, `kubepods/.../podUID/ID`.
fn bare<'a>(parent: &str, name: &'a str) -> Option<(Engine, &'a str)> {
    let engine = match parent {
        "docker" => Engine::Docker,
        "libpod_parent" => Engine::Podman,
        _ if parent.starts_with("pod") || parent.contains("-pod") => Engine::Kubernetes,
        _ => return None,
    };
    is_id(name).then_some((engine, name))
}

/// `kubepods-burstable-podUID.slice:cri-containerd:ID`.
fn colons(name: &str) -> Option<(Engine, &str)> {
    let (rest, id) = name.rsplit_once(':')?;
    let engine = match rest.rsplit(':').next()? {
        "cri-containerd" => Engine::Containerd,
        "crio" => Engine::Crio,
        "docker" => Engine::Docker,
        _ => return None,
    };
    is_id(id).then_some((engine, id))
}

/// `lxc/NAME`, `lxc.payload/NAME`, `lxc.payload.NAME`.
fn lxc<'a>(parent: &str, name: &'a str) -> Option<(Engine, &'a str)> {
    let id = match parent {
        "lxc" | "lxc.payload" => name,
        _ => name.strip_prefix("lxc.payload.")?,
    };
    (!id.is_empty()).then_some((Engine::Lxc, id))
}

/// Engines name containers by long hexadecimal numbers.
fn is_id(text: &str) -> bool {
    text.len() >= 32
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// systemd writes `-` and other bytes of a unit's name as `\x2d`.
fn unescape(unit: &str) -> String {
    let mut parts = unit.split("\\x");
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte.filter(u8::is_ascii_graphic), part.get(2..)) {
            (Some(byte), Some(rest)) => {
                name.push(char::from(byte));
                name.push_str(rest);
            }
            _ => {
                name.push_str("\\x");
                name.push_str(part);
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0f2b6d1c8a7e4b3f9d5c1a2e6f8b0d4c7e3a9f1b5d2c8e6a4f0b7d3c9e1a5f2b";

    /// Paths as the engines' own documents and hosts show them.
    fn check(text: &str, unit: Option<&str>, container: Option<(Engine, &str)>) {
        let text = text.replace("ID", ID);
        let found = Cgroup::parse(text.as_bytes());
        assert_eq!(found.unit.as_deref(), unit, "{text}");
        let id = container.map(|(engine, id)| Container {
            engine,
            id: id.replace("ID", ID),
        });
        assert_eq!(found.container, id, "{text}");
    }

    #[test]
    fn systemd_units_are_found_in_both_versions() {
        check("0::/system.slice/ssh.service\n", Some("ssh.service"), None);
        check(
            "0::/system.slice/system-getty.slice/getty@tty1.service\n",
            Some("getty@tty1.service"),
            None,
        );
        check(
            "0::/user.slice/user-1000.slice/session-3.scope\n",
            Some("session-3.scope"),
            None,
        );
        check(
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service\n",
            Some("syncthing.service"),
            None,
        );
        check(
            "12:pids:/system.slice/a.service\n1:name=systemd:/system.slice/b.service\n0::/\n",
            Some("b.service"),
            None,
        );
        check(
            "0::/system.slice/systemd-fsck@dev-disk-by\\x2duuid.service\n",
            Some("systemd-fsck@dev-disk-by-uuid.service"),
            None,
        );
        check("0::/init.scope\n", Some("init.scope"), None);
        check("0::/\n", None, None);
        check("", None, None);
    }

    #[test]
    fn docker_and_podman_containers_are_found() {
        let docker = Some((Engine::Docker, "ID"));
        check("0::/system.slice/docker-ID.scope\n", None, docker);
        check(
            "5:cpu,cpuacct:/docker/ID\n1:name=systemd:/docker/ID\n",
            None,
            docker,
        );
        check("0::/../../docker/ID\n", None, docker);
        let podman = Some((Engine::Podman, "ID"));
        check(
            "0::/machine.slice/libpod-ID.scope/container\n",
            None,
            podman,
        );
        check(
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope\n",
            None,
            podman,
        );
        check("3:memory:/libpod_parent/libpod-ID\n", None, podman);
        check(
            "0::/machine.slice/libpod-conmon-ID.scope\n",
            Some(&format!("libpod-conmon-{ID}.scope")),
            None,
        );
    }

    #[test]
    fn kubernetes_containers_are_found() {
        let pod = "pod5c6b3d1e_2f4a_4b6c_8d7e_9f0a1b2c3d4e";
        let slice =
            format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-{pod}.slice");
        check(
            &format!("0::{slice}/cri-containerd-ID.scope\n"),
            None,
            Some((Engine::Containerd, "ID")),
        );
        check(
            &format!("0::{slice}/crio-ID.scope\n"),
            None,
            Some((Engine::Crio, "ID")),
        );
        check(
            &format!("0::{slice}/docker-ID.scope\n"),
            None,
            Some((Engine::Docker, "ID")),
        );
        check(
            &format!("4:memory:/kubepods/besteffort/{pod}/ID\n"),
            None,
            Some((Engine::Kubernetes, "ID")),
        );
        check(
            &format!(
                "1:name=systemd:/system.slice/containerd.service/kubepods-{pod}.slice:cri-containerd:ID\n"
            ),
            None,
            Some((Engine::Containerd, "ID")),
        );
    }

    #[test]
    fn lxc_containers_are_found_with_the_unit_inside() {
        check(
            "0::/lxc.payload.web/system.slice/nginx.service\n",
            Some("nginx.service"),
            Some((Engine::Lxc, "web")),
        );
        check("0::/lxc.payload/db\n", None, Some((Engine::Lxc, "db")));
        check("9:cpu:/lxc/old-one\n", None, Some((Engine::Lxc, "old-one")));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let text =
            format!("1:name=systemd:/a\\x2db.service\n0::/lxc.payload.x/docker-{ID}.scope\n");
        for end in 0..text.len() {
            let _ = Cgroup::parse(&text.as_bytes()[..end]);
            for byte in 0..=u8::MAX {
                let mut mutated = text.clone().into_bytes();
                mutated[end] = byte;
                let _ = Cgroup::parse(&mutated);
            }
        }
    }
}
