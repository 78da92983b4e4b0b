//! The highest serial that was seen of each name: what makes an old issue recognisable.

use std::collections::BTreeMap;

use crate::Verified;

/// The highest serial that was seen of each name.
///
/// It is a pure value: the caller keeps it on disk, beyond reboots. After [`HighWaterMarks::raise`] it is written
/// down **before** the program is loaded; else a crash in between would let the older issue in again.
///
/// ```
/// use bpf_artifact::HighWaterMarks;
///
/// let marks = HighWaterMarks::from_json(br#"{"egress_guard":7}"#)?;
/// assert_eq!(marks.of("egress_guard"), Some(7));
/// assert_eq!(marks.to_json(), r#"{"egress_guard":7}"#);
/// # Ok::<(), bpf_artifact::BadMarks>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HighWaterMarks(BTreeMap<String, u64>);

/// What was to be high-water marks is not. Do not go on with none: every older issue would be accepted again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not high-water marks: {0}")]
pub struct BadMarks(String);

impl HighWaterMarks {
    /// The mark of this name.
    pub fn of(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Raises the mark of a name to the serial of its manifest. Returns whether that changed anything; then it is
    /// to be stored.
    pub fn raise(&mut self, verified: &Verified) -> bool {
        let Some(manifest) = verified.manifest().filter(|_| !verified.is_insecure()) else {
            return false;
        };
        if self.of(&manifest.name) >= Some(manifest.serial) {
            return false;
        }
        self.0.insert(manifest.name.clone(), manifest.serial);
        true
    }

    /// The same marks, but that of this name no higher than this serial: for a return to an issue that was installed on
    /// this host before. They are for this one judgement, and are not stored.
    ///
    /// The caller has to know from its own state which issue that was (its serial and the digest of its archive), and to
    /// compare: other old issues of the same serial pass as well.
    #[must_use]
    pub fn back_to(&self, name: &str, serial: u64) -> HighWaterMarks {
        let mut marks = self.clone();
        if let Some(mark) = marks.0.get_mut(name) {
            *mark = serial.min(*mark);
        }
        marks
    }

    /// As JSON: an object of names and serials.
    pub fn to_json(&self) -> String {
        serde_json::json!(self.0).to_string()
    }

    /// Reads what [`HighWaterMarks::to_json`] wrote.
    pub fn from_json(text: &[u8]) -> Result<HighWaterMarks, BadMarks> {
        match serde_json::from_slice(text) {
            Ok(marks) => Ok(HighWaterMarks(marks)),
            Err(error) => Err(BadMarks(error.to_string())),
        }
    }
}
