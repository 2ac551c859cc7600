//! Which hash of a dentry is what.
//!
//! A dentry has a main hash and any number of extra stream entries, and nothing says which of the unnamed ones is the
//! file's data and which its reparse point. The rule (observed: it reads what DISM writes, and what older wimlib wrote):
//! take the unnamed hashes in order, without a zero main hash if there is any unnamed entry; the first is the reparse
//! data if the file is a reparse point; the next is the data; further ones are noise.

use std::collections::HashSet;

use super::attributes::{DIRECTORY, ENCRYPTED, REPARSE_POINT};
use crate::blob::NO_HASH;

/// A named stream, its name still in the metadata.
pub(super) type Named<'a> = (&'a [u8], [u8; 20]);

/// The streams of a dentry, sorted out. A hash of zeros is an empty stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Streams<'a> {
    pub(super) data: Option<[u8; 20]>,
    pub(super) reparse: Option<[u8; 20]>,
    pub(super) efs: Option<[u8; 20]>,
    pub(super) named: Vec<Named<'a>>,
    /// How many hashes had no meaning.
    pub(super) ignored: usize,
}

/// `extra` are the extra stream entries in order; the name of an unnamed one is empty.
pub(super) fn sort_out<'a>(attributes: u32, main: [u8; 20], extra: &[Named<'a>]) -> Streams<'a> {
    let is = |bits| attributes & bits != 0;
    let unnamed_extra = || extra.iter().filter(|(name, _)| name.is_empty()).map(|(_, hash)| *hash);
    let main_counts = main != NO_HASH || unnamed_extra().next().is_none();
    let mut unnamed = main_counts.then_some(main).into_iter().chain(unnamed_extra());

    let mut streams = Streams::default();
    if is(ENCRYPTED)
        && !is(DIRECTORY)
        && let Some(raw) = unnamed.clone().find(|hash| *hash != NO_HASH)
    {
        streams.efs = Some(raw);
        streams.ignored = extra.len() + usize::from(main_counts) - 1;
        return streams;
    }
    if is(REPARSE_POINT) {
        streams.reparse = unnamed.next();
    }
    if !is(DIRECTORY) {
        streams.data = Some(unnamed.next().unwrap_or(NO_HASH));
    }
    // A directory without data has a zero hash where a file has that of its data.
    streams.ignored = unnamed.filter(|hash| *hash != NO_HASH).count();
    streams.named = extra.iter().filter(|(name, _)| !name.is_empty()).copied().collect();
    if streams.named.len() > 1 {
        let before = streams.named.len();
        let mut seen = HashSet::with_capacity(before);
        streams.named.retain(|(name, _)| seen.insert(*name));
        streams.ignored += before - streams.named.len();
    }
    streams
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 20] = [1; 20];
    const B: [u8; 20] = [2; 20];
    const C: [u8; 20] = [3; 20];

    fn sorted(attributes: u32, main: [u8; 20], extra: &[Named<'static>]) -> Streams<'static> {
        sort_out(attributes, main, extra)
    }

    #[test]
    fn a_plain_file() {
        assert_eq!(sorted(0, A, &[]), Streams { data: Some(A), ..Streams::default() });
        assert_eq!(sorted(0, NO_HASH, &[]), Streams { data: Some(NO_HASH), ..Streams::default() });
    }

    #[test]
    fn streams_in_extra_entries_or_beside_the_main_hash() {
        let expected = Streams { data: Some(A), named: vec![(b"n", B)], ..Streams::default() };
        assert_eq!(sorted(0, NO_HASH, &[(b"", A), (b"n", B)]), expected);
        assert_eq!(sorted(0, NO_HASH, &[(b"n", B), (b"", A)]), expected);
        assert_eq!(sorted(0, A, &[(b"n", B)]), expected);
        // An empty file with a stream, both ways.
        let expected = Streams { data: Some(NO_HASH), named: vec![(b"n", B)], ..Streams::default() };
        assert_eq!(sorted(0, NO_HASH, &[(b"", NO_HASH), (b"n", B)]), expected);
        assert_eq!(sorted(0, NO_HASH, &[(b"n", B)]), expected);
    }

    #[test]
    fn reparse_points() {
        let empty = Some(NO_HASH);
        let expected = |reparse, data| Streams { reparse, data, ..Streams::default() };
        assert_eq!(sorted(REPARSE_POINT, A, &[]), expected(Some(A), empty));
        assert_eq!(sorted(REPARSE_POINT, NO_HASH, &[]), expected(empty, empty));
        assert_eq!(sorted(REPARSE_POINT, NO_HASH, &[(b"", A)]), expected(Some(A), empty));
        assert_eq!(sorted(REPARSE_POINT, NO_HASH, &[(b"", A), (b"", B)]), expected(Some(A), Some(B)));
        assert_eq!(sorted(REPARSE_POINT, A, &[(b"", B)]), expected(Some(A), Some(B)));
        assert_eq!(sorted(REPARSE_POINT | DIRECTORY, A, &[]), expected(Some(A), None));
        // As older wimlib stored the reparse point of a directory.
        assert_eq!(
            sorted(REPARSE_POINT | DIRECTORY, NO_HASH, &[(b"", A), (b"", NO_HASH)]),
            expected(Some(A), None)
        );
    }

    #[test]
    fn encrypted_files_are_one_lump() {
        let lump = Streams { efs: Some(A), ignored: 2, ..Streams::default() };
        assert_eq!(sorted(ENCRYPTED, NO_HASH, &[(b"", A), (b"", B), (b"n", C)]), lump);
        assert_eq!(sorted(ENCRYPTED, A, &[]), Streams { efs: Some(A), ..Streams::default() });
        assert_eq!(sorted(ENCRYPTED, NO_HASH, &[]), Streams { data: Some(NO_HASH), ..Streams::default() });
        let directory = sorted(ENCRYPTED | DIRECTORY, NO_HASH, &[(b"n", A)]);
        assert_eq!(directory.named, [(&b"n"[..], A)]);
    }

    #[test]
    fn noise_is_counted() {
        assert_eq!(
            sorted(0, A, &[(b"", B), (b"", C)]),
            Streams { data: Some(A), ignored: 2, ..Streams::default() }
        );
        assert_eq!(sorted(DIRECTORY, A, &[]), Streams { ignored: 1, ..Streams::default() });
        let twice = sorted(0, A, &[(b"n", B), (b"n", C)]);
        assert_eq!((twice.named, twice.ignored), (vec![(&b"n"[..], B)], 1));
        let names: Vec<[u8; 2]> = (0..500_u16).map(|n| (n % 200 + 1).to_be_bytes()).collect();
        let many: Vec<Named<'_>> = names.iter().map(|name| (&name[..], B)).collect();
        let many = sort_out(0, A, &many);
        assert_eq!((many.named.len(), many.ignored), (200, 300));
    }
}
