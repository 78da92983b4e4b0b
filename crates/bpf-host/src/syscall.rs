//! The system calls no safe crate offers: `bpf(2)` and `perf_event_open(2)`. The only unsafe code of this crate.

#![allow(
    unsafe_code,
    reason = "aya has no byte-sized map access, no link update or detach for all kinds, and turns XDP attachments to netlink"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP: libc::c_long = 1;
const MAP_UPDATE: libc::c_long = 2;
const MAP_DELETE: libc::c_long = 3;
const MAP_NEXT_KEY: libc::c_long = 4;
const PROG_LOAD: libc::c_long = 5;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const PROG_FD_BY_ID: libc::c_long = 13;
const OBJ_INFO: libc::c_long = 15;
const RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const LINK_CREATE: libc::c_long = 28;
const LINK_UPDATE: libc::c_long = 29;
const ENABLE_STATS: libc::c_long = 32;
const LINK_DETACH: libc::c_long = 34;

/// Bytes of `bpf_prog_info`, `bpf_map_info` and `bpf_link_info` that are asked for.
pub(crate) const INFO_BYTES: usize = 232;

#[repr(C)]
struct MapElement {
    map: RawFd,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct MapCreation {
    map_type: u32,
    key_bytes: u32,
    value_bytes: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct ObjectPath {
    path: u64,
    fd: RawFd,
    flags: u32,
}

#[repr(C)]
struct ObjectInfo {
    fd: RawFd,
    length: u32,
    info: u64,
}

#[repr(C)]
struct RawTracepoint {
    name: u64,
    program: RawFd,
    _pad: u32,
}

#[repr(C)]
struct LinkCreation {
    program: RawFd,
    target: u32,
    attach_type: u32,
    flags: u32,
    _rest: [u64; 4],
}

#[repr(C)]
struct LinkChange {
    link: RawFd,
    program: RawFd,
    flags: u32,
    old_program: u32,
}

#[repr(C)]
struct One {
    value: u32,
    _rest: [u32; 3],
}

/// `struct perf_event_attr`, first version plus what probes need.
#[repr(C)]
#[derive(Default)]
struct PerfAttributes {
    event_type: u32,
    size: u32,
    config: u64,
    sample_period_or_frequency: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint_type: u32,
    config1: u64,
    config2: u64,
}

/// One instruction: `r0 = 0`, then one: `exit`.
const RETURN_ZERO: [u64; 2] = [0xb7, 0x95];

/// # Safety
/// `attributes` must be what `command` reads, with pointers to memory that is as long as the
/// command reads or writes there and lives until the call returns.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the caller vouches for what the attributes point to; their own size is passed along.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// # Safety
/// As for [`bpf`]; and `command` must be one that returns a new file descriptor.
unsafe fn bpf_fd<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: passed on to the caller.
    let fd = unsafe { bpf(command, attributes) }?;
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn address<T>(of: &[T]) -> u64 {
    u64::try_from(of.as_ptr().addr()).unwrap_or(0)
}

fn address_mut<T>(of: &mut [T]) -> u64 {
    u64::try_from(of.as_mut_ptr().addr()).unwrap_or(0)
}

/// A map and the lengths its keys and values have in system calls.
#[derive(Clone, Copy)]
pub(crate) struct MapHandle<'a> {
    pub(crate) fd: BorrowedFd<'a>,
    pub(crate) key_bytes: usize,
    /// For per-CPU maps the sum over all possible processors.
    pub(crate) value_bytes: usize,
}

impl MapHandle<'_> {
    fn element(&self, key: &[u8], value: u64) -> io::Result<MapElement> {
        if key.len() != self.key_bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the key is not as long as the map's keys",
            ));
        }
        Ok(MapElement {
            map: self.fd.as_raw_fd(),
            _pad: 0,
            key: address(key),
            value,
            flags: 0,
        })
    }

    pub(crate) fn lookup(&self, key: &[u8]) -> io::Result<Vec<u8>> {
        let mut value = vec![0; self.value_bytes];
        let mut element = self.element(key, address_mut(&mut value))?;
        // SAFETY: the key has the map's length (checked), the value has it by construction.
        unsafe { bpf(MAP_LOOKUP, &mut element) }.map(|_| value)
    }

    pub(crate) fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if value.len() != self.value_bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the value is not as long as the map's values",
            ));
        }
        let mut element = self.element(key, address(value))?;
        // SAFETY: key and value have the map's lengths (checked); the kernel only reads them.
        unsafe { bpf(MAP_UPDATE, &mut element) }.map(drop)
    }

    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<()> {
        let mut element = self.element(key, 0)?;
        // SAFETY: the key has the map's length (checked); the kernel only reads it.
        unsafe { bpf(MAP_DELETE, &mut element) }.map(drop)
    }

    /// The key after that one, or the first; `None` at the end.
    pub(crate) fn next_key(&self, after: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        let mut next = vec![0; self.key_bytes];
        let mut element = self.element(after.unwrap_or(&next), 0)?;
        if after.is_none() {
            element.key = 0;
        }
        element.value = address_mut(&mut next);
        // SAFETY: both keys have the map's length (checked, and by construction); a null key asks for the first.
        match unsafe { bpf(MAP_NEXT_KEY, &mut element) } {
            Ok(_) => Ok(Some(next)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Makes an array map with one entry of that many bytes.
pub(crate) fn create_array(name: &str, value_bytes: u32) -> io::Result<OwnedFd> {
    let mut attributes = MapCreation {
        map_type: 2,
        key_bytes: 4,
        value_bytes,
        max_entries: 1,
        flags: 0,
        inner_map: 0,
        numa_node: 0,
        name: object_name(name),
    };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf_fd(MAP_CREATE, &mut attributes) }
}

fn object_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    bytes
}

/// Loads a program that does nothing, to see whether the kernel takes its kind. The second half
/// of the answer is what the verifier wrote.
pub(crate) fn load_trial(
    program_type: u32,
    expected_attach_type: u32,
) -> (io::Result<OwnedFd>, String) {
    let mut log = vec![0_u8; 4096];
    let mut attributes = ProgramLoad {
        program_type,
        instruction_count: 2,
        instructions: address(&RETURN_ZERO),
        license: address(c"GPL".to_bytes_with_nul()),
        log_level: 1,
        log_size: 4096,
        log: address_mut(&mut log),
        expected_attach_type,
        ..ProgramLoad::default()
    };
    // SAFETY: two instructions, a text with its NUL, and a log as long as said.
    let result = unsafe { bpf_fd(PROG_LOAD, &mut attributes) };
    let text =
        CStr::from_bytes_until_nul(&log).map(|text| text.to_string_lossy().trim().to_owned());
    (result, text.unwrap_or_default())
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}

/// Gives a program, map or link a name below a bpffs, so that it outlives this process.
pub(crate) fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attributes = ObjectPath {
        path: address(path.as_bytes_with_nul()),
        fd: fd.as_raw_fd(),
        flags: 0,
    };
    // SAFETY: the path ends in a NUL and lives until the call returns.
    unsafe { bpf(OBJ_PIN, &mut attributes) }.map(drop)
}

