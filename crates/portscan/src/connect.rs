//! Whether a TCP port answers, how fast, and why not.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Why a port did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host answered that nobody listens.
    #[error("connection refused")]
    Refused,
    /// Nobody answered in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// There is no way to the host.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
    /// The attempt failed on this side.
    #[error("connect: {0}")]
    Failed(io::Error),
}

/// Connects once, hangs up at once, and tells how long the answer took.
///
/// ```
/// use std::net::TcpListener;
/// use std::time::Duration;
/// use portscan::{ConnectError, check_connect};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let address = server.local_addr()?;
/// assert!(check_connect(address, Duration::from_secs(5)).is_ok());
/// drop(server);
/// assert!(matches!(check_connect(address, Duration::from_secs(5)), Err(ConnectError::Refused)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn check_connect(address: SocketAddr, timeout: Duration) -> Result<Duration, ConnectError> {
    let start = Instant::now();
    match TcpStream::connect_timeout(&address, timeout) {
        Ok(_) => Ok(start.elapsed()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectError::Refused,
            io::ErrorKind::TimedOut => ConnectError::TimedOut(timeout),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                ConnectError::Unreachable(error)
            }
            _ => ConnectError::Failed(error),
        }),
    }
}
