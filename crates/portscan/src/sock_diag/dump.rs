//! One conversation with the kernel: ask, receive until done.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::{Message, Messages, Query};
use crate::Socket;

/// The kernel makes no dump message larger than this.
const BUFFER_BYTES: usize = 32 * 1024;
/// About five million sockets.
const MAX_RECEIVES: usize = 16 * 1024;
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// A netlink socket, open for the few dumps of one scan, in the caller's network namespace.
#[derive(Debug)]
pub(crate) struct Dumper {
    netlink: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Dumper {
    pub(crate) fn open() -> io::Result<Self> {
        let netlink = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        set_socket_timeout(&netlink, Timeout::Recv, Some(RECEIVE_TIMEOUT))?;
        Ok(Self {
            netlink,
            buffer: vec![0; BUFFER_BYTES],
            sequence: 0,
        })
    }

    /// Hands each socket of the answer to `each`; one socket may come twice.
    ///
    /// A dump that the kernel calls interrupted is repeated once.
    pub(crate) fn dump(&mut self, query: &Query, each: &mut dyn FnMut(Socket)) -> io::Result<()> {
        let interrupted = self.dump_once(query, each)?;
        if interrupted {
            self.dump_once(query, each)?;
        }
        Ok(())
    }

    fn dump_once(&mut self, query: &Query, each: &mut dyn FnMut(Socket)) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        rustix::net::send(
            &self.netlink,
            &query.bytes(self.sequence),
            SendFlags::empty(),
        )?;
        self.read_answer(self.sequence, query, each)
    }

    /// Whether the kernel called the dump interrupted.
    fn read_answer(
        &mut self,
        asked: u32,
        query: &Query,
        each: &mut dyn FnMut(Socket),
    ) -> io::Result<bool> {
        let mut interrupted = false;
        for _ in 0..MAX_RECEIVES {
            let received = self.receive()?;
            for message in Messages::new(received, query.protocol) {
                let (sequence, flag, message) = message.map_err(io::Error::other)?;
                if sequence != asked {
                    continue;
                }
                interrupted |= flag;
                match message {
                    Message::Row(socket) => each(*socket),
                    Message::Done(0) => return Ok(interrupted),
                    Message::Done(error) | Message::Error(error) => return Err(failure(error)),
                    Message::Other => {}
                }
            }
        }
        Err(io::Error::other("the answer does not end"))
    }

    fn receive(&mut self) -> io::Result<&[u8]> {
        let (length, whole) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.netlink, &mut self.buffer[..], RecvFlags::TRUNC)
        })?;
        if whole > length || length == 0 {
            return Err(io::Error::other("the answer is cut off"));
        }
        self.buffer
            .get(..length)
            .ok_or_else(|| io::Error::other("the answer is cut off"))
    }
}

fn failure(error: i32) -> io::Error {
    match error.checked_neg() {
        Some(number) if number > 0 => io::Error::from_raw_os_error(number),
        _ => io::Error::other("the kernel refused without a reason"),
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::sock_diag::Tables;

    const ROW_AND_DONE: &[u8] = include_bytes!("../../tests/data/diag-listeners-v4.bin");
    const NO_PROTOCOL: &[u8] = include_bytes!("../../tests/data/diag-no-protocol.bin");
    const BAD_FAMILY: &[u8] = include_bytes!("../../tests/data/diag-bad-family.bin");

    /// The first message of the captured answer is 124 bytes long.
    const ROW: usize = 124;

    /// What a dump makes of captured answers, each sent as one datagram.
    fn dump(answers: &[&[u8]]) -> (io::Result<()>, usize) {
        let (ours, kernel) = UnixDatagram::pair().unwrap();
        answers
            .iter()
            .for_each(|answer| assert_eq!(kernel.send(answer).unwrap(), answer.len()));
        ours.set_nonblocking(true).unwrap();
        let mut dumper = Dumper {
            netlink: ours.into(),
            buffer: vec![0; 1024],
            sequence: 0,
        };
        let mut rows = 0;
        let result = dumper.read_answer(1, &Query::listeners(Tables::V4), &mut |_| rows += 1);
        (result.map(|_| ()), rows)
    }

    /// Captured answers carry sequence number 1.
    fn with_sequence(answer: &[u8], at: usize, sequence: u8) -> Vec<u8> {
        let mut answer = answer.to_vec();
        answer[at + 8] = sequence;
        answer
    }

    #[test]
    fn rows_come_until_the_end_over_several_receives() {
        assert_eq!(
            u32::from_le_bytes(*ROW_AND_DONE.first_chunk().unwrap()),
            124
        );
        let (row, done) = ROW_AND_DONE.split_at(ROW);
        let (result, rows) = dump(&[row, row, done]);
        assert_eq!((result.is_ok(), rows), (true, 2));
    }

    #[test]
    fn a_dump_that_stops_early_is_an_error() {
        let (row, _) = ROW_AND_DONE.split_at(ROW);
        assert!(dump(&[row]).0.is_err());
        assert!(dump(&[]).0.is_err());
        assert!(dump(&[row.split_at(100).0]).0.is_err());
    }

    #[test]
    fn a_protocol_that_the_kernel_lacks_is_an_error() {
        let error = dump(&[NO_PROTOCOL]).0.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let error = dump(&[BAD_FAMILY]).0.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn answers_to_other_requests_are_passed_over() {
        let foreign = with_sequence(NO_PROTOCOL, 0, 9);
        let (result, rows) = dump(&[&foreign, ROW_AND_DONE]);
        assert_eq!((result.is_ok(), rows), (true, 1));
    }

    #[test]
    fn an_answer_larger_than_the_buffer_is_an_error() {
        let (row, done) = ROW_AND_DONE.split_at(ROW);
        assert!(dump(&[&row.repeat(9), done]).0.is_err());
    }
}
