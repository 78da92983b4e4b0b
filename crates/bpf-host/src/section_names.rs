//! Gives sections of an object other names, in the ELF headers and in the BTF that refers to them.

use object::SectionIndex;

use crate::bytes::{length, slice_at, text_at, u16_at, u32_at, u64_at};

/// More entries than this in one part of `.BTF.ext` are no program's.
const MAX_GROUPS: usize = 10_000;

/// A copy of the object in which the given sections have new names.
pub(crate) fn replace(
    object: &[u8],
    names: &[(SectionIndex, String, String)],
) -> Result<Vec<u8>, String> {
    if names.is_empty() {
        return Ok(object.to_vec());
    }
    let mut copy = object.to_vec();
    rename(&mut copy, names).ok_or_else(|| "its section headers are not understood".to_owned())?;
    Ok(copy)
}

fn rename(object: &mut Vec<u8>, names: &[(SectionIndex, String, String)]) -> Option<()> {
    let names_header = header(object, usize::from(u16_at(object, 0x3e)?))?;
    let added = append(object, names_header, names)?;
    for ((index, _, _), offset) in names.iter().zip(added) {
        let at = header(object, index.0)?;
        put(object, at, offset)?;
    }
    let Some(btf) = find(object, ".BTF") else {
        return Some(());
    };
    let (start, size) = place(object, btf)?;
    let strings = length(u32_at(object, start.checked_add(4)?)?)
        .checked_add(length(u32_at(object, start.checked_add(16)?)?))?;
    let strings_size = length(u32_at(object, start.checked_add(20)?)?);
    if strings.checked_add(strings_size)? != size {
        return None;
    }
    let added = append(object, btf, names)?;
    let (start, size) = place(object, btf)?;
    let offsets: Vec<u32> = added
        .iter()
        .map(|offset| offset.checked_sub(u32::try_from(strings).ok()?))
        .collect::<Option<_>>()?;
    put(
        object,
        start.checked_add(20)?,
        u32::try_from(size.checked_sub(strings)?).ok()?,
    )?;
    let Some(ext) = find(object, ".BTF.ext") else {
        return Some(());
    };
    let table = slice_at(object, start, size)?.get(strings..)?.to_vec();
    let renames: Vec<(&str, u32)> = names
        .iter()
        .map(|(_, old, _)| old.as_str())
        .zip(offsets)
        .collect();
    point_elsewhere(object, ext, &table, &renames)
}

/// Where the header of a section is.
fn header(object: &[u8], index: usize) -> Option<usize> {
    let first = usize::try_from(u64_at(object, 0x28)?).ok()?;
    let each = usize::from(u16_at(object, 0x3a)?);
    let at = first.checked_add(index.checked_mul(each)?)?;
    slice_at(object, at, 64).map(|_| at)
}

/// Where the content of a section is, and its size.
fn place(object: &[u8], header: usize) -> Option<(usize, usize)> {
    let start = usize::try_from(u64_at(object, header.checked_add(24)?)?).ok()?;
    let size = usize::try_from(u64_at(object, header.checked_add(32)?)?).ok()?;
    slice_at(object, start, size).map(|_| (start, size))
}

fn find(object: &[u8], name: &str) -> Option<usize> {
    let names = place(object, header(object, usize::from(u16_at(object, 0x3e)?))?)?;
    let names = slice_at(object, names.0, names.1)?;
    let count = usize::from(u16_at(object, 0x3c)?);
    let headers = (0..count).filter_map(|index| header(object, index));
    headers.into_iter().find(|&at| {
        u32_at(object, at).and_then(|offset| text_at(names, length(offset))) == Some(name)
    })
}

/// Moves a section to the end of the file with the new names behind its content; says where in the section they are.
fn append(
    object: &mut Vec<u8>,
    header: usize,
    names: &[(SectionIndex, String, String)],
) -> Option<Vec<u32>> {
    let (start, size) = place(object, header)?;
    let mut content = slice_at(object, start, size)?.to_vec();
    let mut offsets = Vec::new();
    for (_, _, new) in names {
        offsets.push(u32::try_from(content.len()).ok()?);
        content.extend_from_slice(new.as_bytes());
        content.push(0);
    }
    object.resize(object.len().next_multiple_of(8), 0);
    let (start, size) = (object.len(), content.len());
    object.extend_from_slice(&content);
    put_wide(object, header.checked_add(24)?, u64::try_from(start).ok()?)?;
    put_wide(object, header.checked_add(32)?, u64::try_from(size).ok()?)?;
    Some(offsets)
}

/// Changes the section names to which function, line and relocation records refer.
fn point_elsewhere(
    object: &mut [u8],
    ext: usize,
    strings: &[u8],
    renames: &[(&str, u32)],
) -> Option<()> {
    let (start, size) = place(object, ext)?;
    let head = length(u32_at(object, start.checked_add(4)?)?);
    for part in [8_usize, 16, 24] {
        if part >= head {
            break;
        }
        let at = start.checked_add(part)?;
        let (offset, bytes) = (
            length(u32_at(object, at)?),
            length(u32_at(object, at.checked_add(4)?)?),
        );
        if bytes == 0 {
            continue;
        }
        let from = start.checked_add(head)?.checked_add(offset)?;
        let until = from.checked_add(bytes)?;
        if until > start.checked_add(size)? {
            return None;
        }
        let record = length(u32_at(object, from)?);
        let mut group = from.checked_add(4)?;
        for _ in 0..MAX_GROUPS {
            if group >= until {
                break;
            }
            let name = text_at(strings, length(u32_at(object, group)?))?;
            if let Some((_, new)) = renames.iter().find(|(old, _)| *old == name) {
                put(object, group, *new)?;
            }
            let records = length(u32_at(object, group.checked_add(4)?)?);
            group = group
                .checked_add(8)?
                .checked_add(record.checked_mul(records)?)?;
        }
    }
    Some(())
}

fn put(bytes: &mut [u8], at: usize, value: u32) -> Option<()> {
    bytes
        .get_mut(at..at.checked_add(4)?)?
        .copy_from_slice(&value.to_ne_bytes());
    Some(())
}

fn put_wide(bytes: &mut [u8], at: usize, value: u64) -> Option<()> {
    bytes
        .get_mut(at..at.checked_add(8)?)?
        .copy_from_slice(&value.to_ne_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_rename_is_an_equal_copy() {
        assert_eq!(replace(b"anything", &[]), Ok(b"anything".to_vec()));
    }
}
