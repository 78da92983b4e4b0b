//! The headers `Accept` and `Accept-Encoding`, cut into elements with their weights.

/// One element of a header: a value such as `text/plain` and its parameters.
pub(crate) struct Element<'a> {
    value: &'a [u8],
    parameters: &'a [u8],
    /// The weight in thousandths.
    pub(crate) weight: u16,
}

/// The elements of a header. One whose weight makes no sense is left out, and so says nothing.
pub(crate) fn elements(header: &[u8]) -> impl Iterator<Item = Element<'_>> {
    split_unquoted(header, b',').filter_map(|element| {
        let value = split_unquoted(element, b';').next()?;
        let parameters = element.get(value.len()..)?;
        let mut element = Element {
            value: value.trim_ascii(),
            parameters,
            weight: 1000,
        };
        if let Some(weight) = element.parameter("q") {
            element.weight = thousandths(weight)?;
        }
        Some(element)
    })
}

impl<'a> Element<'a> {
    pub(crate) fn is(&self, value: &str) -> bool {
        self.value.eq_ignore_ascii_case(value.as_bytes())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        split_unquoted(self.parameters, b';').find_map(|parameter| {
            let equals = parameter.iter().position(|&byte| byte == b'=')?;
            let (found, value) = parameter.split_at_checked(equals)?;
            found
                .trim_ascii()
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| unquoted(value))
        })
    }
}

/// `="1.0.0"` → `1.0.0`
fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// The parts between the separators that are not inside double quotes.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |&byte| {
        let separates = byte == separator && !quoted;
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && byte == b'\\' && !escaped;
        separates
    })
}

/// A weight as RFC 9110 spells it: `0`, `0.5`, `1.000`.
fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, fraction) = match weight {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut total: u16 = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, worth) in fraction.iter().zip([100, 10, 1]) {
        total += u16::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?) * worth;
    }
    (total <= 1000).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_rfc_9110() {
        for (text, expected) in [
            ("1", 1000),
            ("0", 0),
            ("0.5", 500),
            ("0.75", 750),
            ("0.001", 1),
            ("1.000", 1000),
            ("0.", 0),
        ] {
            assert_eq!(thousandths(text.as_bytes()), Some(expected), "{text}");
        }
        for bad in [
            "", "2", "1.1", "0.1234", ".5", "-1", "NaN", "0,5", "1e0", "0.x",
        ] {
            assert_eq!(thousandths(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn quotes_hide_separators() {
        let header = br#"a;x="1,2;\",3";q=0.5, b ; Q="0.2" ,,c;q=7"#;
        let found: Vec<_> = elements(header)
            .map(|element| (element.value, element.weight))
            .collect();
        assert_eq!(found, [(&b"a"[..], 500), (b"b", 200), (b"", 1000)]);
    }
}
