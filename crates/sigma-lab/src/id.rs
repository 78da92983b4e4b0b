//! Record ids: random UUIDs, and the words for a text that is none.

use serde::{Deserialize, Serialize};

use crate::key::random;

/// A UUID in its canonical form: lower case, with hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Id(String);

impl Id {
    /// A random one, version 4.
    pub(crate) fn new() -> Result<Id, getrandom::Error> {
        let bits = u128::from_be_bytes(random()?);
        let version_4 = bits & !(0xf << 76) | 4 << 76;
        let variant_1 = version_4 & !(0b11 << 62) | 0b10 << 62;
        Ok(Id::from_bits(variant_1))
    }

    fn from_bits(bits: u128) -> Id {
        let mut text = format!("{bits:032x}");
        for position in [8, 13, 18, 23] {
            text.insert(position, '-');
        }
        Id(text)
    }

    /// Takes the hyphenated and the plain form, as the API does.
    pub(crate) fn parse(text: &str) -> Result<Id, String> {
        let stray = text
            .chars()
            .enumerate()
            .find(|(_, c)| !c.is_ascii_hexdigit() && *c != '-');
        if let Some((index, found)) = stray {
            return Err(format!(
                "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `{found}` at {}",
                index + 1
            ));
        }
        let digits = text.replace('-', "");
        let plain = digits.len() == text.len();
        match u128::from_str_radix(&digits, 16) {
            Ok(bits) if digits.len() == 32 => {
                let id = Id::from_bits(bits);
                if plain || id.0.eq_ignore_ascii_case(text) {
                    return Ok(id);
                }
                Err("invalid group lengths: expected 8-4-4-4-12".to_owned())
            }
            _ => Err(format!(
                "invalid length: expected 32 hex digits, found {}",
                digits.len()
            )),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Id, String> {
        Id::parse(&text).map_err(|why| format!("UUID parsing failed: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_version_4_and_differ() {
        let (one, other) = (Id::new().unwrap(), Id::new().unwrap());
        assert_ne!(one, other);
        for id in [one, other] {
            assert_eq!(id.as_str().len(), 36);
            assert_eq!(id.as_str().as_bytes()[14], b'4');
            assert!(b"89ab".contains(&id.as_str().as_bytes()[19]));
        }
    }

    #[test]
    fn every_spelling_of_an_id_becomes_the_canonical_one() {
        let canonical = "935b5c77-d27b-4395-918e-655158f083c4";
        for text in [
            canonical,
            &canonical.to_uppercase(),
            "935b5c77d27b4395918e655158f083c4",
        ] {
            assert_eq!(Id::parse(text).unwrap().as_str(), canonical);
        }
        let zero = "00000000-0000-0000-0000-000000000000";
        assert_eq!(Id::parse(zero).unwrap().as_str(), zero);
    }

    #[test]
    fn no_prefix_and_no_mutation_of_an_id_is_taken_for_another() {
        let id = "935b5c77-d27b-4395-918e-655158f083c4";
        for end in 0..id.len() {
            assert!(Id::parse(id.get(..end).unwrap()).is_err());
        }
        for position in 0..id.len() {
            for byte in 0..=127u8 {
                let mut bytes = id.as_bytes().to_vec();
                bytes[position] = byte;
                let text = String::from_utf8(bytes).unwrap();
                if let Ok(parsed) = Id::parse(&text) {
                    assert!(parsed.as_str().eq_ignore_ascii_case(&text));
                }
            }
        }
    }
}
