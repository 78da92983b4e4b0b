//! What an object holds, found before any of it reaches the loader or the kernel. Each thing that would fail later is refused here, with its own words.

use std::collections::{BTreeMap, BTreeSet};

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionIndex, SymbolKind};

use crate::btf::Btf;
use crate::bytes::slice_at;
use crate::error::{Error, Result};
use crate::object_checks::{
    self, Checked, Elf, called_functions, check_relocations, check_section, has_relocated_types,
    is_code, is_loaded,
};
use crate::scanned_map::{ScannedMap, collect_maps};
use crate::section_meaning::{SectionMeaning, TCX_EGRESS, TCX_INGRESS, meaning};
use crate::{ProgramKind, Target, section_names};

/// Objects above this size are refused.
pub const MAX_OBJECT_BYTES: usize = 4 << 20;
const MAX_PROGRAMS: usize = 64;

/// An object that this crate can load, and what is in it.
#[derive(Clone, Debug)]
pub struct ScannedObject {
    /// The object with section names that the loader knows.
    pub(crate) bytes: Vec<u8>,
    pub(crate) btf: Btf,
    programs: Vec<ScannedProgram>,
    maps: Vec<ScannedMap>,
    pub(crate) globals: BTreeMap<String, Global>,
    license: String,
    functions: BTreeSet<u32>,
    pub(crate) has_relocated_types: bool,
}

/// One program of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScannedProgram {
    /// The name of its function.
    pub name: String,
    /// The name of its section, as it was written.
    pub section: String,
    /// How it is attached.
    pub kind: ProgramKind,
    /// Where the section name says that it is attached, if it does.
    pub target: Option<Target>,
    pub(crate) attach_type: u32,
}

/// A global variable.
#[derive(Clone, Debug)]
pub(crate) struct Global {
    pub(crate) section: String,
    pub(crate) offset: usize,
    pub(crate) of: u32,
    /// What the object starts it with.
    pub(crate) initial: Vec<u8>,
}

impl ScannedObject {
    /// Reads an object. `Err` names the first thing in it that this crate does not load.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        scan(bytes).map_err(Error::Object)
    }

    /// Its programs, in the order of their names.
    #[must_use]
    pub fn programs(&self) -> &[ScannedProgram] {
        &self.programs
    }

    /// Its maps, in the order of their names.
    #[must_use]
    pub fn maps(&self) -> &[ScannedMap] {
        &self.maps
    }

    /// Its licence.
    #[must_use]
    pub fn license(&self) -> &str {
        &self.license
    }

    /// The numbers of the kernel functions it calls; [`function_name`](crate::function_name) names them.
    #[must_use]
    pub fn functions(&self) -> &BTreeSet<u32> {
        &self.functions
    }

    /// The names that parameters can set: global variables and maps.
    #[must_use]
    pub fn parameter_names(&self) -> Vec<&str> {
        let globals = self.globals.keys().map(String::as_str);
        globals
            .chain(self.maps.iter().map(|map| map.name.as_str()))
            .collect()
    }

    pub(crate) fn map(&self, name: &str) -> Option<&ScannedMap> {
        self.maps.iter().find(|map| map.name == name)
    }

    pub(crate) fn program(&self, name: &str) -> Option<&ScannedProgram> {
        self.programs.iter().find(|program| program.name == name)
    }
}

