//! Signatures on requests: who sent a message, when, and to whom.
//!
//! A signed message has the headers `Aegis-Time`, the seconds since 1970, and `Aegis-Signature`, the base64 of an Ed25519
//! signature over `aegis.command.v1`, a zero byte, the time as it is in the header, a zero byte, the subject, a zero byte, and the
//! payload. The subject is in it so that nobody can send one host's message to another.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::signature::{ED25519, UnparsedPublicKey};

/// How far the sender's clock may be from ours, either way.
const WINDOW: Duration = Duration::from_secs(300);
/// How many signatures are remembered; within the window nobody asks for more.
const MOST_SEEN: usize = 4096;

pub(super) const TIME: &str = "Aegis-Time";
pub(super) const SIGNATURE: &str = "Aegis-Signature";

/// Lets through what a trusted key has signed, once.
#[derive(Debug)]
pub(super) struct Seal {
    keys: Vec<[u8; 32]>,
    /// What was let through, the oldest first, so that nothing is twice.
    seen: VecDeque<Vec<u8>>,
}

impl Seal {
    pub(super) fn new(keys: Vec<[u8; 32]>) -> Self {
        Self {
            keys,
            seen: VecDeque::new(),
        }
    }

    /// Whether the message may be heard; `Err` says why not.
    pub(super) fn check(
        &mut self,
        time: Option<&str>,
        signature: Option<&[u8]>,
        subject: &str,
        payload: &[u8],
        now: SystemTime,
    ) -> Result<(), &'static str> {
        let (time, signature) = time.zip(signature).ok_or("it is not signed")?;
        let message = message(time, subject, payload);
        let good = |key: &[u8; 32]| {
            UnparsedPublicKey::new(&ED25519, key)
                .verify(&message, signature)
                .is_ok()
        };
        if !self.keys.iter().any(good) {
            return Err("its signature is by none of the keys that may send requests");
        }
        let sent = time.parse().map_err(|_| "its time is not one")?;
        let sent = UNIX_EPOCH.checked_add(Duration::from_secs(sent));
        let sent = sent.ok_or("its time is not one")?;
        let off = now
            .duration_since(sent)
            .unwrap_or_else(|ahead| ahead.duration());
        if off > WINDOW {
            return Err("it was signed more than five minutes ago, or one of the clocks is wrong");
        }
        if self.seen.iter().any(|seen| seen == signature) {
            return Err("it was here before");
        }
        self.seen.push_back(signature.to_vec());
        if self.seen.len() > MOST_SEEN {
            self.seen.pop_front();
        }
        Ok(())
    }
}

/// What is signed.
pub(super) fn message(time: &str, subject: &str, payload: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 4] = [
        b"aegis.command.v1",
        time.as_bytes(),
        subject.as_bytes(),
        payload,
    ];
    parts.join(&0)
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    #[test]
    fn only_a_fresh_message_to_this_subject_by_a_trusted_key_is_heard_and_once() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let mut key = [0; 32];
        key.copy_from_slice(pair.public_key().as_ref());
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let sign = |time: &str, subject: &str, payload: &[u8]| {
            pair.sign(&message(time, subject, payload))
                .as_ref()
                .to_vec()
        };
        let good = sign("1800000000", "s.a", b"{}");
        let mut seal = Seal::new(vec![key]);
        let mut check =
            |time: Option<&str>, signature: Option<&[u8]>, subject: &str, payload: &[u8]| {
                seal.check(time, signature, subject, payload, now)
            };
        let time = Some("1800000000");
        assert_eq!(check(time, None, "s.a", b"{}"), Err("it is not signed"));
        assert!(
            check(time, Some(&good), "s.b", b"{}")
                .unwrap_err()
                .contains("none of the keys")
        );
        assert!(
            check(time, Some(&good), "s.a", b"{ }")
                .unwrap_err()
                .contains("none of the keys")
        );
        assert!(check(Some("1800000001"), Some(&good), "s.a", b"{}").is_err());
        assert!(check(time, Some(&good[..63]), "s.a", b"{}").is_err());
        for old in ["1799999699", "1800000301"] {
            let signature = sign(old, "s.a", b"{}");
            let why = check(Some(old), Some(&signature), "s.a", b"{}").unwrap_err();
            assert!(why.contains("five minutes"), "{why}");
        }
        assert_eq!(check(time, Some(&good), "s.a", b"{}"), Ok(()));
        assert_eq!(
            check(time, Some(&good), "s.a", b"{}"),
            Err("it was here before")
        );
        assert!(
            Seal::new(vec![])
                .check(time, Some(&good), "s.a", b"{}", now)
                .is_err()
        );
    }
}
