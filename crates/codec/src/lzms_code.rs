//! The adaptive Huffman codes of LZMS.
//!
//! A code is rebuilt every 512 or 1024 symbols, so building it must cost little more than the one pass over the
//! frequencies that cannot be avoided. Two observations help:
//!
//! * Most symbols of a large alphabet are equally rare. Huffman's algorithm is run on *groups* of nodes of equal weight:
//!   all nodes of a group are paired in one step. There are a few dozen steps instead of hundreds.
//! * What a canonical code needs is how many codewords have each length, and an order of the symbols. So no tree is
//!   built; levels are counted, from the root down, as ranges of nodes.

use crate::lzms_format::MAX_CODEWORD;

/// A table entry: how many bits the codeword and the extra bits take together (6 bits); from bit 8 the number of extra
/// bits; from bit 16 the symbol.
pub(crate) mod entry {
    /// The codeword is longer than the table's index.
    pub(crate) const LONG: u32 = 1 << 31;

    pub(crate) const fn template(symbol: usize, extra_bits: u8) -> u32 {
        (symbol as u32) << 16 | (extra_bits as u32) << 8 | extra_bits as u32
    }

    #[inline(always)]
    pub(crate) fn symbol(entry: u32) -> usize {
        (entry >> 16) as usize
    }

    /// For the number at the end of the bits that the entry counts.
    #[inline(always)]
    pub(crate) fn mask(entry: u32) -> u32 {
        (1 << (entry >> 8 & 31)) - 1
    }
}

/// Frequencies below this are counted, the others are few (as the sum is limited) and sorted.
const COUNTED: usize = 64;

/// `SYMBOLS` and `ROOT_SIZE` are powers of two.
#[derive(Clone, Debug)]
pub(crate) struct AdaptiveCode<const SYMBOLS: usize, const ROOT_SIZE: usize> {
    pub(crate) root: [u32; ROOT_SIZE],
    pub(crate) frequencies: [u16; SYMBOLS],
    /// How many symbols may still be decoded with this code.
    pub(crate) until_rebuild: u32,
    period: u32,
    symbols: usize,
    templates: &'static [u32; SYMBOLS],
    /// For each length: the end of its codewords, as the first 15 bits of a bit string that lies just behind them.
    ends: [u32; MAX_CODEWORD + 1],
    /// For each length: where its symbols end in `sorted`.
    ranks: [u16; MAX_CODEWORD + 1],
    /// The symbols in the order of their codewords.
    sorted: [u16; SYMBOLS],
}

impl<const SYMBOLS: usize, const ROOT_SIZE: usize> AdaptiveCode<SYMBOLS, ROOT_SIZE> {
    /// A code that is not usable before it is [`reset`](Self::reset).
    pub(crate) const fn new(period: u32, templates: &'static [u32; SYMBOLS]) -> Self {
        assert!(SYMBOLS.is_power_of_two() && ROOT_SIZE.is_power_of_two() && ROOT_SIZE <= 1 << MAX_CODEWORD);
        Self {
            root: [0; ROOT_SIZE],
            frequencies: [1; SYMBOLS],
            until_rebuild: period,
            period,
            symbols: 0,
            templates,
            ends: [0; MAX_CODEWORD + 1],
            ranks: [0; MAX_CODEWORD + 1],
            sorted: [0; SYMBOLS],
        }
    }

    /// All symbols below `symbols`, of which there are at least two, become equally likely.
    pub(crate) fn reset(&mut self, symbols: usize) {
        debug_assert!((2..=SYMBOLS).contains(&symbols));
        self.symbols = symbols;
        self.frequencies.fill(1);
        self.build();
    }

    /// Looks a left-aligned bit string up.
    #[inline(always)]
    pub(crate) fn entry(&self, bits: u64) -> u32 {
        let entry = self.root[(bits >> (64 - ROOT_SIZE.ilog2())) as usize];
        if entry == entry::LONG { self.long(bits) } else { entry }
    }

    /// Counts a decoded symbol.
    #[inline(always)]
    pub(crate) fn count(&mut self, symbol: usize) {
        self.frequencies[symbol & (SYMBOLS - 1)] += 1;
        self.until_rebuild -= 1;
        if self.until_rebuild == 0 {
            self.rebuild();
        }
    }

