//! Who calls whom: a scan of the instructions of an object.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::text;
use object::{
    Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SymbolIndex, SymbolKind,
};

/// Where a function begins: its section, and the byte in it.
pub(super) type Place = (SectionIndex, u64);

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
enum Relocated<'a> {
    /// The place of something in the object.
    Own(Place),
    /// Something of the kernel's, by name.
    Kernel(&'a str),
}

/// The names of what is not in the object, by the index of their symbols.
type Outside = HashMap<SymbolIndex, String>;

impl Functions {
    /// `None` if the functions are longer, all together, than an object can be.
    pub(super) fn of(file: &object::File<'_>) -> Option<Functions> {
        let outside = outside(file);
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
                .or_insert_with(|| relocations(file, &section, &outside));
            let code = section.data().unwrap_or_default();
            let calls = scan(code, range, index, relocated);
            functions.insert((index, symbol.address()), calls);
        }
        Some(Functions(functions))
    }

    /// What is called from here, directly or through functions of the object. `None` once no more calls may be
    /// followed.
    pub(super) fn calls_from(&self, start: Place, calls_left: &mut usize) -> Option<Calls> {
        let mut all = Calls::default();
        let mut next = vec![start];
        while let Some(place) = next.pop() {
            if !all.own.insert(place) {
                continue;
            }
            let Some(calls) = self.0.get(&place) else {
                continue;
            };
            let found = calls.own.len() + calls.helpers.len() + calls.kernel_functions.len() + 1;
            *calls_left = calls_left.checked_sub(found)?;
            all.helpers.extend(&calls.helpers);
            all.kernel_functions
                .extend(calls.kernel_functions.iter().cloned());
            next.extend(&calls.own);
        }
        Some(all)
    }
}

/// Each name is looked up once: a hostile one is megabytes long.
fn outside(file: &object::File<'_>) -> Outside {
    let symbols = file.symbols().filter(ObjectSymbol::is_undefined);
    symbols
        .map(|symbol| {
            (
                symbol.index(),
                text(symbol.name_bytes().unwrap_or_default()),
            )
        })
        .collect()
}

fn relocations<'a>(
    file: &object::File<'_>,
    section: &object::Section<'_, '_>,
    outside: &'a Outside,
) -> BTreeMap<u64, Relocated<'a>> {
    let mut found = BTreeMap::new();
    for (offset, relocation) in section.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else {
            continue;
        };
        let Ok(symbol) = file.symbol_by_index(index) else {
            continue;
        };
        let own = symbol
            .section_index()
            .map(|section| Relocated::Own((section, symbol.address())));
        let kernel = || outside.get(&index).map(|name| Relocated::Kernel(name));
        if let Some(relocated) = own.or_else(kernel) {
            found.insert(offset, relocated);
        }
    }
    found
}

fn scan(
    code: &[u8],
    range: std::ops::Range<u64>,
    section: SectionIndex,
    relocated: &BTreeMap<u64, Relocated<'_>>,
) -> Calls {
    let mut calls = Calls::default();
    let mut at = range.start;
    while at < range.end {
        let Some([code, registers, _, _, immediate @ ..]) = instruction(code, at) else {
            break;
        };
        let immediate = i32::from_le_bytes(immediate);
        let next = at.saturating_add(WIDTH);
        match (code, registers >> 4, relocated.get(&at)) {
            (CALL, 0, _) => drop(calls.helpers.insert(immediate.cast_unsigned())),
            (CALL, 1 | 2, Some(Relocated::Kernel(name))) => {
                calls.kernel_functions.insert((*name).to_owned());
            }
            (CALL, 1, Some(Relocated::Own(place))) => {
                calls.own.extend(beyond(*place, i64::from(immediate) + 1));
            }
            (CALL, 1, None) => calls
                .own
                .extend(beyond((section, next), i64::from(immediate))),
            // The address of a function, for a helper that calls back.
            (LOAD_WIDE, _, Some(Relocated::Own(place))) => {
                calls.own.extend(beyond(*place, i64::from(immediate) / 8));
            }
            _ => {}
        }
        at = if code == LOAD_WIDE {
            next.saturating_add(WIDTH)
        } else {
            next
        };
    }
    calls
}

fn instruction(code: &[u8], at: u64) -> Option<[u8; 8]> {
    let rest = code.get(usize::try_from(at).ok()?..)?;
    rest.first_chunk().copied()
}

/// So many instructions behind a place.
fn beyond((section, address): Place, instructions: i64) -> Option<Place> {
    let bytes = instructions.checked_mul(8)?;
    Some((section, address.checked_add_signed(bytes)?))
}
