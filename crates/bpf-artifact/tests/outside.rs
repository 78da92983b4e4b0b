//! Signatures against other implementations: openssl and minisign, where they are installed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod material;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bpf_artifact::{
    Algorithm, Candidate, KeyRing, Policy, PublicKey, SigningKey, Trust, manifest_message,
};

use material::{Bench, Folder, archive, candidate};

/// What the trust rests on when the archive is signed like this, under the archive policy.
fn judge(keys: Vec<PublicKey>, signature: &[u8]) -> Result<Trust, &'static str> {
    let candidate = Candidate {
        archive: archive(),
        signature: Some(STANDARD.encode(signature)),
        ..Candidate::default()
    };
    let bench = Bench {
        keys: KeyRing::pinned(keys),
        ..Bench::new(Policy::Archive)
    };
    bench
        .judge(candidate)
        .map(|verified| verified.trust().clone())
        .map_err(|refusal| refusal.code())
}

/// Makes a key and a signature over the archive with openssl, and returns both.
fn by_openssl(folder: &Folder, genpkey: &str, sign: &str) -> Option<(PublicKey, Vec<u8>)> {
    folder.write("archive", archive());
    let made = folder.run(&format!("openssl genpkey {genpkey} -out key.pem"))
        && folder.run("openssl pkey -in key.pem -pubout -out public.pem")
        && folder.run(&format!("openssl {sign}"));
    made.then(|| {
        let public = String::from_utf8(folder.read("public.pem")).unwrap();
        (PublicKey::parse(&public).unwrap(), folder.read("signature"))
    })
}

fn openssl_signature_holds(algorithm: Algorithm, genpkey: &str, sign: &str) {
    let folder = Folder::new();
    let Some((key, signature)) = by_openssl(&folder, genpkey, sign) else {
        return;
    };
    assert_eq!(key.algorithm(), algorithm);
    let other = SigningKey::generate().unwrap().0.public_key();
    let trust = judge(vec![other.clone(), key.clone()], &signature).unwrap();
    assert!(matches!(trust, Trust::Archive(by) if by.fingerprint == key.fingerprint()));
    assert_eq!(judge(vec![other], &signature), Err("bad_signature"));
    let mut flipped = signature.clone();
    for at in 0..signature.len() {
        flipped[at] ^= 1;
        assert!(judge(vec![key.clone()], &flipped).is_err(), "byte {at}");
        flipped[at] ^= 1;
    }
}

#[test]
fn ed25519_of_openssl() {
    openssl_signature_holds(
        Algorithm::Ed25519,
        "-algorithm ed25519",
        "pkeyutl -sign -rawin -inkey key.pem -in archive -out signature",
    );
}

#[test]
fn ecdsa_p256_of_openssl() {
    let genpkey = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    openssl_signature_holds(
        Algorithm::EcdsaP256,
        genpkey,
        "dgst -sha256 -sign key.pem -out signature archive",
    );
}

#[test]
fn rsa_pkcs1_of_openssl() {
    let genpkey = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    openssl_signature_holds(
        Algorithm::Rsa,
        genpkey,
        "dgst -sha256 -sign key.pem -out signature archive",
    );
}

const PSS: &str = "dgst -sha256 -sign key.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen";

#[test]
fn rsa_pss_of_openssl_with_a_salt_as_long_as_the_digest() {
    let genpkey = "-algorithm RSA -pkeyopt rsa_keygen_bits:3072";
    openssl_signature_holds(
        Algorithm::Rsa,
        genpkey,
        &format!("{PSS}:digest -out signature archive"),
    );
}

#[test]
fn rsa_pss_with_the_longest_salt_is_refused() {
    let folder = Folder::new();
    let sign = format!("{PSS}:max -out signature archive");
    if let Some((key, signature)) = by_openssl(
        &folder,
        "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        &sign,
    ) {
        assert_eq!(judge(vec![key], &signature), Err("bad_signature"));
    }
}

#[test]
fn keys_of_other_kinds_are_refused_with_the_reason() {
    for (genpkey, reason) in [
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
            "of the elliptic curves only P-256 is taken",
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
            "of the elliptic curves only P-256 is taken",
        ),
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
            "an RSA key of 1024 bits is not taken, only 2048 to 8192",
        ),
        (
            "-algorithm ed448",
            "only Ed25519, ECDSA P-256 and RSA keys are taken",
        ),
        (
            "-algorithm x25519",
            "only Ed25519, ECDSA P-256 and RSA keys are taken",
        ),
    ] {
        let folder = Folder::new();
        let made = folder.run(&format!("openssl genpkey {genpkey} -out key.pem"))
            && folder.run("openssl pkey -in key.pem -pubout -out public.pem");
        if made {
            let public = String::from_utf8(folder.read("public.pem")).unwrap();
            assert_eq!(PublicKey::parse(&public).unwrap_err().to_string(), reason);
            let private = String::from_utf8(folder.read("key.pem")).unwrap();
            assert!(
                PublicKey::parse(&private)
                    .unwrap_err()
                    .to_string()
                    .starts_with("this is a private key")
            );
            assert!(SigningKey::from_pem(&private).is_err());
        }
    }
}

#[test]
fn openssl_reads_our_key_and_confirms_our_signature() {
    let folder = Folder::new();
    let (key, pem) = SigningKey::generate().unwrap();
    folder.write("key.pem", &pem);
    let signed = candidate(&key).manifest.unwrap();
    let (_, digits) = signed.signature.rsplit_once(':').unwrap();
    folder.write("signature", STANDARD.decode(digits).unwrap());
    folder.write("message", manifest_message(&signed.manifest));
    if folder.run("openssl pkey -in key.pem -pubout -out public.pem") {
        let public = String::from_utf8(folder.read("public.pem")).unwrap();
        assert_eq!(PublicKey::parse(&public).unwrap(), key.public_key());
        folder.run("openssl pkeyutl -verify -rawin -pubin -inkey public.pem -sigfile signature -in message");
    }
}

#[test]
fn a_key_of_openssl_signs_manifests_here() {
    let folder = Folder::new();
    if folder.run("openssl genpkey -algorithm ed25519 -out key.pem") {
        let key =
            SigningKey::from_pem(&String::from_utf8(folder.read("key.pem")).unwrap()).unwrap();
        let bench = Bench {
            keys: KeyRing::pinned(vec![key.public_key()]),
            ..Bench::new(Policy::Strict)
        };
        assert!(bench.judge(candidate(&key)).is_ok());
    }
}

#[test]
fn ed25519_of_minisign() {
    let folder = Folder::new();
    folder.write("archive", archive());
    let made = folder.run("minisign -G -W -f -p public -s secret > /dev/null")
        && folder.run("minisign -S -l -s secret -m archive -x signature > /dev/null < /dev/null");
    if made {
        // Both files: a line of comment, then base64 of two letters, the id of the key, and the bytes.
        let bytes = |name| {
            let text = String::from_utf8(folder.read(name)).unwrap();
            STANDARD
                .decode(text.lines().nth(1).unwrap())
                .unwrap()
                .split_off(10)
        };
        let key = PublicKey::ed25519(bytes("public").try_into().unwrap());
        assert!(judge(vec![key], &bytes("signature")).is_ok());
    }
}