fn scan(bytes: &[u8]) -> Checked<ScannedObject> {
    if bytes.len() > MAX_OBJECT_BYTES {
        return Err(format!(
            "{} bytes are more than the {MAX_OBJECT_BYTES} allowed",
            bytes.len()
        ));
    }
    let file = Elf::parse(bytes).map_err(|error| format!("not a 64-bit ELF file: {error}"))?;
    object_checks::check_header(&file)?;
    let btf = object_checks::parse_btf(&file)?;
    object_checks::check_extension(&file)?;
    object_checks::check_symbols(&file)?;

    let mut programs = BTreeMap::new();
    let mut functions = BTreeSet::new();
    let mut renamed = Vec::new();
    let mut seen = BTreeSet::new();
    for section in file.sections() {
        let name = section.name().map_err(|_| "a section name is not text")?;
        if !is_loaded(&section, name) {
            continue;
        }
        if !seen.insert(name) {
            return Err(format!("section `{name}` appears twice"));
        }
        check_section(&section, name)?;
        if !is_code(&section) {
            continue;
        }
        check_relocations(&file, &section, name)?;
        functions.extend(called_functions(section.data().unwrap_or_default(), name)?);
        if name.starts_with(".text") {
            continue;
        }
        let found = meaning(name).map_err(|why| format!("section `{name}`: {why}"))?;
        if let Some(known) = found.loader_name {
            renamed.push((
                section.index(),
                name.to_owned(),
                format!("{known}/{}", section.index().0),
            ));
        }
        collect_programs(&file, section.index(), name, &found, &mut programs);
    }
    for name in programs.keys() {
        object_checks::check_name("program", name)?;
    }
    if programs.is_empty() {
        return Err("it holds no program".to_owned());
    }
    if programs.len() > MAX_PROGRAMS {
        return Err(format!(
            "{} programs are more than the {MAX_PROGRAMS} allowed",
            programs.len()
        ));
    }
    let bytes = section_names::replace(bytes, &renamed)?;
    let maps = collect_maps(&btf)?;
    let globals = collect_globals(&file, &btf);
    let license = license(&file)?;
    Ok(ScannedObject {
        bytes,
        maps,
        globals,
        license,
        functions,
        has_relocated_types: has_relocated_types(&file),
        btf,
        programs: programs.into_values().collect(),
    })
}

fn collect_programs(
    file: &Elf<'_>,
    section: SectionIndex,
    name: &str,
    found: &SectionMeaning,
    into: &mut BTreeMap<String, ScannedProgram>,
) {
    for symbol in file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
    {
        let function = symbol.name().unwrap_or_default();
        if symbol.section_index() != Some(section) || function.is_empty() {
            continue;
        }
        let attach_type = match (found.kind, name.rsplit_once('/')) {
            (ProgramKind::Tc, Some((_, "ingress"))) => TCX_INGRESS,
            (ProgramKind::Tc, Some((_, "egress"))) => TCX_EGRESS,
            _ => found.attach_type,
        };
        let program = ScannedProgram {
            name: function.to_owned(),
            section: name.to_owned(),
            kind: found.kind,
            target: found.target.clone(),
            attach_type,
        };
        into.insert(function.to_owned(), program);
    }
}

fn collect_globals(file: &Elf<'_>, btf: &Btf) -> BTreeMap<String, Global> {
    let mut globals = BTreeMap::new();
    for symbol in file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Data)
    {
        let found = (|| {
            let name = symbol.name().ok()?;
            let section = file.section_by_index(symbol.section_index()?).ok()?;
            let section_name = section.name().ok()?;
            if ![".rodata", ".data", ".bss"]
                .iter()
                .any(|prefix| section_name.starts_with(prefix))
            {
                return None;
            }
            let of = btf.variable(name)?;
            let (offset, size) = (
                usize::try_from(symbol.address()).ok()?,
                usize::try_from(symbol.size()).ok()?,
            );
            let initial = slice_at(section.data().ok()?, offset, size)
                .map_or_else(|| vec![0; size], <[u8]>::to_vec);
            (btf.size(of) == Some(size)).then(|| {
                (
                    name.to_owned(),
                    Global {
                        section: section_name.to_owned(),
                        offset,
                        of,
                        initial,
                    },
                )
            })
        })();
        globals.extend(found);
    }
    globals
}

fn license(file: &Elf<'_>) -> Checked<String> {
    // Without this section the loader would claim the GPL in the author's name.
    let section = file
        .section_by_name("license")
        .ok_or("it states no licence (section `license`)")?;
    let text = std::ffi::CStr::from_bytes_until_nul(section.data().unwrap_or_default())
        .ok()
        .and_then(|text| text.to_str().ok());
    text.filter(|text| !text.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| "its licence is not text".to_owned())
}
