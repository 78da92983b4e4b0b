//! The only place that knows the loading library: an object goes in, descriptors of programs and maps come out. Nothing is attached yet.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use aya::maps::{Map, MapData};
use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, Endianness, VerifierLogLevel};

use crate::Target;
use crate::error::{Error, KernelError, Result, VerifierLog};
use crate::parameters::Patch;
use crate::scanned_object::ScannedObject;

/// What an object has become in the kernel.
pub(crate) struct InKernel {
    pub(crate) programs: BTreeMap<String, OwnedFd>,
    /// Data sections are maps, too, by the names of their sections.
    pub(crate) maps: BTreeMap<String, OwnedFd>,
}

/// Loads all maps and programs of an object. `bound` says where programs go whose function is found by its type.
pub(crate) fn load(
    object: &ScannedObject,
    constants: &[Patch],
    bound: &BTreeMap<String, Target>,
    kernel_types: &Path,
) -> Result<InKernel> {
    let types = if object.has_relocated_types || !bound.is_empty() {
        read_types(kernel_types, !bound.is_empty())?
    } else {
        None
    };
    // The log with all steps is up to 5 MB and takes a second: only what failed is loaded with it.
    let brief = load_with(
        object,
        constants,
        bound,
        types.as_ref(),
        VerifierLogLevel::STATS,
    );
    match brief {
        Err(Error::Kernel(KernelError {
            verifier: Some(_), ..
        })) => load_with(
            object,
            constants,
            bound,
            types.as_ref(),
            VerifierLogLevel::DEBUG | VerifierLogLevel::STATS,
        ),
        other => other,
    }
}

fn read_types(path: &Path, needed: bool) -> Result<Option<Btf>> {
    match Btf::parse_file(path, Endianness::default()) {
        Ok(types) => Ok(Some(types)),
        Err(error) if needed => Err(Error::kernel(
            format!("read the kernel's types from {}", path.display()),
            std::io::Error::other(error),
        )),
        Err(_) => Ok(None),
    }
}

fn load_with(
    object: &ScannedObject,
    constants: &[Patch],
    bound: &BTreeMap<String, Target>,
    types: Option<&Btf>,
    log: VerifierLogLevel,
) -> Result<InKernel> {
    let mut loader = EbpfLoader::new();
    loader.btf(types).verifier_log_level(log);
    for constant in constants {
        loader.override_global(&constant.name, constant.bytes.as_slice(), true);
    }
    let mut loaded = loader
        .load(&object.bytes)
        .map_err(|error| refused(&error))?;
    let mut programs = BTreeMap::new();
    for (name, program) in loaded.programs_mut() {
        load_program(program, bound.get(name), types)
            .map_err(|error| program_refused(name, error))?;
        let fd = program.fd().and_then(|fd| {
            fd.as_fd()
                .try_clone_to_owned()
                .map_err(ProgramError::IOError)
        });
        programs.insert(
            name.to_owned(),
            fd.map_err(|error| program_refused(name, error))?,
        );
    }
    Ok(InKernel {
        programs,
        maps: take_maps(&loaded)?,
    })
}

fn load_program(
    program: &mut Program,
    bound: Option<&Target>,
    types: Option<&Btf>,
) -> std::result::Result<(), ProgramError> {
    match (program, bound, types) {
        (Program::Xdp(program), ..) => program.load(),
        (Program::SchedClassifier(program), ..) => program.load(),
        (Program::CgroupSkb(program), ..) => program.load(),
        (Program::CgroupSockAddr(program), ..) => program.load(),
        (Program::TracePoint(program), ..) => program.load(),
        (Program::RawTracePoint(program), ..) => program.load(),
        (Program::KProbe(program), ..) => program.load(),
        (Program::UProbe(program), ..) => program.load(),
        (Program::PerfEvent(program), ..) => program.load(),
        (Program::BtfTracePoint(program), Some(Target::RawTracepoint { name }), Some(types)) => {
            program.load(name, types)
        }
        (Program::FEntry(program), Some(Target::Function { name }), Some(types)) => {
            program.load(name, types)
        }
        (Program::FExit(program), Some(Target::Function { name }), Some(types)) => {
            program.load(name, types)
        }
        (Program::Lsm(program), Some(Target::Lsm { hook }), Some(types)) => {
            program.load(hook, types)
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn take_maps(loaded: &Ebpf) -> Result<BTreeMap<String, OwnedFd>> {
    let mut maps = BTreeMap::new();
    for (name, map) in loaded.maps() {
        let fd = map_data(map).map(|data| data.fd().as_fd().try_clone_to_owned());
        let fd = fd.ok_or_else(|| {
            Error::Object(format!("map `{name}` has a type that is not supported"))
        })?;
        maps.insert(
            name.to_owned(),
            fd.map_err(|source| Error::kernel(format!("keep map `{name}`"), source))?,
        );
    }
    Ok(maps)
}

fn map_data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::BloomFilter(data)
        | Map::CgroupArray(data)
        | Map::CgroupStorage(data)
        | Map::CgrpStorage(data)
        | Map::CpuMap(data)
        | Map::DevMap(data)
        | Map::DevMapHash(data)
        | Map::HashMap(data)
        | Map::HashOfMaps(data)
        | Map::InodeStorage(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuCgroupStorage(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::PerfEventArray(data)
        | Map::ProgramArray(data)
        | Map::Queue(data)
        | Map::ReusePortSockArray(data)
        | Map::RingBuf(data)
        | Map::SkStorage(data)
        | Map::SockHash(data)
        | Map::SockMap(data)
        | Map::Stack(data)
        | Map::StackTraceMap(data)
        | Map::XskMap(data) => Some(data),
        _ => None,
    }
}

/// The library's words for what is wrong with the object as a whole.
fn refused(error: &aya::EbpfError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut errno = None;
    let mut text = error.to_string();
    while let Some(inner) = cause {
        errno = errno.or_else(|| {
            inner
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::raw_os_error)
        });
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    match errno {
        Some(errno) => Error::kernel(
            format!("load the object ({text})"),
            std::io::Error::from_raw_os_error(errno),
        ),
        None => Error::Object(text),
    }
}

fn program_refused(name: &str, error: ProgramError) -> Error {
    let doing = format!("load program `{name}`");
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            let verifier = VerifierLog::new(&verifier_log.to_string());
            Error::Kernel(KernelError {
                doing,
                source: io_error,
                verifier,
            })
        }
        ProgramError::Btf(error) => Error::kernel(
            format!("{doing}: its target is not in the kernel's types ({error})"),
            std::io::Error::from(std::io::ErrorKind::NotFound),
        ),
        ProgramError::SyscallError(error) => {
            Error::kernel(format!("{doing} ({})", error.call), error.io_error)
        }
        other => Error::kernel(doing, std::io::Error::other(other)),
    }
}
