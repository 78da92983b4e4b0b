//! A flat YAML mapping of option keys to values.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::Found;

/// Reads the entries; a faulty one does not hide the others, a syntax error ends the reading.
pub(in crate::cli) fn parse(text: &str) -> Found {
    let mut reading = Reading::default();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => reading.take(event, span.start.line()),
            Err(error) => {
                reading
                    .found
                    .fault(error.marker().line(), format!("not YAML: {}", error.info()));
                break;
            }
        }
    }
    reading.found
}

/// Where the reading stands: outside, in the mapping, or below one of its keys.
#[derive(Default)]
struct Reading {
    found: Found,
    documents: usize,
    depth: usize,
    /// The key whose value comes next, with its line.
    key: Option<(String, usize)>,
    /// The elements of the list that is being read.
    list: Option<Vec<String>>,
    /// Whether the document is a list, which has no keys.
    in_list: bool,
}

impl Reading {
    fn take(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.found
                        .fault(line, "a second document: one file holds one configuration");
                }
            }
            Event::MappingStart(..) => self.open(line, false),
            Event::SequenceStart(..) => self.open(line, true),
            Event::MappingEnd => self.close(),
            Event::SequenceEnd => {
                if let (1 | 2, Some(list)) = (self.depth, self.list.take()) {
                    self.put(list.join(","));
                }
                self.close();
            }
            Event::Scalar(text, style, ..) => self.scalar(&text, style, line),
            Event::Alias(_) => self
                .found
                .fault(line, "an alias (`*name`): write the value out"),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }

    fn open(&mut self, line: usize, sequence: bool) {
        self.depth += 1;
        match (self.depth, sequence) {
            (1, false) => {}
            (1, true) => {
                self.in_list = true;
                self.found
                    .fault(line, "a list where `key: value` lines are wanted");
            }
            (2, true) if self.key.is_some() => self.list = Some(Vec::new()),
            (2, _) => {
                let key = self.key.take().map_or_else(String::new, |(key, _)| key);
                self.found.fault(
                    line,
                    format!("`{key}` holds a mapping where a value is wanted"),
                );
            }
            _ => {
                self.list = None;
                self.found.fault(line, "nested deeper than `key: value`");
            }
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 1 {
            self.key = None;
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, line: usize) {
        match (self.depth, &mut self.list, &self.key) {
            (2, Some(list), _) => list.push(text.to_owned()),
            (1, None, None) if !self.in_list => self.key = Some((text.to_owned(), line)),
            (1, None, Some(_)) => {
                let null = style == ScalarStyle::Plain && matches!(text, "" | "~" | "null");
                if null {
                    self.key = None;
                } else {
                    self.put(text.to_owned());
                }
            }
            (0, ..) if !text.is_empty() && text != "~" => {
                self.found.fault(line, "`key: value` lines are wanted");
            }
            _ => {}
        }
    }

    fn put(&mut self, value: String) {
        let Some((key, line)) = self.key.take() else {
            return;
        };
        self.found.put(key, value, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, entries: &[(&str, &str, usize)], faults: &[(usize, &str)]) {
        let Found {
            entries: got,
            faults: wrong,
        } = parse(text);
        let got: Vec<_> = got
            .iter()
            .map(|e| (e.key.as_str(), e.value.as_str(), e.line))
            .collect();
        assert_eq!(got, entries, "entries of {text:?}");
        assert_eq!(wrong.len(), faults.len(), "faults of {text:?}: {wrong:?}");
        for (fault, (line, part)) in wrong.iter().zip(faults) {
            assert_eq!(fault.line, *line, "{fault:?}");
            assert!(fault.what.contains(part), "{fault:?} does not say {part:?}");
        }
    }

    #[test]
    fn plain_quoted_and_listed_values() {
        check(
            "# a comment\ninterval: 30\nhostname: \"vps 1\"\npublic_ip_services:\n  - https://a.example\n  - https://b.example\nalias: 'x'\n",
            &[
                ("interval", "30", 2),
                ("hostname", "vps 1", 3),
                (
                    "public_ip_services",
                    "https://a.example,https://b.example",
                    4,
                ),
                ("alias", "x", 7),
            ],
            &[],
        );
        check(
            "ignore_interfaces: [a*, b*]\nport_scan: true\n",
            &[("ignore_interfaces", "a*,b*", 1), ("port_scan", "true", 2)],
            &[],
        );
    }

    #[test]
    fn nothing_set_is_no_fault() {
        check("", &[], &[]);
        check("# only a comment\n", &[], &[]);
        check(
            "alias:\nhostname: ~\ninterval: 5\n",
            &[("interval", "5", 3)],
            &[],
        );
        check("alias: ''\n", &[("alias", "", 1)], &[]);
    }

    #[test]
    fn every_fault_is_told_and_hides_no_other_line() {
        check(
            "a: 1\na: 2\nb: 3\n",
            &[("a", "1", 1), ("b", "3", 3)],
            &[(2, "given twice")],
        );
        check(
            "api:\n  url: x\ninterval: 5\n",
            &[("interval", "5", 3)],
            &[(2, "`api` holds a mapping")],
        );
        check("- a\n- b\n", &[], &[(1, "a list where")]);
        check("just words\n", &[], &[(1, "`key: value`")]);
        check("a: &x 1\nb: *x\n", &[("a", "1", 1)], &[(2, "alias")]);
        check(
            "a: 1\n---\nb: 2\n",
            &[("a", "1", 1), ("b", "2", 3)],
            &[(2, "second document")],
        );
        let Found { faults, .. } = parse("a: [1, 2\nb: }\n");
        assert!(
            faults
                .iter()
                .any(|fault| fault.what.starts_with("not YAML")),
            "{faults:?}"
        );
    }

    #[test]
    fn no_prefix_and_no_mutation_of_a_file_panics() {
        let text = "interval: 30\nlist:\n  - \"a\"\n  - 'b'\nnested: {a: [1, {b: c}]}\nanchor: &x y\nuse: *x\n";
        for end in 0..text.len() {
            let _ = parse(text.get(..end).unwrap());
        }
        for at in 0..text.len() {
            for byte in [
                b'\n', b':', b'-', b'{', b'[', b'"', b' ', b'\t', b'&', b'*', b'!', b'|', 0x01,
            ] {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte;
                let _ = parse(&String::from_utf8(bytes).unwrap());
            }
        }
    }
}
