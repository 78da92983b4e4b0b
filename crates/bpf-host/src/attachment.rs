//! Attaches one loaded program to one target, by a link that the kernel lets go with its last descriptor or pin. Nothing is attached in any other way.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};

use crate::error::{Error, Refusal, Result};
use crate::kernel_info;
use crate::places::Places;
use crate::syscall::{self, PerfEvent};
use crate::{Direction, ProgramKind, Target, XdpMode, cgroup, interface};

const PERF_EVENT: u32 = 41;
/// Files with symbols are read whole.
const MAX_BINARY_BYTES: u64 = 512 << 20;

/// Attaches; the result is one link, or for a clock one per processor.
pub(crate) fn attach(
    program: BorrowedFd<'_>,
    kind: ProgramKind,
    attach_type: u32,
    target: &Target,
    places: &Places,
) -> Result<Vec<OwnedFd>> {
    let failed = |source: io::Error| Error::kernel(format!("attach to {target}"), source);
    match target {
        Target::Xdp { interface, mode } => xdp(program, interface, *mode).map(one),
        Target::Tc {
            interface,
            direction,
        } => tc(program, interface, *direction).map(one),
        Target::Cgroup { path } => {
            let directory = cgroup::open(&places.cgroup_root, path).map_err(failed)?;
            let directory = u32::try_from(directory.as_raw_fd())
                .map_or(Err(io::ErrorKind::InvalidInput.into()), |fd| {
                    syscall::create_link(program, fd, attach_type, 0)
                });
            directory.map(one).map_err(failed)
        }
        Target::RawTracepoint { name } if kind == ProgramKind::RawTracepoint => {
            syscall::open_raw_tracepoint(Some(name), program)
                .map(one)
                .map_err(failed)
        }
        // These were bound to their function when they were loaded.
        Target::RawTracepoint { .. } | Target::Function { .. } | Target::Lsm { .. } => {
            syscall::open_raw_tracepoint(None, program)
                .map(one)
                .map_err(failed)
        }
        Target::Tracepoint { category, name } => {
            let id = tracepoint_id(&places.tracefs(), category, name).map_err(failed)?;
            by_event(program, &PerfEvent::Tracepoint(id), 0)
                .map(one)
                .map_err(failed)
        }
        Target::Kprobe { symbol, offset } => {
            let returns = kind == ProgramKind::Kretprobe;
            at_place(
                program,
                "kprobe",
                returns,
                symbol.as_bytes(),
                *offset,
                places,
            )
            .map(one)
            .map_err(failed)
        }
        Target::Uprobe {
            binary,
            symbol,
            offset,
        } => {
            let (returns, name) = (
                kind == ProgramKind::Uretprobe,
                binary.as_os_str().as_bytes(),
            );
            let offset = place_in(binary, symbol.as_deref(), *offset).map_err(failed)?;
            at_place(program, "uprobe", returns, name, offset, places)
                .map(one)
                .map_err(failed)
        }
        Target::CpuClock { hertz } => {
            let cpus = places.online_cpus()?;
            let links = cpus
                .into_iter()
                .map(|cpu| by_event(program, &PerfEvent::Clock { hertz: *hertz }, cpu));
            links.collect::<io::Result<Vec<_>>>().map_err(failed)
        }
    }
}

fn one(link: OwnedFd) -> Vec<OwnedFd> {
    vec![link]
}

fn interface_index(name: &str) -> Result<u32> {
    interface::index(name).map_err(|source| Error::kernel(format!("find interface {name}"), source))
}

fn xdp(program: BorrowedFd<'_>, name: &str, mode: XdpMode) -> Result<OwnedFd> {
    const XDP: u32 = 37;
    let index = interface_index(name)?;
    let link = syscall::create_link(program, index, XDP, mode.flags());
    // EEXIST: a program without a link is there.
    let taken =
        |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST));
    match link {
        Ok(link) => Ok(link),
        Err(error) if taken(&error) => {
            let holder = interface::xdp_program(index).ok().flatten();
            let holder = holder.map_or_else(
                || "another XDP program".to_owned(),
                |id| format!("XDP {}", kernel_info::describe_program(id)),
            );
            Err(Refusal::Occupied {
                interface: name.to_owned(),
                holder,
            }
            .into())
        }
        Err(source) => Err(Error::kernel(format!("attach to interface {name}"), source)),
    }
}

