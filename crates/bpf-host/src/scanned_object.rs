//! What an object holds, found before any of it reaches the loader or the kernel. Each thing that would fail later is refused here, with its own words.

use std::collections::{BTreeMap, BTreeSet};

use object::read::elf::{ElfFile64, FileHeader as _};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SectionIndex,
    SymbolKind, elf,
};

use crate::btf::{Btf, Shape};
use crate::bytes::{array_at, slice_at, u32_at};
use crate::error::{Error, Result};
use crate::kernel_functions::function_number;
use crate::program_kind::{SectionMeaning, meaning};
use crate::section_names;
use crate::{ProgramKind, Target};

/// Objects above this size are refused.
pub const MAX_OBJECT_BYTES: usize = 4 << 20;
const MAX_SECTIONS: usize = 1_000;
const MAX_SYMBOLS: usize = 20_000;
const MAX_PROGRAMS: usize = 64;
const MAX_MAPS: usize = 128;

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

/// One map of an object, data sections left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScannedMap {
    /// Its name.
    pub name: String,
    /// `BPF_MAP_TYPE_*`.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// How many entries it takes.
    pub max_entries: u32,
    pub(crate) key: Option<u32>,
    pub(crate) value: Option<u32>,
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

type Elf<'a> = ElfFile64<'a, Endianness>;
type ElfSection<'a, 'f> = object::read::elf::ElfSection64<'a, 'f, Endianness>;

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

