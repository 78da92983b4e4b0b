//! What a page promises, and what other programs say about it.
// `cfg(test)` tells clippy that the functions beside the tests are tests too.
#![cfg(test)]

mod full_page;
mod lint;
mod oracles;
mod page;
#[cfg(feature = "serve")]
mod serve;
