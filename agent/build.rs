//! Compresses the live page's files once, so that no agent has to.

#![allow(
    clippy::expect_used,
    reason = "a build that cannot go on is meant to stop"
)]

fn main() {
    println!("cargo::rerun-if-changed=src/http/page/assets");
    #[cfg(feature = "page")]
    pack();
}

#[cfg(feature = "page")]
fn pack() {
    use std::io::Write;
    use std::path::Path;

    let out = std::env::var_os("OUT_DIR").expect("cargo names a folder");
    let assets = std::fs::read_dir("src/http/page/assets").expect("the page's files");
    for asset in assets {
        let path = asset.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read(&path).expect("a readable file");
        let mut packed = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::best());
        packed.write_all(&text).expect("memory takes everything");
        let packed = packed.finish().expect("memory takes everything");
        std::fs::write(Path::new(&out).join(format!("{name}.gz")), packed)
            .expect("a folder to write in");
    }
}