    #[inline(never)]
    fn long(&self, bits: u64) -> u32 {
        let prefix = (bits >> (64 - MAX_CODEWORD)) as u32;
        let mut length = ROOT_SIZE.ilog2() as usize + 1;
        for longer in length..MAX_CODEWORD {
            length += usize::from(prefix >= self.ends[longer]);
        }
        // Counted from the end of the length's codewords, which spares a table of their beginnings.
        let behind = (self.ends[length] - 1 - prefix) >> (MAX_CODEWORD - length);
        let rank = usize::from(self.ranks[length]) - 1 - behind as usize;
        self.templates[usize::from(self.sorted[rank])] + length as u32
    }

    #[inline(never)]
    fn rebuild(&mut self) {
        self.build();
        for frequency in &mut self.frequencies {
            *frequency = *frequency / 2 + 1;
        }
    }

    fn build(&mut self) {
        self.until_rebuild = self.period;
        let frequencies = &self.frequencies[..self.symbols];

        let mut counts = [[0_u16; COUNTED + 1]; 4];
        for four in frequencies.chunks(4) {
            for (counts, frequency) in counts.iter_mut().zip(four) {
                counts[usize::from(*frequency).min(COUNTED)] += 1;
            }
        }
        let mut groups = Groups::<SYMBOLS>::new();
        for frequency in 1..COUNTED {
            let count = counts.iter().map(|counts| counts[frequency]).sum();
            if count > 0 {
                groups.push(frequency as u16, count);
            }
        }
        // Frequency and symbol of the others.
        let mut frequent = [0_u32; SYMBOLS];
        let mut frequent_count = 0;
        for (symbol, frequency) in frequencies.iter().enumerate() {
            if usize::from(*frequency) >= COUNTED {
                frequent[frequent_count] = u32::from(*frequency) << 16 | symbol as u32;
                frequent_count += 1;
            }
        }
        let frequent = &mut frequent[..frequent_count];
        frequent.sort_unstable();
        for symbol in &*frequent {
            groups.push((symbol >> 16) as u16, 1);
        }
        let lengths_counts = groups.length_counts();

        // The rarest symbols have the longest codewords. Among the symbols of one frequency the first may have one bit
        // more than the others.
        let mut length = MAX_CODEWORD;
        let mut left = lengths_counts[length];
        let mut next = |count: u16| {
            while left == 0 && length > 1 {
                length -= 1;
                left = lengths_counts[length];
            }
            let longer = left.min(count);
            left -= longer;
            let first = length;
            if longer < count {
                length -= 1;
                debug_assert!(lengths_counts[length] >= count - longer, "equals differ by at most one bit");
                left = lengths_counts[length].saturating_sub(count - longer);
            }
            (longer, first)
        };
        // For each frequency, how many symbols have the longer codewords, and how long the others are.
        let mut cells = [(0_u16, 0_u8); COUNTED + 1];
        let mut lengths = [0_u8; SYMBOLS];
        for (weight, count) in groups.leaves() {
            if usize::from(weight) < COUNTED {
                let (longer, length) = next(count);
                cells[usize::from(weight)] = (longer, (length - 1) as u8);
            }
        }
        for (symbol, frequency) in frequencies.iter().enumerate() {
            let (longer, length) = &mut cells[usize::from(*frequency).min(COUNTED)];
            let is_longer = u16::from(*longer > 0);
            *longer -= is_longer;
            lengths[symbol] = *length + is_longer as u8;
        }
        for symbol in &*frequent {
            lengths[(symbol & 0xffff) as usize & (SYMBOLS - 1)] = next(1).1 as u8;
        }

        let (mut end, mut rank) = (0_u32, 0_u16);
        let mut next = [0_u16; 32];
        for bits in 1..=MAX_CODEWORD {
            next[bits] = rank;
            rank += lengths_counts[bits];
            end += u32::from(lengths_counts[bits]) << (MAX_CODEWORD - bits);
            self.ends[bits] = end;
            self.ranks[bits] = rank;
        }
        debug_assert_eq!((end, usize::from(rank)), (1 << MAX_CODEWORD, self.symbols));
        for (symbol, length) in lengths[..self.symbols].iter().enumerate() {
            let rank = &mut next[usize::from(*length & 31)];
            self.sorted[usize::from(*rank) & (SYMBOLS - 1)] = symbol as u16;
            *rank += 1;
        }

        // In canonical order the entries follow each other.
        let mut filled = 0;
        for bits in 1..=ROOT_SIZE.ilog2() as usize {
            let symbols = &self.sorted[usize::from(self.ranks[bits - 1])..usize::from(self.ranks[bits])];
            let run = ROOT_SIZE >> bits;
            let root = &mut self.root[filled..filled + run * symbols.len()];
            filled += root.len();
            let templates = self.templates;
            let entries =
                symbols.iter().map(|symbol| templates[usize::from(*symbol) & (SYMBOLS - 1)] + bits as u32);
            match run {
                1 => fill_runs::<1>(root, entries),
                2 => fill_runs::<2>(root, entries),
                4 => fill_runs::<4>(root, entries),
                8 => fill_runs::<8>(root, entries),
                16 => fill_runs::<16>(root, entries),
                _ => root.chunks_exact_mut(run).zip(entries).for_each(|(run, entry)| run.fill(entry)),
            }
        }
        self.root[filled..].fill(entry::LONG);
    }
}

