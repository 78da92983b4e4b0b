//! What the service manager is told (sd_notify): ready, status, watchdog, reloading, stopping.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::cli::Env;

/// The way to the service manager; does nothing where there is none.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Nobody to tell.
    #[cfg(feature = "lab")]
    pub(crate) fn none() -> Self {
        Self {
            socket: None,
            watchdog: None,
        }
    }

    /// Finds the socket in the environment; a socket that cannot be used is as good as none.
    pub(crate) fn from_env(env: Env<'_>) -> Self {
        let socket = env("NOTIFY_SOCKET")
            .and_then(|name| address(&name))
            .and_then(|address| {
                let socket = UnixDatagram::unbound().ok()?;
                // The manager must never hold the agent up.
                socket.set_nonblocking(true).ok()?;
                Some((socket, address))
            });
        let ours = env("WATCHDOG_PID")
            .is_none_or(|pid| pid == OsStr::new(&std::process::id().to_string()));
        let watchdog = env("WATCHDOG_USEC")
            .filter(|_| ours)
            .and_then(|text| text.to_str()?.parse().ok())
            .map(Duration::from_micros);
        Self {
            socket,
            watchdog: watchdog.filter(|period| !period.is_zero()),
        }
    }

    /// How often the watchdog wants to hear from us: half its limit.
    pub(crate) fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog
            .filter(|_| self.socket.is_some())
            .map(|limit| limit / 2)
    }

    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    pub(crate) fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace(char::is_control, " ")));
    }

    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that does not listen is no reason to stop working.
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::ffi::OsString;

    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn notify(entries: &[(&str, OsString)]) -> Notify {
        let map: HashMap<&str, OsString> = entries.iter().cloned().collect();
        Notify::from_env(&|name| map.get(name).cloned())
    }

    #[test]
    fn speaks_to_a_socket_file_and_to_an_abstract_name() {
        let path = std::env::temp_dir().join(format!("sigma-agent-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).unwrap();
        notify(&[("NOTIFY_SOCKET", path.clone().into())]).ready();
        assert_eq!(received(&manager), "READY=1");
        let _ = std::fs::remove_file(&path);

        let name = format!("sigma-agent-notify-{}", std::process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notify = notify(&[
            ("NOTIFY_SOCKET", format!("@{name}").into()),
            ("WATCHDOG_USEC", "3000000".into()),
        ]);
        notify.status("two\nlines");
        assert_eq!(received(&manager), "STATUS=two lines");
        assert_eq!(notify.watchdog_period(), Some(Duration::from_millis(1500)));
        notify.reloading();
        assert!(received(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
    }

    #[test]
    fn nobody_to_tell_is_no_error() {
        let silent = notify(&[("WATCHDOG_USEC", "3000000".into())]);
        silent.ready();
        assert_eq!(silent.watchdog_period(), None);
        notify(&[("NOTIFY_SOCKET", "/nonexistent/socket".into())]).ready();
        notify(&[("NOTIFY_SOCKET", "relative".into())]).ready();
    }

    #[test]
    fn another_process_watchdog_is_not_ours() {
        let other = notify(&[
            ("NOTIFY_SOCKET", "/x".into()),
            ("WATCHDOG_USEC", "3000000".into()),
            ("WATCHDOG_PID", "1".into()),
        ]);
        assert_eq!(other.watchdog_period(), None);
    }
}
