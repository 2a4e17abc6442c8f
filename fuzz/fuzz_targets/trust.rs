//! What proves a manifest genuine: keys, certificates, whitelists and manifests of any kind. Nothing made up is believed.
#![no_main]

use std::time::UNIX_EPOCH;

use libfuzzer_sys::fuzz_target;
use substratum::catalog::manifest::{Manifest, is_repository};
use substratum::catalog::trust::{Proofs, PublicKey, verify};
use substratum::digest::{Algorithm, ObjectName};

fuzz_target!(|input: (&[u8], &[u8], &str, &str, &[u8])| {
    let (key, certificate, manifest, whitelist, signature) = input;
    let seal = |text: &str| {
        let checksum = ObjectName::of(Algorithm::Sha1, text.as_bytes());
        let mut bytes = format!("{text}--\n{checksum}\n").into_bytes();
        bytes.extend_from_slice(signature);
        bytes
    };
    let hex = ObjectName::of(Algorithm::Sha1, key);
    for text in [manifest.to_owned(), format!("C{hex}\nX{hex}\nS1\nT1\nNa.b\n{manifest}")] {
        let bytes = seal(&text);
        let Ok(parsed) = Manifest::parse(&bytes) else { continue };
        assert!(is_repository(&parsed.repository) && !parsed.repository.contains('/'));
        for object in [parsed.root, parsed.certificate] {
            assert!(substratum::layout::object(&format!("/cvmfs/a.b/{object}")).is_some());
        }
        let keys: Vec<_> = PublicKey::from_pem(key).into_iter().collect();
        let list = seal(whitelist);
        let proofs = Proofs { manifest: &bytes, certificate, whitelist: &list };
        assert!(verify(&parsed, proofs, &keys, UNIX_EPOCH).is_err(), "{text:?}");
    }
});