fn fill_runs<const RUN: usize>(root: &mut [u32], entries: impl Iterator<Item = u32>) {
    for (run, entry) in root.as_chunks_mut::<RUN>().0.iter_mut().zip(entries) {
        *run = [entry; RUN];
    }
}

/// Huffman's algorithm on groups of nodes.
struct Groups<const SYMBOLS: usize> {
    /// Weights and counts, the lightest first.
    leaves: [(u16, u16); SYMBOLS],
    leaf_groups: usize,
}

/// Inner nodes, numbered by age, whose parents are consecutive too: two children each, or a single child.
#[derive(Clone, Copy, Default)]
struct Siblings {
    first: u16,
    count: u16,
    first_parent: u16,
}

impl<const SYMBOLS: usize> Groups<SYMBOLS> {
    fn new() -> Self {
        Self { leaves: [(0, 0); SYMBOLS], leaf_groups: 0 }
    }

    /// Adds a group that is no lighter than those before.
    fn push(&mut self, weight: u16, count: u16) {
        self.leaves[self.leaf_groups & (SYMBOLS - 1)] = (weight, count);
        self.leaf_groups += 1;
    }

    fn leaves(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        self.leaves[..self.leaf_groups].iter().copied()
    }

    /// How many codewords have each length.
    fn length_counts(&self) -> [u16; MAX_CODEWORD + 1] {
        // Two queues: leaves, and inner nodes by age, which is also by weight. Nodes of one weight are in one group, or
        // in groups directly behind each other.
        let mut leaves = self.leaves().peekable();
        let mut leaf = leaves.next().unwrap_or((u16::MAX, 0));
        let mut inner = [(0_u16, 0_u16); SYMBOLS];
        let (mut inner_first, mut inner_end) = (0, 0);
        let mut families = [Siblings::default(); SYMBOLS];
        let mut family_count = 0;
        let (mut taken, mut created) = (0_u16, 0_u16);
        macro_rules! create {
            ($weight:expr, $count:expr) => {
                inner[inner_end & (SYMBOLS - 1)] = ($weight, $count);
                inner_end += 1;
                created += $count;
            };
        }
        macro_rules! take_inner {
            ($count:expr) => {
                families[family_count & (SYMBOLS - 1)] =
                    Siblings { first: taken, count: $count, first_parent: created };
                family_count += 1;
                taken += $count;
            };
        }
        loop {
            let front =
                if inner_first < inner_end { inner[inner_first & (SYMBOLS - 1)] } else { (u16::MAX, 0) };
            // A single node of the group before, if any, is paired with the first of the lighter group.
            let is_leaf = leaf.1 > 0 && (front.1 == 0 || leaf.0 <= front.0);
            let (weight, count) = if is_leaf { leaf } else { front };
            if count == 0 {
                break;
            }
            let pairs = count / 2;
            if pairs > 0 {
                if !is_leaf {
                    take_inner!(2 * pairs);
                }
                create!(2 * weight, pairs);
            }
            let single = count % 2 == 1;
            if is_leaf {
                leaf = leaves.next().unwrap_or((u16::MAX, 0));
            } else {
                inner_first += 1;
            }
            if !single {
                continue;
            }
            let front =
                if inner_first < inner_end { inner[inner_first & (SYMBOLS - 1)] } else { (u16::MAX, 0) };
            let other_is_leaf = leaf.1 > 0 && (front.1 == 0 || leaf.0 <= front.0);
            let other = if other_is_leaf { &mut leaf } else { &mut inner[inner_first & (SYMBOLS - 1)] };
            if other.1 == 0 || !other_is_leaf && inner_first == inner_end {
                // The root.
                break;
            }
            other.1 -= 1;
            let (weight, left) = (weight + other.0, other.1);
            match (is_leaf, other_is_leaf) {
                (true, true) => {}
                (false, false) => {
                    take_inner!(2);
                }
                _ => {
                    take_inner!(1);
                }
            }
            if left == 0 {
                if other_is_leaf {
                    leaf = leaves.next().unwrap_or((u16::MAX, 0));
                } else {
                    inner_first += 1;
                }
            }
            create!(weight, 1);
        }

        // A level's inner nodes are consecutive, and so are their children, as depth only falls with age.
        let mut counts = [0; MAX_CODEWORD + 1];
        let (mut level, mut level_first) = (1_u16, created - 1);
        for count in &mut counts[1..] {
            let mut next_first = level_first;
            while family_count > 0 {
                let family = families[(family_count - 1) & (SYMBOLS - 1)];
                if family.first_parent >= level_first {
                    next_first = family.first;
                    family_count -= 1;
                    continue;
                }
                let above = 2 * (level_first - family.first_parent);
                if above < family.count {
                    next_first = family.first + above;
                    // What is left of it belongs to deeper levels.
                    families[(family_count - 1) & (SYMBOLS - 1)].count = above;
                }
                break;
            }
            let inner = level_first - next_first;
            *count = 2 * level - inner;
            (level, level_first) = (inner, next_first);
        }
        debug_assert_eq!(level, 0, "no codeword is longer than {MAX_CODEWORD} bits");
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    static TEMPLATES: [u32; 1024] = {
        let mut templates = [0; 1024];
        let mut symbol = 0;
        while symbol < 1024 {
            templates[symbol] = entry::template(symbol, 0);
            symbol += 1;
        }
        templates
    };

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u32) -> u32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 33) % u64::from(limit)) as u32
        }
    }

    fn check(code: &AdaptiveCode<1024, 64>, frequencies: &[u32]) {
        let lengths = reference::codeword_lengths(frequencies);
        let canonical = reference::huffman::Code::new(&lengths).expect("complete");
        for prefix in 0..1_u64 << 15 {
            let mut consumed = 0;
            let symbol = canonical
                .decode(|| {
                    consumed += 1;
                    Ok::<_, ()>((prefix >> (15 - consumed)) as u32 & 1)
                })
                .expect("a symbol");
            let entry = code.entry(prefix << 49);
            assert_eq!(
                (entry::symbol(entry), entry & 63),
                (symbol, consumed),
                "{prefix:015b} {frequencies:?}"
            );
        }
    }

    #[test]
    fn follows_the_frequencies_as_the_reference_does() {
        let mut random = Random(1);
        let mut code = AdaptiveCode::<1024, 64>::new(512, &TEMPLATES);
        for symbols in [2, 3, 4, 5, 7, 8, 17, 54, 64, 100, 256, 333, 799] {
            for skew in 0..5 {
                code.reset(symbols);
                let mut frequencies = vec![1_u32; symbols];
                check(&code, &frequencies);
                for _ in 0..8 {
                    for _ in 0..512 {
                        let mut symbol = random.below(symbols as u32);
                        for _ in 0..skew {
                            symbol = random.below(symbol + 1);
                        }
                        if skew == 4 && random.below(3) > 0 {
                            symbol = random.below(2);
                        }
                        frequencies[symbol as usize] += 1;
                        code.count(symbol as usize);
                    }
                    check(&code, &frequencies);
                    frequencies.iter_mut().for_each(|frequency| *frequency = *frequency / 2 + 1);
                }
            }
        }
    }

    #[test]
    fn the_deepest_codes() {
        // Weights that grow as fast as the sum allows make one codeword of each length.
        for symbols in 2..40 {
            for period in [512, 1024] {
                let mut code = AdaptiveCode::<1024, 64>::new(period, &TEMPLATES);
                code.reset(symbols);
                let mut frequencies = vec![1_u32; symbols];
                for _ in 0..12 {
                    let mut left = period;
                    let mut wanted = vec![1_u32; symbols];
                    for i in 3..symbols {
                        wanted[i] = wanted[i - 1] + wanted[i - 2] + u32::from(i == 3);
                    }
                    let mut order: Vec<usize> = (0..symbols).collect();
                    order.rotate_left(symbols / 3);
                    for (symbol, wanted) in order.iter().zip(wanted).take(17) {
                        let count = wanted.saturating_sub(frequencies[*symbol]).min(left);
                        for _ in 0..count {
                            code.count(*symbol);
                        }
                        frequencies[*symbol] += count;
                        left -= count;
                    }
                    for _ in 0..left {
                        code.count(order[symbols.min(17) - 1]);
                    }
                    frequencies[order[symbols.min(17) - 1]] += left;
                    check(&code, &frequencies);
                    frequencies.iter_mut().for_each(|frequency| *frequency = *frequency / 2 + 1);
                }
            }
        }
    }
}
