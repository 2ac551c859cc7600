//! Any bytes are a catalog or are refused, and none is signed by Microsoft: no seed is. The same bytes are a program or
//! are refused, and are never covered by themselves.
#![no_main]

use driver::catalog::trust::Trusted;
use driver::catalog::{Anchor, Catalog, File, Verdict, check, pe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(catalog) = Catalog::parse(data)
        && let Ok(signed) = catalog.verify(&Trusted::microsoft())
    {
        assert!(matches!(signed.anchor, Anchor::Unknown(_)), "{signed:?}");
    }
    if let Ok(program) = pe::read(data) {
        assert!(pe::is_program(data) && data.len() > 0x40);
        assert!(program.digests == program.padded || !program.has_signature);
    }
    if let Ok(verdict) = check(Some(data), &[File { path: "a\\b.inf", bytes: data }], &Trusted::microsoft()) {
        assert!(!matches!(verdict, Verdict::Signed(_)), "a catalog covers itself");
    }
});
