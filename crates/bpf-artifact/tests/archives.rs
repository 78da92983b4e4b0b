//! Archives, good and hostile: what is taken, what is refused, and with which words.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod material;

use bpf_artifact::{
    Candidate, Limits, Metadata, Package, Policy, UnpackError, inspect_archive, pack,
};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};

use material::{Bench, Folder, OBJECT, metadata};

/// Unpacks what nobody signed, so that only the archive is judged.
fn unpack_within(archive: Vec<u8>, limits: &Limits) -> Result<Package, UnpackError> {
    let mut candidate = Candidate {
        archive,
        ..Candidate::default()
    };
    candidate.hints.name = Some("listed".to_owned());
    Bench::new(Policy::InsecureAccept)
        .judge(candidate)
        .unwrap()
        .unpack(limits)
}

fn unpack(archive: Vec<u8>) -> Result<Package, UnpackError> {
    unpack_within(archive, &Limits::default())
}

fn squeeze(tar: &[u8]) -> Vec<u8> {
    compress_to_vec(tar, CompressionLevel::Fastest)
}

/// One entry as it is written, whatever it is: no library refuses a name here.
fn entry(name: &[u8], kind: EntryType, body: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let field = &mut header.as_ustar_mut().unwrap().name;
    field[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(body.len() as u64);
    header.set_mode(0o644);
    if matches!(kind, EntryType::Symlink | EntryType::Link) {
        header.set_link_name_literal("/etc/passwd").unwrap();
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &[u8], body: &[u8]) -> Vec<u8> {
    entry(name, EntryType::Regular, body)
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

/// A good archive with one more entry.
fn with(more: Vec<u8>) -> Vec<u8> {
    squeeze(&tar(&[file(b"program.o", OBJECT), more]))
}

fn refusal(archive: Vec<u8>) -> String {
    unpack(archive).unwrap_err().to_string()
}

/// A frame that says its window is so large; then a block of zeros.
fn zeros(window_log: u8, blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (window_log - 10) << 3];
    for block in 1..=blocks {
        // RLE of 128 KiB, the last one marked.
        let header = u32::from(block == blocks) | 1 << 1 | (128 << 10) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[test]
fn what_was_packed_comes_out_again_and_packs_to_the_same_bytes() {
    let archive = pack(OBJECT, &metadata()).unwrap();
    assert_eq!(archive, pack(OBJECT, &metadata()).unwrap());
    let package = unpack(archive).unwrap();
    assert_eq!(package.object(), OBJECT);
    assert_eq!(package.metadata(), Some(&metadata()));
}

#[test]
fn what_could_not_be_unpacked_is_not_packed() {
    let error = |object: &[u8]| pack(object, &metadata()).unwrap_err().to_string();
    assert_eq!(
        error(b""),
        "the archive is refused: entry \"program.o\" is empty"
    );
    let large = vec![0; (4 << 20) + 1];
    assert_eq!(
        error(&large),
        "the archive is refused: the size of an entry over 4194304"
    );
}

#[test]
fn entries_of_the_originals_packer_are_taken_in_their_order() {
    let archive = squeeze(&tar(&[
        file(b"./program.o", OBJECT),
        file(b"program.skel.h", b"// skeleton"),
        file(b"src/drop_egress.bpf.c", b"int x;"),
        file(b"src/include/vmlinux.h", b"int y;"),
        file(b"metadata.json", metadata().to_json().as_bytes()),
    ]));
    let entries = inspect_archive(&archive, &Limits::default())
        .unwrap()
        .entries;
    let names = [
        "program.o",
        "program.skel.h",
        "src/drop_egress.bpf.c",
        "src/include/vmlinux.h",
        "metadata.json",
    ];
    assert_eq!(entries, names);
    assert_eq!(unpack(archive).unwrap().object(), OBJECT);
}

#[test]
fn hostile_names_are_refused() {
    for name in [
        &b"../program.o"[..],
        b"/program.o",
        b"src/../../x",
        b"src/",
        b"src//x",
        b"src/./x",
        b"src",
        b"././program.o",
        b"PROGRAM.O",
        b"program.o ",
        b"program.o/x",
        b"a\x01b",
        b"\xff\xfe",
        b"src/\xff",
        b"src/a b",
        b"./",
        b".",
        b"",
        b"etc/passwd",
        b"src\\x",
    ] {
        let error = refusal(with(file(name, b"x")));
        assert!(
            error.ends_with("is none of program.o, program.skel.h, metadata.json, src/..."),
            "{name:?}: {error}"
        );
    }
}

#[test]
fn a_name_from_a_pax_header_is_judged_like_any_other() {
    let record = b"27 path=../../etc/cron.d/x\n";
    let hidden = [
        entry(b"pax", EntryType::XHeader, record),
        file(b"src/x", b"x"),
    ]
    .concat();
    assert!(refusal(with(hidden)).contains("\"../../etc/cron.d/x\" is none of"));
    let harmless = [
        entry(b"pax", EntryType::XHeader, b"14 path=src/y\n"),
        file(b"src/x", b"x"),
    ]
    .concat();
    let entries = inspect_archive(&with(harmless), &Limits::default())
        .unwrap()
        .entries;
    assert_eq!(entries, ["program.o", "src/y"]);
}

#[test]
fn an_overlong_name_is_refused() {
    let name = [b"src/".as_slice(), &[b'a'; 300]].concat();
    let long = [
        entry(b"././@LongLink", EntryType::GNULongName, &name),
        file(b"src/x", b"x"),
    ]
    .concat();
    assert!(refusal(with(long)).ends_with("has a name of more than 255 bytes"));
    // So is one that would fill the memory by itself.
    let endless = entry(
        b"././@LongLink",
        EntryType::GNULongName,
        &vec![b'a'; 20 << 20],
    );
    assert!(refusal(with(endless)).contains("its decompressed size over"));
}

#[test]
fn only_regular_files_are_taken() {
    use EntryType as Kind;
    for kind in [
        Kind::Symlink,
        Kind::Link,
        Kind::Char,
        Kind::Block,
        Kind::Fifo,
        Kind::Directory,
        Kind::Continuous,
        Kind::GNUSparse,
        Kind::new(b'Z'),
    ] {
        let body: &[u8] = if kind == Kind::GNUSparse {
            &[0; 512]
        } else {
            b""
        };
        let error = refusal(with(entry(b"src/x", kind, body)));
        assert!(
            error.contains("is not a regular file") || kind == Kind::GNUSparse,
            "{kind:?}: {error}"
        );
    }
}

#[test]
fn nothing_is_there_twice() {
    assert!(
        refusal(with(file(b"program.o", b"x"))).ends_with("entry \"program.o\" is there twice")
    );
    assert!(
        refusal(with(file(b"./program.o", b"x"))).ends_with("entry \"program.o\" is there twice")
    );
}

#[test]
fn a_hundred_entries_are_too_many() {
    let many: Vec<u8> = (0..99)
        .flat_map(|n| file(format!("src/{n}").as_bytes(), b""))
        .collect();
    assert_eq!(
        refusal(with(many)),
        "the archive is refused: its number of entries over 64"
    );
}

#[test]
fn an_entry_of_five_megabytes_is_too_large() {
    let noise: Vec<u8> = (0_u32..5 << 18)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    for name in [&b"program.o"[..], b"src/x"] {
        let tar = tar(&[file(name, &noise)]);
        let error = refusal(compress_to_vec(
            tar.as_slice(),
            CompressionLevel::Uncompressed,
        ));
        assert_eq!(
            error,
            "the archive is refused: the size of an entry over 4194304"
        );
    }
}

#[test]
fn a_bomb_of_a_gibibyte_is_put_out_early() {
    // Nothing but zeros is the end of a tar: it is not even decompressed.
    let bomb = zeros(17, 8192);
    assert!(bomb.len() < 40_000);
    assert!(refusal(bomb).ends_with("entry \"program.o\" is missing"));
    // In the name of an entry they are read, up to the ratio.
    let start = &entry(b"././@LongLink", EntryType::GNULongName, &vec![0; 8 << 20])[..512];
    let mut bomb = zeros(17, 8192);
    let block = (512_u32 << 3).to_le_bytes();
    bomb.splice(6..6, [&block[..3], start].concat());
    assert!(refusal(bomb).contains("its decompressed size over"));
    // Behind a good beginning, the ratio tells.
    let mut start = tar(&[file(b"program.o", OBJECT)]);
    start.truncate(start.len() - 1024);
    start.extend_from_slice(&entry(b"src/zeros", EntryType::Regular, &vec![0; 3 << 20]));
    start.extend_from_slice(&[0; 1024]);
    assert!(refusal(squeeze(&start)).contains("its decompressed size over"));
}

#[test]
fn a_window_of_a_hundred_megabytes_is_refused() {
    let error = refusal(zeros(27, 1));
    assert!(error.contains("window_size is too big"), "{error}");
    assert!(
        unpack_within(zeros(20, 1), &Limits::default().window_bytes(1 << 19))
            .unwrap_err()
            .to_string()
            .contains("window")
    );
}

#[test]
fn a_truncated_archive_is_refused_at_every_length() {
    let archive = pack(OBJECT, &metadata()).unwrap();
    // The end of a tar are zeros, which say nothing; what stands before them has to be there.
    let mut taken = 0;
    for length in 0..archive.len() {
        match unpack(archive[..length].to_vec()) {
            Ok(package) => {
                assert_eq!(package.object(), OBJECT);
                assert_eq!(package.metadata(), Some(&metadata()));
                taken += 1;
            }
            Err(error) => assert!(
                matches!(error, UnpackError::Corrupt(_) | UnpackError::Entry { .. }),
                "{error}"
            ),
        }
    }
    assert!(taken < 16, "{taken} of {} lengths", archive.len());
}

#[test]
fn what_is_no_archive_is_refused() {
    for bytes in [
        &b""[..],
        b"PK\x03\x04",
        b"{}",
        &[0x28, 0xb5, 0x2f, 0xfd],
        &[0; 600],
        OBJECT,
    ] {
        assert_eq!(unpack(bytes.to_vec()).unwrap_err().code(), "corrupt");
    }
    assert_eq!(unpack(squeeze(b"no tar")).unwrap_err().code(), "corrupt");
    assert_eq!(
        refusal(squeeze(&tar(&[]))),
        "the archive is refused: entry \"program.o\" is missing"
    );
    assert_eq!(
        refusal(squeeze(&tar(&[file(b"program.o", b"")]))),
        "the archive is refused: entry \"program.o\" is empty"
    );
    let mut torn = tar(&[file(b"program.o", OBJECT)]);
    torn[140] ^= 1;
    assert_eq!(unpack(squeeze(&torn)).unwrap_err().code(), "corrupt");
}

#[test]
fn metadata_is_typed() {
    let error = |json: &str| {
        unpack(with(file(b"metadata.json", json.as_bytes())))
            .map(drop)
            .map_err(|error| error.code())
    };
    assert_eq!(
        error(r#"{"template_name":"x","checksums":null,"build_info":null,"unknown":[1]}"#),
        Ok(())
    );
    for bad in [
        "",
        "[]",
        "null",
        r#"{"name":7}"#,
        r#"{"parameters":[]}"#,
        r#"{"build_info":{"object_size":"x"}}"#,
        "{",
    ] {
        assert_eq!(error(bad), Err("bad_metadata"), "{bad}");
    }
}

#[test]
fn limits_can_be_lowered_and_count() {
    let archive = pack(OBJECT, &metadata()).unwrap();
    let with = |limits: Limits| {
        unpack_within(archive.clone(), &limits)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let size = archive.len() as u64;
    assert_eq!(
        with(
            Limits::default()
                .archive_bytes(size)
                .object_bytes(OBJECT.len() as u64)
                .entries(2)
        ),
        Ok(())
    );
    let over = |what: &str, limit: u64| Err(format!("the archive is refused: {what} over {limit}"));
    assert_eq!(
        with(Limits::default().archive_bytes(size - 1)),
        over("its size", size - 1)
    );
    let object = OBJECT.len() as u64 - 1;
    assert_eq!(
        with(Limits::default().object_bytes(object)),
        over("the size of an entry", object)
    );
    assert_eq!(
        with(Limits::default().entries(1)),
        over("its number of entries", 1)
    );
    assert_eq!(
        with(Limits::default().unpacked_bytes(4096)),
        over("its decompressed size", 4096)
    );
    assert!(
        with(Limits::default().ratio(1)).is_ok(),
        "the first MiB is free"
    );
}

#[test]
fn tar_and_zstd_read_what_was_packed() {
    let folder = Folder::new();
    folder.write("packed.tar.zst", pack(OBJECT, &metadata()).unwrap());
    if folder.run("zstd -q -d packed.tar.zst -o packed.tar") && folder.run("tar -xf packed.tar") {
        assert_eq!(folder.read("program.o"), OBJECT);
        assert_eq!(
            Metadata::from_json(&folder.read("metadata.json")).unwrap(),
            metadata()
        );
    }
}

#[test]
fn what_tar_and_zstd_pack_is_read() {
    for format in ["gnu", "ustar", "pax"] {
        for level in ["--fast", "-3", "-19"] {
            let folder = Folder::new();
            folder.write("program.o", OBJECT);
            folder.write("metadata.json", metadata().to_json());
            let made = folder.run(&format!(
                "tar --format={format} -cf a.tar ./program.o metadata.json"
            )) && folder.run(&format!("zstd -q {level} a.tar -o a.tar.zst"));
            if made {
                assert_eq!(
                    unpack(folder.read("a.tar.zst")).unwrap().object(),
                    OBJECT,
                    "{format} {level}"
                );
            }
        }
    }
}

#[test]
fn packing_costs_little_more_than_zstd_does() {
    let folder = Folder::new();
    let mut tar = Builder::new(Vec::new());
    for (name, body) in [
        ("program.o", OBJECT),
        ("metadata.json", metadata().to_json().as_bytes()),
    ] {
        let mut header = Header::new_ustar();
        header.set_size(body.len() as u64);
        tar.append_data(&mut header, name, body).unwrap();
    }
    folder.write("a.tar", tar.into_inner().unwrap());
    if folder.run("zstd -q -3 a.tar -o a.tar.zst") {
        let (ours, theirs) = (
            pack(OBJECT, &metadata()).unwrap().len(),
            folder.read("a.tar.zst").len(),
        );
        println!("packed: {ours} bytes, by zstd -3: {theirs} bytes");
        assert!(ours < 2 * theirs);
    }
}