fn scan(bytes: &[u8]) -> std::result::Result<ScannedObject, String> {
    if bytes.len() > MAX_OBJECT_BYTES {
        return Err(format!(
            "{} bytes are more than the {MAX_OBJECT_BYTES} allowed",
            bytes.len()
        ));
    }
    let file = Elf::parse(bytes).map_err(|error| format!("not a 64-bit ELF file: {error}"))?;
    check_header(&file)?;
    let btf = parse_btf(&file)?;
    check_symbols(&file)?;

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

fn check_header(file: &Elf<'_>) -> std::result::Result<(), String> {
    let header = file.elf_header();
    let endian = file.endian();
    if header.e_machine(endian) != elf::EM_BPF {
        return Err("it is no BPF object".to_owned());
    }
    if header.e_type(endian) != elf::ET_REL {
        return Err("it is linked; a relocatable object (clang -c) is needed".to_owned());
    }
    if cfg!(target_endian = "little") != (endian == Endianness::Little) {
        return Err("its byte order is not that of this machine".to_owned());
    }
    if file.sections().take(MAX_SECTIONS + 1).count() > MAX_SECTIONS {
        return Err(format!("it has more than {MAX_SECTIONS} sections"));
    }
    if file.symbols().take(MAX_SYMBOLS + 1).count() > MAX_SYMBOLS {
        return Err(format!("it has more than {MAX_SYMBOLS} symbols"));
    }
    Ok(())
}

fn parse_btf(file: &Elf<'_>) -> std::result::Result<Btf, String> {
    let section = file
        .section_by_name(".BTF")
        .ok_or("it has no BTF; compile with -g")?;
    let btf = Btf::parse(
        section
            .data()
            .map_err(|error| format!("section `.BTF`: {error}"))?,
    )?;
    for (name, what) in [
        (".ksyms", "kernel functions (kfuncs) or kernel variables"),
        (".kconfig", "kernel configuration variables"),
    ] {
        if let Some((first, _)) = btf.section(name).first() {
            return Err(format!(
                "it uses {what} (`{first}`), which this loader does not resolve"
            ));
        }
    }
    Ok(btf)
}

/// Symbols that point outside of their section, or nowhere, would end the loader.
fn check_symbols(file: &Elf<'_>) -> std::result::Result<(), String> {
    for symbol in file.symbols() {
        let name = symbol.name().map_err(|_| "a symbol name is not text")?;
        if symbol.is_undefined() && !name.is_empty() {
            return Err(format!("it needs `{name}`, which is not in the object"));
        }
        let Some(index) = symbol.section_index() else {
            continue;
        };
        let section = file
            .section_by_index(index)
            .map_err(|_| format!("symbol `{name}` is in no section"))?;
        let end = symbol.address().checked_add(symbol.size());
        if section.address() != 0 || end.is_none_or(|end| end > section.size()) {
            return Err(format!("symbol `{name}` points outside of its section"));
        }
        let whole = symbol.address() % 8 == 0 && symbol.size() % 8 == 0;
        if symbol.kind() == SymbolKind::Text && (!whole || symbol.size() == 0) {
            return Err(format!(
                "function `{name}` is not made of whole instructions"
            ));
        }
    }
    Ok(())
}

/// Sections that become something in the kernel.
fn is_loaded(section: &ElfSection<'_, '_>, name: &str) -> bool {
    const DATA: [&str; 6] = [".maps", "maps", ".rodata", ".data", ".bss", ".struct_ops"];
    is_code(section) || DATA.iter().any(|prefix| name.starts_with(prefix))
}

fn is_code(section: &ElfSection<'_, '_>) -> bool {
    let SectionFlags::Elf { sh_flags } = section.flags() else {
        return false;
    };
    sh_flags & u64::from(elf::SHF_EXECINSTR) != 0 && section.size() > 0
}

fn check_section(section: &ElfSection<'_, '_>, name: &str) -> std::result::Result<(), String> {
    if name.starts_with(".struct_ops") {
        return Err("struct_ops replace parts of the kernel and are not supported".to_owned());
    }
    if name.starts_with("maps") {
        return Err(format!(
            "section `{name}`: maps of the old form; define them with BTF in `.maps`"
        ));
    }
    if is_code(section) && section.size() % 8 != 0 {
        return Err(format!(
            "section `{name}` is not made of whole instructions"
        ));
    }
    let size = section.size();
    if usize::try_from(size).map_or(true, |size| size > MAX_OBJECT_BYTES) {
        return Err(format!(
            "section `{name}` is larger than {MAX_OBJECT_BYTES} bytes"
        ));
    }
    for (offset, _) in section.relocations() {
        if offset.checked_add(8).is_none_or(|end| end > size) {
            return Err(format!(
                "section `{name}`: a relocation points outside of it"
            ));
        }
        if is_code(section) && offset % 8 != 0 {
            return Err(format!(
                "section `{name}`: a relocation points into the middle of an instruction"
            ));
        }
    }
    Ok(())
}

/// The numbers of all kernel functions that instructions call.
fn called_functions(code: &[u8], section: &str) -> std::result::Result<BTreeSet<u32>, String> {
    const CALL: u8 = 0x85;
    const LOAD_WIDE: u8 = 0x18;
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(instruction) = array_at::<8>(code, at) {
        let [operation, registers, _, _, number @ ..] = instruction;
        at += if operation == LOAD_WIDE { 16 } else { 8 };
        match (operation, registers >> 4) {
            (CALL, 0) => drop(found.insert(u32::from_ne_bytes(number))),
            (CALL, 2) => {
                return Err(format!(
                    "section `{section}` calls a kernel function by its BTF id (kfunc), which this loader does not resolve"
                ));
            }
            _ => {}
        }
    }
    Ok(found)
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
            (ProgramKind::Tc, Some((_, "ingress"))) => crate::program_kind::TCX_INGRESS,
            (ProgramKind::Tc, Some((_, "egress"))) => crate::program_kind::TCX_EGRESS,
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

fn collect_maps(btf: &Btf) -> std::result::Result<Vec<ScannedMap>, String> {
    let mut maps = BTreeMap::new();
    for (name, of) in btf.section(".maps") {
        let map = scan_map(btf, name, of)?;
        maps.insert(name.to_owned(), map);
    }
    if maps.len() > MAX_MAPS {
        return Err(format!(
            "{} maps are more than the {MAX_MAPS} allowed",
            maps.len()
        ));
    }
    Ok(maps.into_values().collect())
}

fn scan_map(btf: &Btf, name: &str, of: u32) -> std::result::Result<ScannedMap, String> {
    let wrong = || format!("map `{name}`: its definition is not understood");
    let (_, definition, _) = btf.resolve(of).ok_or_else(wrong)?;
    let Shape::Record { members, .. } = &definition.shape else {
        return Err(wrong());
    };
    let mut map = ScannedMap {
        name: name.to_owned(),
        map_type: 0,
        key_bytes: 0,
        value_bytes: 0,
        max_entries: 0,
        key: None,
        value: None,
    };
    for member in members {
        match member.name.as_str() {
            "type" => map.map_type = number(btf, member.of).ok_or_else(wrong)?,
            "key_size" => map.key_bytes = number(btf, member.of).ok_or_else(wrong)?,
            "value_size" => map.value_bytes = number(btf, member.of).ok_or_else(wrong)?,
            "max_entries" => map.max_entries = number(btf, member.of).ok_or_else(wrong)?,
            "key" => map.key = Some(pointed(btf, member.of).ok_or_else(wrong)?),
            "value" => map.value = Some(pointed(btf, member.of).ok_or_else(wrong)?),
            "pinning" if number(btf, member.of) != Some(0) => {
                return Err(format!(
                    "map `{name}` asks to be pinned by name, and so could be shared or stolen; leave `pinning` out"
                ));
            }
            _ => {}
        }
    }
    let size = |of: u32| btf.size(of).and_then(|size| u32::try_from(size).ok());
    if let Some(key) = map.key {
        map.key_bytes = size(key).ok_or_else(wrong)?;
    }
    if let Some(value) = map.value {
        map.value_bytes = size(value).ok_or_else(wrong)?;
    }
    match map.map_type {
        0 | 34.. => Err(format!(
            "map `{name}`: map type {} is not known",
            map.map_type
        )),
        3 => Err(format!(
            "map `{name}`: tail calls are not supported, nothing would fill this map"
        )),
        26 => Err(format!("map `{name}`: struct_ops are not supported")),
        29 => Err(format!("map `{name}`: task storage is not supported")),
        31 => Err(format!("map `{name}`: user ring buffers are not supported")),
        33 => Err(format!("map `{name}`: arenas are not supported")),
        _ => Ok(map),
    }
}

/// `__uint(name, N)` is a pointer to an array of N.
fn number(btf: &Btf, of: u32) -> Option<u32> {
    let (_, found, _) = btf.resolve(pointed(btf, of)?)?;
    match found.shape {
        Shape::Array { length, .. } => Some(length),
        _ => None,
    }
}

/// `__type(name, T)` is a pointer to T.
fn pointed(btf: &Btf, of: u32) -> Option<u32> {
    match btf.resolve(of)?.1.shape {
        Shape::Pointer { to } => Some(to),
        _ => None,
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

/// Whether the kernel's types are needed: reading them takes longer than all the rest.
fn has_relocated_types(file: &Elf<'_>) -> bool {
    let section = file.section_by_name(".BTF.ext");
    let section = section
        .as_ref()
        .and_then(|section| section.data().ok())
        .unwrap_or_default();
    u32_at(section, 4) >= Some(32) && u32_at(section, 28) != Some(0)
}

fn license(file: &Elf<'_>) -> std::result::Result<String, String> {
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

/// The numbers of functions given by name; `Err` holds the first name that no kernel has.
pub(crate) fn numbers(names: &[&str]) -> std::result::Result<BTreeSet<u32>, String> {
    names
        .iter()
        .map(|name| function_number(name).ok_or_else(|| (*name).to_owned()))
        .collect()
}

impl ScannedMap {
    /// One value per processor.
    pub(crate) fn is_per_cpu(&self) -> bool {
        matches!(self.map_type, 5 | 6 | 10)
    }

    /// Entries with the keys 0 to n-1, which always exist.
    pub(crate) fn is_array(&self) -> bool {
        matches!(self.map_type, 2 | 6)
    }

    pub(crate) fn is_trie(&self) -> bool {
        self.map_type == 11
    }

    /// Maps whose entries user space reads and writes by key.
    pub(crate) fn takes_entries(&self) -> bool {
        matches!(self.map_type, 1 | 2 | 5 | 6 | 9 | 10 | 11)
    }
}
