//! `os-release`: which distribution this is.

use super::fields::{Malformed, lines};

/// Which distribution this is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Os {
    /// Short name for programs: `debian`.
    pub id: Option<String>,
    /// Name: `Debian GNU/Linux`.
    pub name: Option<String>,
    /// Version number: `12`. Rolling distributions have none.
    pub version: Option<String>,
    /// Name and version for people: `Debian GNU/Linux 12 (bookworm)`.
    pub pretty_name: Option<String>,
}

/// Parses `os-release`.
///
/// # Errors
///
/// When it names nothing at all.
pub fn os_release(bytes: &[u8]) -> Result<Os, Malformed> {
    let mut found = Os::default();
    for line in lines(bytes) {
        let mut parts = line.splitn(2, |byte| *byte == b'=');
        let (Some(key), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        let field = match key.trim_ascii() {
            b"ID" => &mut found.id,
            b"NAME" => &mut found.name,
            b"VERSION_ID" => &mut found.version,
            b"PRETTY_NAME" => &mut found.pretty_name,
            _ => continue,
        };
        *field = unquoted(value.trim_ascii());
    }
    if found == Os::default() {
        return Err(Malformed::at(1, "neither ID nor NAME"));
    }
    Ok(found)
}

/// A shell word: quotes taken off, backslashes undone; an empty one is none.
fn unquoted(word: &[u8]) -> Option<String> {
    let inner = match word {
        [b'"', inner @ .., b'"'] => inner,
        [b'\'', inner @ .., b'\''] => return text(inner.to_vec()),
        other => other,
    };
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            _ => plain.push(*byte),
        }
    }
    text(plain)
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty())
}
