//! What must be true of an object so that the loader neither stumbles nor guesses.

use std::collections::BTreeSet;

use object::read::elf::{ElfFile64, ElfSection64, FileHeader as _};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionFlags,
    SectionIndex, SymbolKind, elf,
};

use crate::MAX_OBJECT_BYTES;
use crate::btf::Btf;
use crate::bytes::{array_at, length, slice_at, text_at, u16_at, u32_at};

const MAX_SECTIONS: usize = 1_000;
const MAX_SYMBOLS: usize = 20_000;
const MAX_NAME_BYTES: usize = 128;

/// Opcodes: a call, and a constant of 64 bits, which takes two instructions.
const CALL: u8 = 0x85;
const LOAD_WIDE: u8 = 0x18;

pub(crate) type Elf<'a> = ElfFile64<'a, Endianness>;
pub(crate) type ElfSection<'a, 'f> = ElfSection64<'a, 'f, Endianness>;
/// What is wrong, in words that follow "the object is refused: ".
pub(crate) type Checked<T> = Result<T, String>;

pub(crate) fn check_header(file: &Elf<'_>) -> Checked<()> {
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

pub(crate) fn parse_btf(file: &Elf<'_>) -> Checked<Btf> {
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
        if let Some(first) = btf.first_in(name) {
            return Err(format!(
                "it uses {what} (`{first}`), which this loader does not resolve"
            ));
        }
    }
    Ok(btf)
}

/// Symbols that point outside of their section, or nowhere, would end the loader.
pub(crate) fn check_symbols(file: &Elf<'_>) -> Checked<()> {
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
pub(crate) fn is_loaded(section: &ElfSection<'_, '_>, name: &str) -> bool {
    const KNOWN: [&str; 7] = [
        ".text",
        ".maps",
        "maps",
        ".rodata",
        ".data",
        ".bss",
        ".struct_ops",
    ];
    is_code(section) || KNOWN.iter().any(|prefix| name.starts_with(prefix))
}

pub(crate) fn is_code(section: &ElfSection<'_, '_>) -> bool {
    let SectionFlags::Elf { sh_flags } = section.flags() else {
        return false;
    };
    sh_flags & u64::from(elf::SHF_EXECINSTR) != 0 && section.size() > 0
}

pub(crate) fn check_section(section: &ElfSection<'_, '_>, name: &str) -> Checked<()> {
    if name.starts_with(".struct_ops") {
        return Err("struct_ops replace parts of the kernel and are not supported".to_owned());
    }
    if name.starts_with(".text") && section.size() > 0 && !is_code(section) {
        return Err(format!("section `{name}` holds no code"));
    }
    if name.starts_with("maps") {
        return Err(format!(
            "section `{name}`: maps of the old form; define them with BTF in `.maps`"
        ));
    }
    if !is_code(section) {
        check_name("section", name)?;
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
    Ok(())
}

/// Relocations of code: each at an instruction that takes one, within a function, and to something
/// that such an instruction can refer to.
pub(crate) fn check_relocations(
    file: &Elf<'_>,
    section: &ElfSection<'_, '_>,
    name: &str,
) -> Checked<()> {
    let wrong = |what: &str| Err(format!("section `{name}`: a relocation {what}"));
    let code = section.data().unwrap_or_default();
    let ends = functions_in(file, section.index());
    for (offset, relocation) in section.relocations() {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let (bytes, is_call) = match code.get(at) {
            Some(&LOAD_WIDE) if at % 8 == 0 => (16, false),
            Some(&CALL) if at % 8 == 0 => (8, true),
            _ => return wrong("is at no instruction that takes one"),
        };
        if relocation.size() != if is_call { 32 } else { 64 } {
            return wrong("is of a kind that its instruction does not take");
        }
        // Where functions begin at the same place, all of them must hold it.
        let held = |(start, end): &(u64, u64)| {
            *start > offset
                || *end <= offset
                || offset.checked_add(bytes).is_some_and(|last| last <= *end)
        };
        if !ends.iter().all(held) {
            return wrong("is cut off by the end of its function");
        }
        let RelocationTarget::Symbol(symbol) = relocation.target() else {
            return wrong("is to no symbol");
        };
        let symbol = file
            .symbol_by_index(symbol)
            .map_err(|error| format!("section `{name}`: {error}"))?;
        let target = symbol
            .section_index()
            .and_then(|index| file.section_by_index(index).ok());
        let is_function = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Section);
        match target {
            Some(target) if is_code(&target) && is_function => {}
            Some(target) if !is_code(&target) && !is_call && symbol.kind() != SymbolKind::Text => {}
            _ => return wrong("is to something else than a function, a map or a variable"),
        }
    }
    Ok(())
}

/// Where the functions of a section begin and end.
fn functions_in(file: &Elf<'_>, section: SectionIndex) -> Vec<(u64, u64)> {
    let functions = file.symbols().filter(|symbol| {
        symbol.kind() == SymbolKind::Text && symbol.section_index() == Some(section)
    });
    functions
        .map(|symbol| {
            (
                symbol.address(),
                symbol.address().saturating_add(symbol.size()),
            )
        })
        .collect()
}

/// Names of programs, maps and data sections become names of pins.
pub(crate) fn check_name(what: &str, name: &str) -> Checked<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
        return Err(format!(
            "{what} `{}` has a name that is not made of letters, digits and `_`",
            name.escape_default()
        ));
    }
    Ok(())
}

