//! Whatever is compressed, and whatever is said of how it was compressed before: another inflater gets the same bytes back,
//! and the result is no longer than promised.
//!
//! The bytes are of the input's own, or what its tokens make; the hints are those tokens, or others.
#![no_main]

use arbitrary::{Result, Unstructured};
use codec::{Deflater, Effort, Token, Tokens};
use flate2::{Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;

const MAX: usize = 64 << 10;

fn inflate(stream: &[u8], zlib: bool, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 1);
    let mut inflater = Decompress::new(zlib);
    let status = inflater.decompress_vec(stream, &mut out, FlushDecompress::Finish).expect("a sound stream");
    assert_eq!((status, inflater.total_in()), (Status::StreamEnd, stream.len() as u64));
    out
}

fn tokens(u: &mut Unstructured<'_>) -> Result<Vec<Token>> {
    let count = u.int_in_range(0..=200)?;
    let token = |u: &mut Unstructured<'_>| {
        let wild = u.ratio(1, 20)?;
        let up_to =
            |u: &mut Unstructured<'_>, most: u32| u.int_in_range(0..=if wild { u32::MAX } else { most });
        Ok(Token { literals: up_to(u, 40)?, length: up_to(u, 300)?, offset: up_to(u, 33_000)? })
    };
    (0..count).map(|_| token(u)).collect()
}

/// The bytes that tokens stand for, and the tokens as far as they were followed.
fn made(tokens: &[Token], u: &mut Unstructured<'_>) -> Result<(Vec<u8>, Vec<Token>)> {
    let mut bytes = Vec::new();
    let mut followed = Vec::new();
    for token in tokens {
        let (literals, length, offset) =
            (token.literals as usize, token.length as usize, token.offset as usize);
        let room = MAX - bytes.len();
        if literals > room
            || length > room - literals
            || (length > 0 && (offset == 0 || offset > bytes.len() + literals))
        {
            continue;
        }
        for _ in 0..literals {
            bytes.push(u.arbitrary()?);
        }
        for _ in 0..length {
            bytes.push(bytes[bytes.len() - offset]);
        }
        followed.push(*token);
    }
    Ok((bytes, followed))
}

fn attempt(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let efforts = [Effort::Fast, Effort::Default, Effort::Best];
    let effort = *u.choose(&efforts)?;
    let mode = u.int_in_range(0..=3)?;
    let (base, skip) = (u.int_in_range(0..=100)?, u.int_in_range(0..=50)?);
    let said = tokens(&mut u)?;
    let (bytes, hints) = match mode {
        // Hints that are right.
        0 => made(&said, &mut u)?,
        // Of something else, or nonsense.
        1 => (made(&said, &mut u)?.0, said.iter().rev().copied().collect()),
        2 => (made(&said, &mut u)?.0, said),
        _ => (u.bytes(u.len().min(MAX))?.to_vec(), said),
    };
    let mut hint = Tokens::new();
    let total = hints.iter().map(|token| u64::from(token.literals) + u64::from(token.length)).sum::<u64>();
    let skip = skip.min(usize::try_from(total).unwrap_or(usize::MAX));
    let len = usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(skip).min(bytes.len());
    hint.add(base, &hints, skip, len);
    if u.ratio(1, 4)? && len > 0 {
        hint.repeat(base..base + len, base + len);
    }
    let mut deflater = Deflater::new(effort);
    let mut stream = Vec::new();
    deflater.zlib(&bytes, &hint, base, &mut stream);
    assert!(inflate(&stream, true, bytes.len()) == bytes, "other bytes come back");
    assert!(stream.len() <= bytes.len() + 11 + 5 * (bytes.len().saturating_sub(1) / 65_535));
    // What was before leaves no trace.
    let mut again = Vec::new();
    deflater.zlib(&bytes, &hint, base, &mut again);
    assert!(again == stream, "it depends on what was before");
    let mut near = Vec::new();
    Deflater::within_4_kib(effort).raw(&bytes, &mut near);
    let mut window = Vec::with_capacity(bytes.len() + 1);
    let mut inflater = Decompress::new_with_window_bits(false, 12);
    let status =
        inflater.decompress_vec(&near, &mut window, FlushDecompress::Finish).expect("a sound stream");
    assert!(status == Status::StreamEnd && window == bytes, "other bytes come back");
    assert!(near.len() <= bytes.len() + 5 + 5 * (bytes.len().saturating_sub(1) / 65_535));
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = attempt(data);
});
