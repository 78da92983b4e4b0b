//! What a service answers: a public address or a refusal that can be shown.

#![no_main]

use ipdiscover::Scope;
use ipdiscover::public::parse_answer;

libfuzzer_sys::fuzz_target!(|data: &[u8]| match parse_answer(data) {
    Ok(ip) => assert!(Scope::of(ip).is_public()),
    Err(refused) => assert!(refused.to_string().len() < 1000),
});
