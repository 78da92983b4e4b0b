//! Any bytes as every kind of value, and what is derived from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigma_client::{Allocation, Vps, VpsPage};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(vps) = serde_json::from_slice::<Vps>(bytes) {
        assert!(vps.dial_address().is_none_or(|host| !host.is_empty()));
        assert!(vps.dial_port(1) != Some(0));
        assert!(vps.answers_to(&vps.hostname));
    }
    let _ = serde_json::from_slice::<VpsPage>(bytes);
    let _ = serde_json::from_slice::<Allocation>(bytes);
});
