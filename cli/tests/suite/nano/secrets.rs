//! Where a password is, in whatever form: as it is in UTF-8 and UTF-16, in hexadecimal digits and base64 of either, and as
//! the hashes of files that hold it, from which it can be guessed.

use std::fs;
use std::path::{Path, PathBuf};

/// A secret and the forms that are looked for.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) text: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let hex = |bytes: &[u8], upper: bool| -> Vec<u8> {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            if upper { digits.to_uppercase().into_bytes() } else { digits.into_bytes() }
        };
        let mut forms = vec![("UTF-8", text.as_bytes().to_vec()), ("UTF-16", wide.clone())];
        for upper in [false, true] {
            forms.push(("hexadecimal UTF-8", hex(text.as_bytes(), upper)));
            forms.push(("hexadecimal UTF-16", hex(&wide, upper)));
        }
        for bytes in [text.as_bytes(), &wide] {
            for before in 0..3 {
                forms.push(("base64", base64_core(bytes, before)));
            }
        }
        for (name, form) in &forms {
            assert!(form.len() >= 8, "{name} of {text:?} is too short to be looked for");
        }
        Self { text: text.to_owned(), forms }
    }

    /// How often it is in these bytes, in any form.
    pub(crate) fn count(&self, bytes: &[u8]) -> usize {
        self.places(bytes).count()
    }

    /// The first form in which it is there.
    pub(crate) fn found(&self, bytes: &[u8]) -> Option<&'static str> {
        self.places(bytes).next()
    }

    /// One pass over what may be a whole disk.
    fn places<'s>(&'s self, bytes: &'s [u8]) -> impl Iterator<Item = &'static str> + 's {
        let mut begins = [false; 256];
        for (_, form) in &self.forms {
            begins[usize::from(form[0])] = true;
        }
        let starts = (0..bytes.len()).filter(move |at| begins[usize::from(bytes[*at])]);
        starts.filter_map(|at| {
            let mut forms = self.forms.iter();
            forms.find(|(_, form)| bytes[at..].starts_with(form)).map(|(name, _)| *name)
        })
    }
}

/// What is in the base64 of anything that has these bytes behind a multiple of three and `before` more: the digits that
/// depend on nothing else.
fn base64_core(bytes: &[u8], before: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // The bytes from the first whole group of three to the last.
    let skip = (3 - before) % 3;
    let whole = &bytes[skip..];
    whole
        .chunks_exact(3)
        .flat_map(|group| {
            let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
            [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize])
        })
        .collect()
}

/// The pieces of a disk that are not zero, each with what borders on it.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    const BLOCK: usize = 4096;
    let zeros = [0; BLOCK];
    let mut pieces = Vec::new();
    let mut start = 0;
    for at in (0..bytes.len()).step_by(BLOCK).chain([bytes.len()]) {
        let block = &bytes[at..bytes.len().min(at + BLOCK)];
        if *block == zeros[..block.len()] {
            if start < at {
                pieces.push(&bytes[start..at]);
            }
            start = at + block.len();
        }
    }
    pieces
}

/// Files below a folder, but for those of these names.
pub(crate) fn files(folder: &Path, without: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if without.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() { found.extend(files(&path, without)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn secrets_are_found_in_all_forms() {
    let secret = Secret::new("Adm1n-s3cret!");
    for text in [
        "x Adm1n-s3cret! y",
        "QQBkAG0AMQBuAC0AcwAzAGMAcgBlAHQAIQBBAGQAbQBpAG4AaQBzAHQAcgBhAHQAbwByAFAAYQBzAHMAdwBvAHIAZAA=",
        "QWRtMW4tczNjcmV0IQ==",
        // With one, and two characters before it.
        "eEFkbTFuLXMzY3JldCE=",
        "eHhBZG0xbi1zM2NyZXQh",
        "41646d316e2d73336372657421",
    ] {
        assert_eq!(secret.count(text.as_bytes()), 1, "{text}");
    }
    let wide: Vec<u8> = "..Adm1n-s3cret!".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(secret.found(&wide), Some("UTF-16"));
    assert_eq!(secret.found(b"Adm1n-s3cret"), None);

    let mut disk = vec![0; 40_000];
    disk[8190..8190 + wide.len()].copy_from_slice(&wide);
    disk[39_990] = 1;
    let found = pieces(&disk);
    assert_eq!(found.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [8192, 40_000 - 36_864]);
    assert_eq!(found.iter().map(|piece| secret.count(piece)).sum::<usize>(), 1);
}
