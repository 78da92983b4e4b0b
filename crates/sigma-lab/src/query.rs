//! The part of a URL after `?`.

use hyper::StatusCode;

use crate::answer::Refusal;

/// The pairs of a query string. Its length is bounded by the limit on request heads.
pub(crate) struct Query(Vec<(String, String)>);

/// Which page of a list is wanted.
pub(crate) struct Page {
    pub(crate) page: i64,
    pub(crate) per_page: i64,
}

impl Page {
    pub(crate) fn offset(&self) -> i64 {
        (self.page - 1).saturating_mul(self.per_page)
    }
}

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    /// The value of a name. An empty one counts as absent, as forms send it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|e: std::num::ParseIntError| {
            let why = format!("Failed to deserialize query string: {name}: {e}");
            Refusal::Text(StatusCode::BAD_REQUEST, why)
        })
    }

    /// `page` from 1 on, and `per_page` cut to 1-100.
    pub(crate) fn page(&self) -> Result<Page, Refusal> {
        let page = self.integer("page")?.unwrap_or(1).max(1);
        let per_page = self.integer("per_page")?.unwrap_or(25).clamp(1, 100);
        Ok(Page { page, per_page })
    }
}

/// `%41+b` → `A b`. What is no valid escape stays as it is.
fn decode(text: &str) -> String {
    let mut rest = text.as_bytes().iter();
    let mut out = Vec::with_capacity(text.len());
    while let Some(&byte) = rest.next() {
        let escaped = if byte == b'%' {
            hex_pair(rest.as_slice())
        } else {
            None
        };
        match escaped {
            Some(value) => {
                out.push(value);
                rest.nth(1);
            }
            None => out.push(if byte == b'+' { b' ' } else { byte }),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digits = bytes
        .get(..2)
        .filter(|pair| pair.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from Python's `urllib.parse.unquote_plus`.
    #[test]
    fn escapes_are_read_as_browsers_write_them() {
        let known = [
            ("a+b%20c", "a b c"),
            ("%41%5a%2f", "AZ/"),
            ("%d1%81", "с"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz% 1"),
            ("%ff", "\u{fffd}"),
        ];
        for (text, decoded) in known {
            assert_eq!(decode(text), decoded, "{text}");
        }
    }

    #[test]
    fn pages_are_cut_to_what_the_api_allows() {
        let page = |text| {
            Query::parse(text)
                .page()
                .map(|p| (p.page, p.per_page, p.offset()))
        };
        assert_eq!(page("").unwrap(), (1, 25, 0));
        assert_eq!(page("page=3&per_page=10").unwrap(), (3, 10, 20));
        assert_eq!(page("page=-4&per_page=5000").unwrap(), (1, 100, 0));
        assert_eq!(page("page=9223372036854775807").unwrap().2, i64::MAX);
        assert!(page("page=two").is_err());
    }

    #[test]
    fn no_prefix_and_no_mutation_of_a_query_panics() {
        let query = b"status=active&tag=%d1%81+x&page=1&per_page=2&&=&a";
        for end in 0..query.len() {
            Query::parse(str::from_utf8(&query[..end]).unwrap());
        }
        for position in 0..query.len() {
            for byte in 0..=127u8 {
                let mut mutated = query.to_vec();
                mutated[position] = byte;
                let _ = Query::parse(str::from_utf8(&mutated).unwrap()).page();
            }
        }
    }
}
