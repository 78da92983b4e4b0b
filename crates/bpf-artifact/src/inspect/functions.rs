//! Who calls whom: a scan of the instructions of an object.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SymbolKind};

/// Where a function begins: its section, and the byte in it.
type Place = (SectionIndex, u64);

/// An instruction is eight bytes.
const WIDTH: u64 = 8;
/// What all functions have together: an object of 4 MiB has no more, unless they overlap.
const MAX_INSTRUCTIONS: u64 = 1 << 19;
const CALL: u8 = 0x85;
/// Loads 64 bits, and takes the place of two instructions.
const LOAD_WIDE: u8 = 0x18;

/// What a function calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    pub(super) helpers: BTreeSet<u32>,
    pub(super) kernel_functions: BTreeSet<String>,
    /// Functions of the object itself.
    own: HashSet<Place>,
}

/// All functions of an object, with their calls.
#[derive(Debug, Default)]
pub(super) struct Functions(HashMap<Place, Calls>);

/// What the linker would put into an instruction.
struct Relocated {
    /// Where it leads, if into the object.
    place: Option<Place>,
    name: String,
}

impl Functions {
    /// `None` if the functions are longer, all together, than an object can be.
    pub(super) fn of(file: &object::File<'_>) -> Option<Functions> {
        let mut functions = HashMap::new();
        let mut relocated = HashMap::new();
        let mut instructions_left = MAX_INSTRUCTIONS;
        for symbol in file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text)
        {
            let Some(index) = symbol.section_index() else {
                continue;
            };
            let Ok(section) = file.section_by_index(index) else {
                continue;
            };
            instructions_left = instructions_left.checked_sub(symbol.size() / WIDTH)?;
            let range = symbol.address()..symbol.address().saturating_add(symbol.size());
            let relocated = relocated
                .entry(index)
                .or_insert_with(|| relocations(file, &section));
            let code = section.data().unwrap_or_default();
            let calls = scan(code, range, index, relocated);
            functions.insert((index, symbol.address()), calls);
        }
        Some(Functions(functions))
    }

    /// What is called from here, directly or through functions of the object.
    pub(super) fn calls_from(&self, section: SectionIndex, address: u64) -> Calls {
        let mut all = Calls::default();
        let mut next = vec![(section, address)];
        while let Some(place) = next.pop() {
            if !all.own.insert(place) {
                continue;
            }
            let Some(calls) = self.0.get(&place) else {
                continue;
            };
            all.helpers.extend(&calls.helpers);
            all.kernel_functions
                .extend(calls.kernel_functions.iter().cloned());
            next.extend(&calls.own);
        }
        all
    }
}

fn relocations(
    file: &object::File<'_>,
    section: &object::Section<'_, '_>,
) -> BTreeMap<u64, Relocated> {
    let mut found = BTreeMap::new();
    for (offset, relocation) in section.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else {
            continue;
        };
        let Ok(symbol) = file.symbol_by_index(index) else {
            continue;
        };
        let name = String::from_utf8_lossy(symbol.name_bytes().unwrap_or_default()).into_owned();
        let place = symbol
            .section_index()
            .map(|section| (section, symbol.address()));
        found.insert(offset, Relocated { place, name });
    }
    found
}

fn scan(
    code: &[u8],
    range: std::ops::Range<u64>,
    section: SectionIndex,
    relocated: &BTreeMap<u64, Relocated>,
) -> Calls {
    let mut calls = Calls::default();
    let mut at = range.start;
    while at < range.end {
        let Some([code, registers, _, _, immediate @ ..]) = instruction(code, at) else {
            break;
        };
        let immediate = i32::from_le_bytes(immediate);
        let relocation = relocated.get(&at);
        match (code, registers >> 4, relocation) {
            (CALL, 0, _) => drop(calls.helpers.insert(immediate.cast_unsigned())),
            (CALL, 1 | 2, Some(Relocated { place: None, name })) => {
                calls.kernel_functions.insert(name.clone());
            }
            (
                CALL,
                1,
                Some(Relocated {
                    place: Some((section, address)),
                    ..
                }),
            ) => {
                calls
                    .own
                    .extend(beyond(*section, *address, i64::from(immediate) + 1));
            }
            (CALL, 1, None) => {
                let next = at.saturating_add(WIDTH);
                calls
                    .own
                    .extend(beyond(section, next, i64::from(immediate)));
            }
            // The address of a function, for a helper that calls back.
            (
                LOAD_WIDE,
                _,
                Some(Relocated {
                    place: Some((section, address)),
                    ..
                }),
            ) => {
                calls
                    .own
                    .extend(beyond(*section, *address, i64::from(immediate) / 8));
            }
            _ => {}
        }
        at = at.saturating_add(if code == LOAD_WIDE { 2 * WIDTH } else { WIDTH });
    }
    calls
}

fn instruction(code: &[u8], at: u64) -> Option<[u8; 8]> {
    let rest = code.get(usize::try_from(at).ok()?..)?;
    rest.first_chunk().copied()
}

/// So many instructions behind an address.
fn beyond(section: SectionIndex, address: u64, instructions: i64) -> Option<Place> {
    let bytes = instructions.checked_mul(8)?;
    Some((section, address.checked_add_signed(bytes)?))
}
