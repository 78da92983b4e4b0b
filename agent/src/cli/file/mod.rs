//! The configuration file: keys of options with their values, each remembered with its line.

#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
mod yaml;

#[cfg(any(feature = "aegis", feature = "luna", feature = "sigma"))]
pub(super) use yaml::parse;

/// A file larger than this is not a configuration.
pub(super) const MAX_BYTES: u64 = 64 * 1024;

/// `key: value` as it stood in the file; a list has its elements joined by commas.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// Something in the file that is not `key: value`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) what: String,
}

/// What a file holds; a faulty line does not hide the others.
#[derive(Default)]
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    pub(super) faults: Vec<Fault>,
}

impl Found {
    fn fault(&mut self, line: usize, what: impl Into<String>) {
        self.faults.push(Fault {
            line,
            what: what.into(),
        });
    }

    fn put(&mut self, key: String, value: String, line: usize) {
        if self.entries.iter().any(|entry| entry.key == key) {
            self.fault(line, format!("`{key}` is given twice"));
        } else {
            self.entries.push(Entry { key, value, line });
        }
    }
}

/// Reads lines of `KEY=VALUE`, as shells and the managers of guests write them; keys count in small letters.
pub(super) fn parse_assignments(text: &str) -> Found {
    let mut found = Found::default();
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            found.fault(number, "not `KEY=VALUE`");
            continue;
        };
        let value = value.trim();
        let quoted = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        let key = key.trim().to_ascii_lowercase();
        found.put(key, quoted.unwrap_or(value).to_owned(), number);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_of_shells_are_read() {
        let found = parse_assignments(
            "# by the manager\nVM_ID=\"a 1\"\n\nMANAGER_URL = http://10.0.0.1:18080\nnonsense\nVM_ID=b\nEMPTY=\n",
        );
        let got: Vec<_> = found
            .entries
            .iter()
            .map(|e| (e.key.as_str(), e.value.as_str(), e.line))
            .collect();
        assert_eq!(
            got,
            [
                ("vm_id", "a 1", 2),
                ("manager_url", "http://10.0.0.1:18080", 4),
                ("empty", "", 7)
            ]
        );
        let lines: Vec<usize> = found.faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [5, 6], "{:?}", found.faults);
    }
}