/// Opens what was pinned.
pub(crate) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attributes = ObjectPath {
        path: address(path.as_bytes_with_nul()),
        fd: 0,
        flags: 0,
    };
    // SAFETY: the path ends in a NUL and lives until the call returns.
    unsafe { bpf_fd(OBJ_GET, &mut attributes) }
}

/// What the kernel says about a program, map or link; the length says how much of it.
pub(crate) fn info(fd: BorrowedFd<'_>) -> io::Result<([u8; INFO_BYTES], usize)> {
    let mut bytes = [0; INFO_BYTES];
    let length = u32::try_from(INFO_BYTES).unwrap_or(0);
    let mut attributes = ObjectInfo {
        fd: fd.as_raw_fd(),
        length,
        info: address_mut(&mut bytes),
    };
    // SAFETY: the buffer is as long as said, and all zero, so that the kernel follows no pointers in it.
    unsafe { bpf(OBJ_INFO, &mut attributes) }?;
    Ok((bytes, usize::try_from(attributes.length).unwrap_or(0)))
}

/// Opens a program that somebody else loaded. Needs CAP_SYS_ADMIN.
pub(crate) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = One {
        value: id,
        _rest: [0; 3],
    };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf_fd(PROG_FD_BY_ID, &mut attributes) }
}

