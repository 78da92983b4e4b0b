//! A JSON object, written field by field in the order given; what is unknown leaves no trace.
//!
//! By hand, because the core shall not bring a JSON library for one small object. The tests read it with one.

use std::time::SystemTime;

use crate::figures::{count, hundredths};
use crate::rfc3339::rfc3339;

/// The fields written so far, without the braces.
#[derive(Default)]
pub(crate) struct Object(String);

impl Object {
    /// A text. One of blanks alone says nothing: the server would overwrite what it knows with it.
    pub(crate) fn text(&mut self, name: &str, text: Option<&str>) {
        let known = text.map(str::trim).filter(|text| !text.is_empty());
        self.field(name, known.map(quoted));
    }

    /// A percentage with at most two decimals, cut to 0..=100.
    pub(crate) fn percent(&mut self, name: &str, percent: Option<f64>) {
        self.field(name, percent.and_then(hundredths).map(decimal));
    }

    /// A whole number, cut to the largest signed 64-bit one.
    pub(crate) fn count(&mut self, name: &str, number: Option<u64>) {
        self.field(name, number.map(|number| count(number).to_string()));
    }

    /// A moment in RFC 3339.
    pub(crate) fn moment(&mut self, name: &str, moment: Option<SystemTime>) {
        self.field(name, moment.and_then(rfc3339).as_deref().map(quoted));
    }

    /// An object, unless nothing is in it.
    pub(crate) fn object(&mut self, name: &str, object: Object) {
        self.field(name, (!object.0.is_empty()).then(|| object.finish()));
    }

    /// The JSON.
    pub(crate) fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }

    fn field(&mut self, name: &str, value: Option<String>) {
        let Some(value) = value else { return };
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&format!("\"{name}\":{value}"));
    }
}

/// `12.5`, `40.12`, `63.0`.
fn decimal(hundredths: u64) -> String {
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    if rest.is_multiple_of(10) {
        format!("{whole}.{}", rest / 10)
    } else {
        format!("{whole}.{rest:02}")
    }
}

fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            // DEL and U+0080 to U+009F need no escape, but nobody wants them raw in a log or a terminal.
            _ if letter.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => json.push(letter),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_comes_back_from_a_json_reader() {
        for letter in '\u{0}'..=char::MAX {
            let text = format!("a{letter}b");
            let read: String = serde_json::from_str::<serde_json::Value>(&quoted(&text))
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn every_decimal_comes_back_from_a_json_reader() {
        for hundredths in 0..=10_000_u32 {
            let text = decimal(hundredths.into());
            let read: f64 = serde_json::from_str::<serde_json::Value>(&text)
                .unwrap()
                .as_f64()
                .unwrap();
            assert_eq!(read, f64::from(hundredths) / 100.0, "{text}");
        }
        assert_eq!(
            [1250, 4012, 6300, 5, 0, 10_000].map(decimal),
            ["12.5", "40.12", "63.0", "0.05", "0.0", "100.0"]
        );
    }

    #[test]
    fn unknown_fields_leave_no_comma_behind() {
        let mut object = Object::default();
        object.text("a", None);
        object.text("b", Some(" \n"));
        object.count("c", Some(0));
        object.object("d", Object::default());
        object.percent("e", Some(f64::NAN));
        object.text("f", Some(" x "));
        assert_eq!(object.finish(), r#"{"c":0,"f":"x"}"#);
        assert_eq!(Object::default().finish(), "{}");
    }
}