/// The numbers of all kernel functions that instructions call.
pub(crate) fn called_functions(code: &[u8], section: &str) -> Checked<BTreeSet<u32>> {
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

/// Checks `.BTF.ext`: records of functions, lines and relocated fields, by section.
pub(crate) fn check_extension(file: &Elf<'_>) -> Checked<()> {
    let data = |name: &str| {
        file.section_by_name(name)
            .and_then(|section| section.data().ok())
    };
    let (Some(extension), Some(btf)) = (data(".BTF.ext"), data(".BTF")) else {
        return Ok(());
    };
    let strings = Btf::strings(btf);
    let head = length(u32_at(extension, 4).unwrap_or(0));
    if u16_at(extension, 0) != u16_at(btf, 0) || !matches!(head, 24 | 32) {
        return Err("section `.BTF.ext` has an unknown header".to_owned());
    }
    let parts: &[(usize, usize)] = if head == 32 {
        &[(8, 8), (16, 16), (24, 16)]
    } else {
        &[(8, 8), (16, 16)]
    };
    for (at, record) in parts {
        if check_records(extension, head, *at, *record, strings).is_none() {
            return Err("section `.BTF.ext` is cut off, or not understood".to_owned());
        }
    }
    Ok(())
}

/// Groups of records, each of them under the name of a section.
fn check_records(
    extension: &[u8],
    head: usize,
    at: usize,
    record: usize,
    strings: &[u8],
) -> Option<()> {
    let (offset, bytes) = (
        u32_at(extension, at)?,
        u32_at(extension, at.checked_add(4)?)?,
    );
    let part = slice_at(extension, head.checked_add(length(offset))?, length(bytes))?;
    if part.is_empty() {
        return Some(());
    }
    if length(u32_at(part, 0)?) != record {
        return None;
    }
    let mut group = 4;
    while group < part.len() {
        text_at(strings, length(u32_at(part, group)?))?;
        let count = length(u32_at(part, group.checked_add(4)?)?);
        let records = slice_at(part, group.checked_add(8)?, count.checked_mul(record)?)?;
        if count == 0 {
            return None;
        }
        // Of relocated fields the way to the field is a text, too.
        if at == 24
            && !records
                .chunks_exact(record)
                .all(|one| is_relocation(one, strings))
        {
            return None;
        }
        group = group.checked_add(8)?.checked_add(records.len())?;
    }
    Some(())
}

/// `0:1:2`: the way through structs and arrays, and one of the 13 kinds of relocations.
fn is_relocation(record: &[u8], strings: &[u8]) -> bool {
    let way = u32_at(record, 8).and_then(|at| text_at(strings, length(at)));
    let steps = |way: &str| way.split(':').all(|step| step.parse::<u16>().is_ok());
    way.is_some_and(steps) && u32_at(record, 12).is_some_and(|kind| kind <= 12)
}

/// Whether the kernel's types are needed: reading them takes longer than all the rest.
pub(crate) fn has_relocated_types(file: &Elf<'_>) -> bool {
    let section = file.section_by_name(".BTF.ext");
    let section = section
        .as_ref()
        .and_then(|section| section.data().ok())
        .unwrap_or_default();
    u32_at(section, 4) >= Some(32) && u32_at(section, 28) != Some(0)
}
