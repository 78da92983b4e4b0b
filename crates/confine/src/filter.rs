//! The filter of system calls: the table in `calls` as a program for the kernel's classic BPF.

use crate::{Calls, Error, Filtered};

/// A part of the program cannot be longer than a jump; Linux has about fifty.
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
const MOST_FAMILIES: usize = 100;

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
pub(crate) fn install(calls: &Calls) -> Result<Filtered, Error> {
    use std::io;

    if calls
        .families
        .as_ref()
        .is_some_and(|families| families.len() > MOST_FAMILIES)
    {
        return Err(Error::Unsupported {
            what: "a filter of system calls",
            why: format!("more than {MOST_FAMILIES} address families are to be told apart"),
        });
    }
    let (program, refused) = program::of(calls);
    seccompiler::apply_filter_all_threads(&program).map_err(|error| {
        let source = match error {
            seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
            // Whoever filtered a thread by itself before: it cannot be held to the same.
            seccompiler::Error::ThreadSync(_) => io::ErrorKind::ResourceBusy.into(),
            _ => io::ErrorKind::InvalidInput.into(),
        };
        Error::Refused {
            doing: "filter system calls",
            source,
        }
    })?;
    Ok(Filtered {
        refused,
        newest: crate::calls::NEWEST,
    })
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
pub(crate) fn install(_: &Calls) -> Result<Filtered, Error> {
    Err(Error::Unsupported {
        what: "a filter of system calls",
        why: "there are tables for x86_64 and aarch64 only".to_owned(),
    })
}

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
mod program {
    use libc::{c_long, c_uint};
    use seccompiler::sock_filter;

    use crate::Calls;
    use crate::calls::{NEWEST, refused};

    /// `AUDIT_ARCH_…` of linux/audit.h.
    #[cfg(target_arch = "x86_64")]
    const ARCHITECTURE: u32 = 0xc000_003e;
    #[cfg(target_arch = "aarch64")]
    const ARCHITECTURE: u32 = 0xc000_00b7;

    // Where the kernel shows what to judge: linux/seccomp.h. Of the arguments, the lower halves.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const fn argument(index: u32) -> u32 {
        16 + 8 * index
    }

    // The instructions of linux/bpf_common.h that are used here.
    const LOAD: u16 = 0x20;
    const AND: u16 = 0x54;
    const IF_EQUAL: u16 = 0x15;
    const IF_GREATER: u16 = 0x25;
    const IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    const NOT_PERMITTED: u32 = errno(libc::EPERM);
    const NO_SUCH_CALL: u32 = errno(libc::ENOSYS);
    const NO_SUCH_FAMILY: u32 = errno(libc::EAFNOSUPPORT);

    const fn errno(number: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | number.unsigned_abs()
    }

    /// Flags of `clone` that take a process or thread out of its namespaces.
    const NAMESPACES: u32 = (libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET) as u32;
    const THREAD: u32 = libc::CLONE_THREAD as u32;
    const EXECUTABLE: u32 = libc::PROT_EXEC as u32;
    const EXECUTABLE_SHARED: u32 = libc::SHM_EXEC as u32;

    /// Commands to a terminal that put words into the mouth of whoever sits there.
    const TYPING: [u32; 2] = [0x5412, 0x541c];

    /// The program, and how many system calls it refuses.
    pub(super) fn of(calls: &Calls) -> (Vec<sock_filter>, usize) {
        let mut program = Program(Vec::with_capacity(256));
        program.load(ARCH);
        program.when(IF_EQUAL, ARCHITECTURE, 1, 0);
        // Another architecture's numbers mean other calls: whoever uses them means no good.
        program.end(KILL);
        program.load(NUMBER);
        program.on(IF_GREATER, NEWEST, &[ret(NO_SUCH_CALL)]);
        let mut count = 0;
        for call in refused(calls) {
            program.on_call(call, &[ret(NOT_PERMITTED)]);
            count += 1;
        }
        // Its flags are in memory, which a filter cannot see. C libraries fall back to `clone`.
        program.on_call(libc::SYS_clone3, &[ret(NO_SUCH_CALL)]);
        program.on_call(libc::SYS_clone, &clone(calls.programs));
        program.on_call(libc::SYS_ioctl, &ioctl());
        count += 3;
        if let Some(families) = &calls.families {
            program.on_call(libc::SYS_socket, &socket(families));
            count += 1;
        }
        if !calls.programs {
            for (call, bits) in [
                (libc::SYS_mmap, EXECUTABLE),
                (libc::SYS_mprotect, EXECUTABLE),
                (libc::SYS_pkey_mprotect, EXECUTABLE),
                (libc::SYS_shmat, EXECUTABLE_SHARED),
            ] {
                program.on_call(call, &unless_any_bit(argument(2), bits));
                count += 1;
            }
        }
        program.end(ALLOW);
        (program.0, count)
    }

    /// Threads, and other processes where programs may be started; never into other namespaces.
    fn clone(programs: bool) -> Vec<sock_filter> {
        let (looked_at, allowed) = if programs {
            (NAMESPACES, 0)
        } else {
            (NAMESPACES | THREAD, THREAD)
        };
        vec![
            instruction(LOAD, argument(0)),
            instruction(AND, looked_at),
            jump(IF_EQUAL, allowed, 0, 1),
            ret(ALLOW),
            ret(NOT_PERMITTED),
        ]
    }

    fn ioctl() -> Vec<sock_filter> {
        let mut part = vec![instruction(LOAD, argument(1))];
        for command in TYPING {
            part.extend([jump(IF_EQUAL, command, 0, 1), ret(NOT_PERMITTED)]);
        }
        part.push(ret(ALLOW));
        part
    }

    fn socket(families: &[i32]) -> Vec<sock_filter> {
        let mut part = vec![instruction(LOAD, argument(0))];
        for family in families {
            part.extend([jump(IF_EQUAL, family.unsigned_abs(), 0, 1), ret(ALLOW)]);
        }
        part.push(ret(NO_SUCH_FAMILY));
        part
    }

    fn unless_any_bit(argument: u32, bits: u32) -> Vec<sock_filter> {
        vec![
            instruction(LOAD, argument),
            jump(IF_ANY_BIT, bits, 0, 1),
            ret(NOT_PERMITTED),
            ret(ALLOW),
        ]
    }

    struct Program(Vec<sock_filter>);

    impl Program {
        fn load(&mut self, place: u32) {
            self.0.push(instruction(LOAD, place));
        }

        fn when(&mut self, test: u16, value: u32, yes: u8, no: u8) {
            self.0.push(jump(test, value, yes, no));
        }

        fn end(&mut self, verdict: u32) {
            self.0.push(ret(verdict));
        }

        /// What is done where the number passes the test; `part` comes to a verdict by itself.
        fn on(&mut self, test: u16, value: u32, part: &[sock_filter]) {
            // Parts are short: `MOST_FAMILIES` sees to the only one whose length the caller decides.
            let over = u8::try_from(part.len()).unwrap_or(u8::MAX);
            self.when(test, value, 0, over);
            self.0.extend_from_slice(part);
        }

        fn on_call(&mut self, call: c_long, part: &[sock_filter]) {
            if let Ok(number) = u32::try_from(call) {
                self.on(IF_EQUAL, number, part);
            }
        }
    }

    fn instruction(code: u16, k: c_uint) -> sock_filter {
        jump(code, k, 0, 0)
    }

    fn jump(code: u16, k: c_uint, jt: u8, jf: u8) -> sock_filter {
        sock_filter { code, jt, jf, k }
    }

    fn ret(verdict: u32) -> sock_filter {
        instruction(RETURN, verdict)
    }
}
