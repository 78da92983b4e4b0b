//! Looks into an archive or an object, for people: nothing here makes anything trusted.

use std::collections::BTreeSet;

use object::{Architecture, Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::unpack::{Contents, unpack};
use crate::{Digest, Limits, Metadata, UnpackError};

mod btf;
mod functions;

use btf::Btf;
use functions::Functions;

/// How much of a name is shown.
const MAX_NAME_BYTES: usize = 256;

/// How many sections or symbols are looked at: a real object has some dozens.
const MAX_PARTS: usize = 4096;

/// How many calls between functions are followed.
const MAX_CALLS: usize = 1 << 20;

/// What is in an archive.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ArchiveInspection {
    /// The SHA-256 of the archive.
    pub digest: Digest,
    /// The names of its entries, in their order.
    pub entries: Vec<String>,
    /// What the packer says.
    pub metadata: Option<Metadata>,
    /// What is in `program.o`.
    pub object: ObjectInspection,
}

/// What is in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInspection {
    /// Its sections.
    pub sections: Vec<Section>,
    /// Its programs.
    pub programs: Vec<Program>,
    /// Its maps.
    pub maps: Vec<Map>,
    /// What it says its licence is. The kernel lets only GPL-compatible ones call some functions.
    pub license: Option<String>,
    /// Whether it has type information (`.BTF`), which parameters by name need.
    pub has_btf: bool,
    /// Whether it has what relocation to other kernels needs (`.BTF.ext`).
    pub has_btf_ext: bool,
}

/// A section of the ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A program: a function in a section that says what kind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Program {
    /// The function.
    pub name: String,
    /// The section, such as `xdp` or `cgroup_skb/egress`.
    pub section: String,
    /// Its length, without the functions it calls.
    pub instructions: usize,
    /// The kernel's helpers it calls, itself or through functions of the object, by their numbers in `linux/bpf.h`.
    pub helpers: BTreeSet<u32>,
    /// The kernel's other functions (kfuncs) it calls.
    pub kernel_functions: BTreeSet<String>,
}

/// A map, with what its type information says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Map {
    /// Its name.
    pub name: String,
    /// The kernel's number of its type.
    pub map_type: Option<u32>,
    /// The size of a key.
    pub key_bytes: Option<u32>,
    /// The size of a value.
    pub value_bytes: Option<u32>,
    /// How many entries it may have, or the bytes of a ring buffer.
    pub max_entries: Option<u32>,
    /// Whether it asks to be shared with other programs under its name.
    pub pinned_by_name: bool,
}

/// The bytes are no object that can be looked into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an eBPF object: {0}")]
pub struct NotAnObject(String);

/// Why an archive could not be looked into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// It cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// What is in it is no object.
    #[error(transparent)]
    Object(#[from] NotAnObject),
}

/// Looks into an archive of any origin. What comes of it cannot be loaded; for that it is [verified](crate::verify).
pub fn inspect_archive(archive: &[u8], limits: &Limits) -> Result<ArchiveInspection, InspectError> {
    let Contents {
        object,
        metadata,
        entries,
    } = unpack(archive, limits)?;
    Ok(ArchiveInspection {
        digest: Digest::of(archive),
        entries,
        metadata,
        object: inspect_object(&object)?,
    })
}

/// Looks into an object.
pub fn inspect_object(object: &[u8]) -> Result<ObjectInspection, NotAnObject> {
    let file = object::File::parse(object).map_err(|error| NotAnObject(error.to_string()))?;
    if file.architecture() != Architecture::Bpf || !file.is_little_endian() || !file.is_64() {
        return Err(NotAnObject(
            "it is not ELF for little-endian eBPF".to_owned(),
        ));
    }
    if file.sections().nth(MAX_PARTS).is_some() || file.symbols().nth(MAX_PARTS).is_some() {
        return Err(NotAnObject(format!(
            "it has more than {MAX_PARTS} sections or symbols"
        )));
    }
    let programs = programs(&file).ok_or_else(|| {
        NotAnObject("its functions overlap or call each other too much".to_owned())
    })?;
    let named = |name: &str| {
        file.section_by_name(name)
            .and_then(|section| section.data().ok())
    };
    let license = named("license").and_then(|bytes| bytes.split(|byte| *byte == 0).next());
    let sections = file.sections().map(|section| Section {
        name: text(section.name_bytes().unwrap_or_default()),
        size: section.size(),
    });
    Ok(ObjectInspection {
        sections: sections
            .filter(|section| !section.name.is_empty())
            .collect(),
        programs,
        maps: maps(&file, named(".BTF").and_then(Btf::parse)),
        license: license.map(text),
        has_btf: named(".BTF").is_some(),
        has_btf_ext: named(".BTF.ext").is_some(),
    })
}

/// `None` if it would take too long to find out who calls whom.
fn programs(file: &object::File<'_>) -> Option<Vec<Program>> {
    let functions = Functions::of(file)?;
    let mut calls_left = MAX_CALLS;
    let mut programs = Vec::new();
    for symbol in file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global())
    {
        let Some(index) = symbol.section_index() else {
            continue;
        };
        let Ok(section) = file.section_by_index(index) else {
            continue;
        };
        let section = text(section.name_bytes().unwrap_or_default());
        if section == ".text" {
            continue;
        }
        let calls = functions.calls_from((index, symbol.address()), &mut calls_left)?;
        programs.push(Program {
            name: text(symbol.name_bytes().unwrap_or_default()),
            section,
            instructions: usize::try_from(symbol.size() / 8).unwrap_or(usize::MAX),
            helpers: calls.helpers,
            kernel_functions: calls.kernel_functions,
        });
    }
    Some(programs)
}

/// The maps are the variables in `.maps`; their type information, if it can be read, says more.
fn maps(file: &object::File<'_>, btf: Option<Btf<'_>>) -> Vec<Map> {
    let Some(section) = file.section_by_name(".maps") else {
        return Vec::new();
    };
    let described = btf.map(|btf| btf.maps()).unwrap_or_default();
    let variables = file.symbols().filter(|symbol| {
        symbol.kind() == SymbolKind::Data && symbol.section_index() == Some(section.index())
    });
    let describe = |name: String| {
        let known = described.get(&name);
        known.cloned().unwrap_or_else(|| Map {
            name,
            ..Map::default()
        })
    };
    variables
        .map(|symbol| describe(text(symbol.name_bytes().unwrap_or_default())))
        .collect()
}

/// A name as text. What is longer than any name is cut: many symbols may share one name of megabytes.
fn text(bytes: &[u8]) -> String {
    let shown = bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(shown).into_owned()
}