/// Attaches a raw tracepoint; without a name, what the program was bound to when it was loaded.
pub(crate) fn open_raw_tracepoint(
    name: Option<&str>,
    program: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    let name = name.map(CString::new).transpose()?;
    let pointer = name
        .as_ref()
        .map_or(0, |name| address(name.as_bytes_with_nul()));
    let mut attributes = RawTracepoint {
        name: pointer,
        program: program.as_raw_fd(),
        _pad: 0,
    };
    // SAFETY: the name is null or ends in a NUL, and lives until the call returns.
    unsafe { bpf_fd(RAW_TRACEPOINT_OPEN, &mut attributes) }
}

/// Attaches a program to a descriptor or an interface index.
pub(crate) fn create_link(
    program: BorrowedFd<'_>,
    target: u32,
    attach_type: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attributes = LinkCreation {
        program: program.as_raw_fd(),
        target,
        attach_type,
        flags,
        _rest: [0; 4],
    };
    // SAFETY: the attributes hold no pointers for the attach types of this crate.
    unsafe { bpf_fd(LINK_CREATE, &mut attributes) }
}

/// Puts another program behind a link, without a moment without one.
pub(crate) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = LinkChange {
        link: link.as_raw_fd(),
        program: program.as_raw_fd(),
        flags: 0,
        old_program: 0,
    };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf(LINK_UPDATE, &mut attributes) }.map(drop)
}

/// Detaches a link now, whoever else holds it.
pub(crate) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = One {
        value: u32::try_from(link.as_raw_fd()).unwrap_or(u32::MAX),
        _rest: [0; 3],
    };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf(LINK_DETACH, &mut attributes) }.map(drop)
}

/// Has the kernel count runs and their time for as long as the descriptor is held. Needs CAP_SYS_ADMIN.
pub(crate) fn enable_statistics() -> io::Result<OwnedFd> {
    let mut attributes = One {
        value: 0,
        _rest: [0; 3],
    };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf_fd(ENABLE_STATS, &mut attributes) }
}

/// An event source that a program can be linked to.
pub(crate) enum PerfEvent<'a> {
    /// A tracepoint by its number.
    Tracepoint(u64),
    /// A kprobe or uprobe: number of the PMU, its flag for returns, symbol or file, and place.
    Probe {
        pmu: u32,
        config: u64,
        name: &'a CStr,
        offset: u64,
    },
    /// The software clock of one processor, so often per second.
    Clock { hertz: u64 },
}

/// Opens an event source for all processes on one processor.
pub(crate) fn open_perf_event(event: &PerfEvent<'_>, processor: u32) -> io::Result<OwnedFd> {
    const FREQUENCY: u64 = 1 << 10;
    let mut attributes = PerfAttributes {
        size: u32::try_from(size_of::<PerfAttributes>()).unwrap_or(0),
        ..PerfAttributes::default()
    };
    match event {
        PerfEvent::Tracepoint(id) => (attributes.event_type, attributes.config) = (2, *id),
        PerfEvent::Probe {
            pmu,
            config,
            name,
            offset,
        } => {
            (attributes.event_type, attributes.config) = (*pmu, *config);
            (attributes.config1, attributes.config2) = (address(name.to_bytes_with_nul()), *offset);
        }
        PerfEvent::Clock { hertz } => {
            (
                attributes.event_type,
                attributes.sample_period_or_frequency,
                attributes.flags,
            ) = (1, *hertz, FREQUENCY);
        }
    }
    let processor = libc::c_int::try_from(processor)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let (everyone, no_group, close_on_exec): (libc::pid_t, RawFd, libc::c_ulong) = (-1, -1, 8);
    // SAFETY: the attributes carry their own size; the name in them ends in a NUL and outlives the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            ptr::from_ref(&attributes),
            everyone,
            processor,
            no_group,
            close_on_exec,
        )
    };
    match RawFd::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
