//! Decode tables for canonical Huffman codes.
//!
//! A code of at most 16 bits is looked up by its first `ROOT` bits in one table of 32-bit entries. The entry of a
//! symbol is a *template*, made at compile time, that says everything the decoder wants to know about the symbol (is
//! it a literal, how many extra bits follow, ...), plus the length of its codeword in the low bits; so the decoder
//! never looks at symbol numbers. Codewords longer than `ROOT` bits are rare by construction (less often than once in
//! 2^ROOT each) and are found arithmetically: canonical codewords of one length are consecutive numbers.
//!
//! There are no second-level tables: they would have to be built for every block, for the sake of a few percent of
//! the symbols, whose cost is a mispredicted branch either way.

/// The longest codeword, in bits.
const MAX_BITS: usize = 16;

/// What a root entry says when the codeword is longer than `ROOT` bits, or the code has no codewords.
///
/// Chosen by each table's user so that it is distinguishable from all templates.
pub(crate) type Template = u32;

#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Table<const ROOT_SIZE: usize, const SYMBOLS: usize> {
    // First, and followed by something: see `place`.
    pub(crate) root: [u32; ROOT_SIZE],
    /// For each length: the end of its codewords, as the first 16 bits of a bit string that lies just behind them.
    ends: [u32; MAX_BITS + 1],
    /// For each length: where its symbols end in `sorted`.
    ranks: [u16; MAX_BITS + 1],
    /// The symbols in the order of their codewords.
    sorted: [u16; SYMBOLS],
}

/// The lengths are neither those of a complete code nor all zero.
#[derive(Debug)]
pub(crate) struct Incomplete;

impl<const ROOT_SIZE: usize, const SYMBOLS: usize> Table<ROOT_SIZE, SYMBOLS> {
    pub(crate) const ROOT: u32 = ROOT_SIZE.ilog2();

    pub(crate) const fn new() -> Self {
        assert!(ROOT_SIZE.is_power_of_two() && ROOT_SIZE <= 1 << MAX_BITS);
        Self { root: [0; ROOT_SIZE], ends: [0; MAX_BITS + 1], ranks: [0; MAX_BITS + 1], sorted: [0; SYMBOLS] }
    }

    /// Builds the table for codewords of `lengths[symbol]` bits. Root entries that belong to no symbol become `long`.
    ///
    /// Returns whether there are any codewords.
    pub(crate) fn build(
        &mut self,
        lengths: &[u8],
        templates: &[Template],
        long: Template,
    ) -> Result<bool, Incomplete> {
        debug_assert!(
            lengths.len() <= SYMBOLS && lengths.iter().all(|length| usize::from(*length) <= MAX_BITS)
        );
        // Several sets of counters, because equal lengths follow each other and would wait for one.
        let mut counters = [[0_u16; 32]; 4];
        for group in lengths.chunks(8).filter(|group| *group != [0; 8]) {
            for (i, length) in group.iter().enumerate() {
                counters[i % 4][usize::from(*length & 31)] += 1;
            }
        }
        let mut counts = [0_u16; MAX_BITS + 1];
        for (bits, count) in counts.iter_mut().enumerate().skip(1) {
            *count = counters.iter().map(|counter| counter[bits]).sum();
        }
        let (mut end, mut rank) = (0_u32, 0_u16);
        let mut next = [0_u16; 32];
        for bits in 1..=MAX_BITS {
            next[bits] = rank;
            rank += counts[bits];
            end += u32::from(counts[bits]) << (MAX_BITS - bits);
            self.ends[bits] = end;
            self.ranks[bits] = rank;
        }
        if rank == 0 {
            self.root.fill(long);
            return Ok(false);
        }
        if end != 1 << MAX_BITS {
            return Err(Incomplete);
        }
        for (group, eight) in lengths.chunks(8).enumerate() {
            // Codes of large alphabets use few of them, in clusters.
            if eight == [0; 8] {
                continue;
            }
            for (i, length) in eight.iter().enumerate() {
                if *length != 0 {
                    let rank = &mut next[usize::from(*length & 31)];
                    self.sorted[usize::from(*rank)] = (8 * group + i) as u16;
                    *rank += 1;
                }
            }
        }
        // In canonical order the entries follow each other.
        let mut filled = 0;
        for bits in 1..=Self::ROOT as usize {
            let symbols = &self.sorted[usize::from(self.ranks[bits - 1])..usize::from(self.ranks[bits])];
            let run = ROOT_SIZE >> bits;
            let root = &mut self.root[filled..filled + run * symbols.len()];
            filled += root.len();
            let entries = symbols.iter().map(|symbol| templates[usize::from(*symbol)] + bits as u32);
            // The short runs are many, so the compiler should know how short they are.
            match run {
                1 => fill_runs::<1>(root, entries),
                2 => fill_runs::<2>(root, entries),
                4 => fill_runs::<4>(root, entries),
                8 => fill_runs::<8>(root, entries),
                16 => fill_runs::<16>(root, entries),
                _ => root.chunks_exact_mut(run).zip(entries).for_each(|(run, entry)| run.fill(entry)),
            }
        }
        self.root[filled..].fill(long);
        Ok(true)
    }

