//! What the table of LZX's main code says about each symbol, so that the decoder never looks at symbol numbers.
//!
//! An entry has 32 bits: what the decoder needs first, to find the next symbol. What it needs for the offset of a match,
//! while the next entry is already on its way, is in the [`Slot`] that the entry names.

use crate::lzx_format::{LITERALS, MAX_MAIN_SYMBOLS, MIN_MATCH, slot};

// An entry, from its low bits: how many bits the codeword and the offset's extra bits take together (6 bits), LONG,
// ALIGNED, the slot (6 bits), MORE_LENGTH, LITERAL, the literal (8 bits), how many bytes of output it stands for (8 bits).

/// No symbol: the codeword is longer than the table's index.
pub(crate) const LONG: u32 = 1 << 6;
/// In aligned blocks: the low three bits of the offset are a symbol of the aligned code.
pub(crate) const ALIGNED: u32 = 1 << 7;
/// The length goes on with a symbol of the length code.
pub(crate) const MORE_LENGTH: u32 = 1 << 14;
pub(crate) const LITERAL: u32 = 1 << 15;

/// Which byte of an entry in memory is the literal.
pub(crate) const LITERAL_BYTE: usize = if cfg!(target_endian = "little") { 2 } else { 1 };

#[inline(always)]
pub(crate) fn literal(entry: u32) -> u8 {
    (entry >> 16) as u8
}

/// One for a literal; the match's length, or what it is at least if [`MORE_LENGTH`] is set.
#[inline(always)]
pub(crate) fn length(entry: u32) -> usize {
    (entry >> 24) as usize
}

/// What an offset slot means. Literals have slot 0, which changes nothing.
#[derive(Debug)]
#[repr(C, align(32))]
pub(crate) struct Slot {
    /// Covers the extra bits that are just bits.
    pub(crate) mask: u32,
    /// The smallest offset; zero if the slot is a repeat offset.
    pub(crate) base: u32,
    /// How many bits of `mask` are set.
    pub(crate) extra_bits: u32,
    /// By how much [`Packed`](crate::lzx_repeats::Packed) repeats are shifted for the one to use, or [`NO_REPEAT`].
    pub(crate) shift: u32,
    /// Where the repeats come from, for [`Shuffled`](crate::lzx_repeats::Shuffled) ones.
    pub(crate) lanes: [u32; 4],
}

pub(crate) const NO_REPEAT: u32 = 63;
/// How many bits a packed repeat offset takes.
pub(crate) const REPEAT_BITS: u32 = 21;

/// The slot of an entry, for aligned or other blocks.
#[inline(always)]
pub(crate) fn slot<const IN_ALIGNED: bool>(entry: u32) -> &'static Slot {
    let slots = if IN_ALIGNED { &ALIGNED_SLOTS } else { &VERBATIM_SLOTS };
    &slots[(entry >> 8 & 63) as usize]
}

/// The entry of a symbol, without the length of its codeword.
pub(crate) fn templates<const IN_ALIGNED: bool>() -> &'static [u32; MAX_MAIN_SYMBOLS] {
    if IN_ALIGNED { &ALIGNED_TEMPLATES } else { &VERBATIM_TEMPLATES }
}

/// How many extra bits are just bits, and the flag for the others.
const fn plain_bits(slot: usize, in_aligned: bool) -> (u32, u32) {
    match slot::extra_bits(slot) {
        extra @ 3.. if in_aligned => (extra - 3, ALIGNED),
        extra => (extra, 0),
    }
}

const fn make_templates(in_aligned: bool) -> [u32; MAX_MAIN_SYMBOLS] {
    let mut templates = [0; MAX_MAIN_SYMBOLS];
    let mut symbol = 0;
    while symbol < MAX_MAIN_SYMBOLS {
        templates[symbol] = if symbol < LITERALS {
            1 << 24 | (symbol as u32) << 16 | LITERAL
        } else {
            let (slot, header) = ((symbol - LITERALS) >> 3, (symbol - LITERALS) & 7);
            let (extra, aligned) = plain_bits(slot, in_aligned);
            let more = if header == 7 { MORE_LENGTH } else { 0 };
            ((header + MIN_MATCH) as u32) << 24 | more | (slot as u32) << 8 | aligned | extra
        };
        symbol += 1;
    }
    templates
}

static VERBATIM_TEMPLATES: [u32; MAX_MAIN_SYMBOLS] = make_templates(false);
static ALIGNED_TEMPLATES: [u32; MAX_MAIN_SYMBOLS] = make_templates(true);

/// As many as the field in an entry can name.
const fn make_slots(in_aligned: bool) -> [Slot; 64] {
    let mut slots = [const { Slot { mask: 0, base: 0, extra_bits: 0, shift: 0, lanes: [1, 1, 2, 3] } }; 64];
    (slots[1].shift, slots[1].lanes) = (REPEAT_BITS, [2, 2, 1, 3]);
    (slots[2].shift, slots[2].lanes) = (2 * REPEAT_BITS, [3, 3, 2, 1]);
    let mut slot = 3;
    while slot < (MAX_MAIN_SYMBOLS - LITERALS) / 8 {
        let (extra_bits, _) = plain_bits(slot, in_aligned);
        slots[slot] = Slot {
            mask: (1 << extra_bits) - 1,
            base: slot::base(slot),
            extra_bits,
            shift: NO_REPEAT,
            lanes: [0, 0, 1, 2],
        };
        slot += 1;
    }
    slots
}

static VERBATIM_SLOTS: [Slot; 64] = make_slots(false);
static ALIGNED_SLOTS: [Slot; 64] = make_slots(true);