fn tc(program: BorrowedFd<'_>, name: &str, direction: Direction) -> Result<OwnedFd> {
    let index = interface_index(name)?;
    syscall::create_link(program, index, direction.attach_type(), 0).map_err(|source| {
        let hint = if source.raw_os_error() == Some(libc::EINVAL) {
            " (TCX needs kernel 6.6)"
        } else {
            ""
        };
        Error::kernel(format!("attach to interface {name}{hint}"), source)
    })
}

fn by_event(program: BorrowedFd<'_>, event: &PerfEvent<'_>, cpu: u32) -> io::Result<OwnedFd> {
    let event = syscall::open_perf_event(event, cpu)?;
    let fd = u32::try_from(event.as_fd().as_raw_fd())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // The link keeps the event alive.
    syscall::create_link(program, fd, PERF_EVENT, 0)
}

fn tracepoint_id(tracefs: &Path, category: &str, name: &str) -> io::Result<u64> {
    if [category, name]
        .iter()
        .any(|part| part.contains(['/', '.']) || part.is_empty())
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "that is no name of a tracepoint",
        ));
    }
    if !tracefs.join("events").is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no tracefs at {}", tracefs.display()),
        ));
    }
    number_in(&tracefs.join("events").join(category).join(name).join("id"))
}

fn number_in(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    text.trim()
        .parse()
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Attaches to a place in a function of the kernel (`kprobe`) or of a file (`uprobe`).
fn at_place(
    program: BorrowedFd<'_>,
    pmu: &str,
    returns: bool,
    name: &[u8],
    offset: u64,
    places: &Places,
) -> io::Result<OwnedFd> {
    let (pmu, config) = probe_pmu(places, pmu, returns)?;
    let name = CString::new(name)?;
    by_event(
        program,
        &PerfEvent::Probe {
            pmu,
            config,
            name: &name,
            offset,
        },
        0,
    )
}

/// The PMU's number, and the flag that asks it for returns.
fn probe_pmu(places: &Places, pmu: &str, returns: bool) -> io::Result<(u32, u64)> {
    let folder = places.sys_root.join("bus/event_source/devices").join(pmu);
    let number = u32::try_from(number_in(&folder.join("type"))?)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    if !returns {
        return Ok((number, 0));
    }
    let text = fs::read_to_string(folder.join("format/retprobe"))?;
    let bit: u32 = text
        .trim()
        .strip_prefix("config:")
        .and_then(|bit| bit.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok((number, 1_u64.checked_shl(bit).unwrap_or(0)))
}

/// Where in a file the place is: `offset` bytes behind a symbol, or behind the start.
fn place_in(binary: &Path, symbol: Option<&str>, offset: u64) -> io::Result<u64> {
    let start = symbol.map_or(Ok(0), |symbol| symbol_offset(binary, symbol))?;
    start
        .checked_add(offset)
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Where in a file a function begins.
fn symbol_offset(binary: &Path, symbol: &str) -> io::Result<u64> {
    if fs::metadata(binary)?.len() > MAX_BINARY_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the file is too large to look for symbols",
        ));
    }
    let bytes = fs::read(binary)?;
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes)
        .map_err(io::Error::other)?;
    let mut symbols = file.symbols().chain(file.dynamic_symbols());
    let found = symbols.find(|one| one.is_definition() && one.name() == Ok(symbol));
    let address = found.map(|one| one.address()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("{} has no symbol `{symbol}`", binary.display()),
        )
    })?;
    let place = file.segments().find_map(|segment| {
        let into = address.checked_sub(segment.address())?;
        let (start, size) = segment.file_range();
        (into < size).then(|| start.checked_add(into))?
    });
    place.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("symbol `{symbol}` is in no segment"),
        )
    })
}