    /// Where the root entry of the codeword is that `bits`, left-aligned, begins with.
    ///
    /// Eight bytes from any byte of the entry on may be read; what is behind the entry says nothing.
    #[inline(always)]
    pub(crate) fn place(&self, bits: u64) -> *const u32 {
        const {
            assert!(
                core::mem::offset_of!(Self, ends) == 4 * ROOT_SIZE
                    && size_of_val(&[0_u32; MAX_BITS + 1]) >= 8
            )
        };
        // SAFETY: the index has as many bits as the table's size. The pointer may be used for all of the table, of which
        // at least 8 bytes follow the root.
        unsafe { (&raw const *self).cast::<u32>().add((bits >> (64 - Self::ROOT)) as usize) }
    }

    /// The symbol and length of the codeword that `bits`, left-aligned, begins with; the codeword is longer than `ROOT`.
    ///
    /// `None` if the code has no codewords.
    #[cold]
    #[inline(never)]
    pub(crate) fn long(&self, bits: u64) -> Option<(usize, u32)> {
        let prefix = (bits >> (64 - MAX_BITS)) as u32;
        let mut length = Self::ROOT as usize + 1;
        for longer in Self::ROOT as usize + 1..MAX_BITS {
            length += usize::from(prefix >= self.ends[longer]);
        }
        // Counted from the end of the length's codewords, which spares a table of their beginnings.
        let behind = self.ends[length].checked_sub(1 + prefix)? >> (MAX_BITS - length);
        let rank = usize::from(self.ranks[length]).checked_sub(1 + behind as usize)?;
        self.sorted.get(rank).map(|symbol| (usize::from(*symbol), length as u32))
    }
}

fn fill_runs<const RUN: usize>(root: &mut [u32], entries: impl Iterator<Item = u32>) {
    for (run, entry) in root.as_chunks_mut::<RUN>().0.iter_mut().zip(entries) {
        *run = [entry; RUN];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::huffman::Code;

    const LONG: u32 = u32::MAX;

    fn templates() -> Vec<u32> {
        (0..64).map(|symbol| symbol << 8).collect()
    }

    fn decode(table: &Table<16, 64>, bits: u64) -> (usize, u32) {
        match table.root[(bits >> 60) as usize] {
            LONG => table.long(bits).expect("a codeword"),
            entry => ((entry >> 8) as usize, entry & 255),
        }
    }

    fn agrees_with_reference(lengths: &[u8]) {
        let code = Code::new(lengths).expect("complete");
        let mut table = Table::<16, 64>::new();
        assert!(table.build(lengths, &templates(), LONG).expect("complete"));
        for prefix in 0..1_u64 << 16 {
            let mut consumed = 0;
            let symbol = code
                .decode(|| {
                    consumed += 1;
                    Ok::<_, ()>((prefix >> (16 - consumed)) as u32 & 1)
                })
                .expect("a symbol");
            assert_eq!(decode(&table, prefix << 48), (symbol, consumed), "{prefix:016b} of {lengths:?}");
        }
    }

    #[test]
    fn finds_short_and_long_codewords() {
        agrees_with_reference(&[1, 1]);
        agrees_with_reference(&[0, 2, 0, 2, 2, 2]);
        agrees_with_reference(&[6; 64]);
        let mut deepest: Vec<u8> = (1..=16).collect();
        deepest.push(16);
        agrees_with_reference(&deepest);
        deepest.reverse();
        agrees_with_reference(&deepest);
        // Lengths with gaps: 1, then 5, then 16.
        let mut gaps = vec![1];
        gaps.extend([5; 15]);
        gaps.extend([6; 1]);
        gaps.extend((7..=16).chain([16]));
        agrees_with_reference(&gaps);
    }

    #[test]
    fn refuses_what_the_reference_refuses() {
        let mut table = Table::<16, 64>::new();
        for lengths in [&[1_u8] as &[u8], &[1, 1, 1], &[1, 2], &[16; 64]] {
            assert!(Code::new(lengths).is_none() && table.build(lengths, &templates(), LONG).is_err());
        }
        assert!(!table.build(&[0; 5], &templates(), LONG).expect("empty"));
        assert!(table.root.iter().all(|entry| *entry == LONG));
        assert!([0, 1 << 63, u64::MAX].iter().all(|bits| table.long(*bits).is_none()));
    }
}
