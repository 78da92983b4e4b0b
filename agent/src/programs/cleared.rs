//! What an operator lets run again: a word in the state folder, where nobody but the agent's user and root can write.
//!
//! A word waits there until an agent takes it up, so that it is the same whether one runs or not.

use bpf_lifecycle::{Digest, Memory};

use super::keeper::{Keeper, MEMORY, MOST_STATE};
use super::store::Store;

/// What the name of a word begins with; the digest follows.
const WORD: &str = "clear.";

impl Keeper {
    /// Takes up the words that are there.
    pub(super) fn take_up_words(&mut self) {
        let names = match self.state.names() {
            Ok(names) => names,
            Err(error) => return tracing::warn!(error, "words of operators cannot be read"),
        };
        let words: Vec<String> = names
            .into_iter()
            .filter(|name| name.starts_with(WORD))
            .collect();
        if words.is_empty() {
            return;
        }
        let cleared = words.iter().filter_map(|word| digest_of(word));
        for digest in cleared {
            self.memory.clear(&digest);
            tracing::warn!(%digest, "cleared by an operator: it may run again");
        }
        if self.save_memory().is_err() {
            return;
        }
        for word in &words {
            if let Err(error) = self.state.remove(word) {
                tracing::warn!(error, "a word of an operator cannot be removed");
            }
        }
    }
}

fn digest_of(word: &str) -> Option<Digest> {
    word.strip_prefix(WORD)?.parse().ok()
}

/// Leaves the word that this digest may run again.
pub(super) fn leave_word(state: &Store, digest: &Digest) -> Result<(), String> {
    state.write(&format!("{WORD}{digest}"), b"")
}

/// What the agent of this state remembers; nothing, as long as there was none.
pub(super) fn memory(state: &Store) -> Result<Memory, String> {
    let Some(bytes) = state.read(MEMORY, MOST_STATE)? else {
        return Ok(Memory::default());
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| format!("{MEMORY} cannot be understood: {error}"))
}
