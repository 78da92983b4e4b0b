//! Any bytes → text that both formats read back.

/// U+FFFD, as `String::from_utf8_lossy` puts it.
const REPLACEMENT: &str = "\u{fffd}";

/// Appends a label value. What is not UTF-8 becomes U+FFFD.
pub(crate) fn label_value(value: &[u8], out: &mut Vec<u8>) {
    if value.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        escape(chunk.valid(), true, out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(REPLACEMENT.as_bytes());
        }
    }
}

/// Appends a help text. Text 0.0.4 knows no escape for the double quote there, OpenMetrics demands it.
pub(crate) fn help(text: &str, escape_quotes: bool, out: &mut Vec<u8>) {
    escape(text, escape_quotes, out);
}

fn escape(text: &str, quotes: bool, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'"' if quotes => out.extend_from_slice(br#"\""#),
            _ => out.push(byte),
        }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x7f) && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &[u8], expected: &str) {
        let mut out = Vec::new();
        label_value(value, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_a_label_may_hold_stays() {
        check(b"/var/lib", "/var/lib");
        check("größe\t\r\u{2028}".as_bytes(), "größe\t\r\u{2028}");
        check(b"a\0b", "a\0b");
        check(b"", "");
    }

    #[test]
    fn three_bytes_are_escaped() {
        check(br#"a\b"c"#, r#"a\\b\"c"#);
        check(b"a\nb\\n", r"a\nb\\n");
    }

    #[test]
    fn what_is_not_utf8_is_replaced_as_std_replaces_it() {
        for value in [
            &b"evil\xff\"\n"[..],
            b"\xe2\x82",
            b"\xc3\x28",
            b"\xed\xa0\x80",
            b"\xf0\x9f\x92",
        ] {
            let expected = String::from_utf8_lossy(value)
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            check(value, &expected);
        }
    }

    #[test]
    fn quotes_in_help_are_escaped_for_openmetrics_alone() {
        let mut out = Vec::new();
        help("a \"b\" \\ c\nd ", false, &mut out);
        help("a \"b\" \\ c\nd", true, &mut out);
        assert_eq!(out, br#"a "b" \\ c\nd a \"b\" \\ c\nd"#);
    }
}
