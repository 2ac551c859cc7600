//! The adaptive Huffman codes of LZMS.
//!
//! A code is rebuilt every 512 or 1024 symbols, so building it must cost little more than the one pass over the
//! frequencies that cannot be avoided. Two observations help:
//!
//! * Most symbols of a large alphabet are equally rare. Huffman's algorithm is run on *groups* of nodes of equal weight:
//!   all nodes of a group are paired in one step. There are a few dozen steps instead of hundreds.
//! * Where neither branches nor loads can be predicted, there are none: the algorithm's two queues have their fronts in
//!   registers, and selects decide which is next.
//! * What a canonical code needs is how many codewords have each length, and an order of the symbols. So no tree is
//!   built; levels are counted, from the root down, as ranges of nodes.

use core::hint::select_unpredictable;

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

    /// The extra bits, out of the left-aligned bit string that the entry was looked up with.
    #[inline(always)]
    pub(crate) fn extra(entry: u32, bits: u64) -> u32 {
        (bits >> (entry.wrapping_neg() & 63)) as u32 & ((1 << (entry >> 8 & 31)) - 1)
    }
}

/// Frequencies below this are counted, the others are few (as the sum is limited) and sorted.
const COUNTED: usize = 64;

/// How many symbols can be as frequent as that: frequencies are halved, so their sum is below 2 * 1024 + 2 * 799.
const FREQUENT: usize = 64;

const CLASSES: usize = COUNTED + FREQUENT;

/// What building a code needs and nobody wants to clear every time.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// For each symbol: its frequency, if that is counted; else `COUNTED` and its rank among the frequent symbols.
    classes: [u8; 1024],
    groups: Groups,
    class_table: ClassTable,
}

impl Workspace {
    pub(crate) const fn new() -> Self {
        Self {
            classes: [0; 1024],
            groups: Groups::new(),
            class_table: ClassTable { length: [0; CLASSES], longer: [0; CLASSES], others: [0; CLASSES] },
        }
    }
}

/// The symbols of one class are equally frequent. Those of lower number may have a codeword that is one bit longer.
///
/// (Arrays, because counters that share a word are loaded together, and wait for the one that was just stored.)
#[derive(Clone, Debug)]
struct ClassTable {
    /// The length of the other codewords.
    length: [u8; CLASSES],
    /// How many symbols have the longer codeword, and were not passed from the front.
    longer: [u16; CLASSES],
    /// How many symbols have the other, and were not passed from the back.
    others: [u16; CLASSES],
}

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
    pub(crate) fn reset(&mut self, symbols: usize, workspace: &mut Workspace) {
        debug_assert!((2..=SYMBOLS).contains(&symbols));
        self.symbols = symbols;
        self.frequencies[..symbols].fill(1);
        self.build(workspace);
    }

    /// Looks a left-aligned bit string up.
    #[inline(always)]
    pub(crate) fn entry(&self, bits: u64) -> u32 {
        let entry = self.root[(bits >> (64 - ROOT_SIZE.ilog2())) as usize];
        if (entry as i32) < 0 { self.long(bits) } else { entry }
    }

    /// Counts a decoded symbol.
    #[inline(always)]
    pub(crate) fn count(&mut self, symbol: usize, workspace: &mut Workspace) {
        self.frequencies[symbol & (SYMBOLS - 1)] += 1;
        self.until_rebuild -= 1;
        if self.until_rebuild == 0 {
            self.rebuild(workspace);
        }
    }

    #[inline(never)]
    fn long(&self, bits: u64) -> u32 {
        let prefix = (bits >> (64 - MAX_CODEWORD)) as u32;
        let shortest = ROOT_SIZE.ilog2() as usize + 1;
        let too_short = self.ends[shortest..MAX_CODEWORD].iter().filter(|end| prefix >= **end).count();
        let length = shortest + too_short;
        // Counted from the end of the length's codewords, which spares a table of their beginnings.
        let behind = (self.ends[length] - 1 - prefix) >> (MAX_CODEWORD - length);
        let rank = usize::from(self.ranks[length]) - 1 - behind as usize;
        self.templates[usize::from(self.sorted[rank])] + length as u32
    }

    #[inline(never)]
    fn rebuild(&mut self, workspace: &mut Workspace) {
        self.build(workspace);
        for frequency in &mut self.frequencies[..self.symbols] {
            *frequency = *frequency / 2 + 1;
        }
    }

    fn build(&mut self, workspace: &mut Workspace) {
        self.until_rebuild = self.period;
        let frequencies = &self.frequencies[..self.symbols];
        let Workspace { classes, groups, class_table } = workspace;
        let classes = &mut classes[..self.symbols];

        for (class, frequency) in classes.iter_mut().zip(frequencies) {
            *class = (*frequency).min(COUNTED as u16) as u8;
        }
        let mut frequent = [0_u32; FREQUENT];
        let mut frequent_count = 0;
        for (group, eight) in classes.chunks(8).enumerate() {
            let mut found = match eight.first_chunk() {
                Some(eight) => u64::from_le_bytes(*eight) & (0x0101_0101_0101_0101 * COUNTED as u64),
                None => {
                    eight.iter().rev().fold(0, |found, class| found << 8 | u64::from(*class) & COUNTED as u64)
                }
            };
            while found != 0 {
                let symbol = 8 * group + (found.trailing_zeros() / 8) as usize;
                frequent[frequent_count & (FREQUENT - 1)] =
                    u32::from(frequencies[symbol]) << 16 | symbol as u32;
                frequent_count += 1;
                found &= found - 1;
            }
        }
        debug_assert!(frequent_count < FREQUENT);
        let frequent = &mut frequent[..frequent_count & (FREQUENT - 1)];
        frequent.sort_unstable();

        // Several sets of counters, because equals follow each other and would wait for one.
        let mut counts = [[0_u16; CLASSES]; 4];
        let (fours, rest) = classes.as_chunks::<4>();
        for four in fours {
            for (counts, class) in counts.iter_mut().zip(four) {
                counts[usize::from(*class) & (CLASSES - 1)] += 1;
            }
        }
        for class in rest {
            counts[0][usize::from(*class) & (CLASSES - 1)] += 1;
        }
        groups.leaf_groups = 0;
        for frequency in 1..COUNTED {
            let count = counts.iter().map(|counts| counts[frequency]).sum();
            if count > 0 {
                groups.push(frequency as u16, count);
            }
        }
        let counted_groups = groups.leaf_groups;
        for (rank, frequent) in frequent.iter().enumerate() {
            groups.push((frequent >> 16) as u16, 1);
            classes[(frequent & 0xFFFF) as usize] = (COUNTED + rank) as u8;
        }
        let length_counts = groups.length_counts();

        // The rarest symbols have the longest codewords.
        let mut length = MAX_CODEWORD;
        let mut left = length_counts[length];
        for (rank, (frequency, count)) in groups.leaves().enumerate() {
            while left == 0 && length > 1 {
                length -= 1;
                left = length_counts[length];
            }
            let longer = left.min(count);
            left -= longer;
            let others = count - longer;
            let length_of_others = length as u8 - 1;
            if others > 0 {
                length -= 1;
                debug_assert!(length_counts[length] >= others, "equals differ by at most one bit");
                left = length_counts[length].wrapping_sub(others);
            }
            let class =
                if rank < counted_groups { usize::from(frequency) } else { COUNTED + rank - counted_groups };
            let class = class & (CLASSES - 1);
            class_table.length[class] = length_of_others;
            class_table.longer[class] = longer;
            class_table.others[class] = others;
        }

        let (mut end, mut rank) = (0_u32, 0_u16);
        // The next place in the order for a symbol from the front, and behind that for one from the back.
        let (mut first, mut behind) = ([0_u16; 32], [0_u16; 32]);
        for bits in 1..=MAX_CODEWORD {
            first[bits] = rank;
            rank += length_counts[bits];
            behind[bits] = rank;
            end += u32::from(length_counts[bits]) << (MAX_CODEWORD - bits);
            self.ends[bits] = end;
            self.ranks[bits] = rank;
        }
        debug_assert_eq!((end, usize::from(rank)), (1 << MAX_CODEWORD, self.symbols));

        // From both ends at once, because equals follow each other and wait for their counters.
        macro_rules! from_front {
            ($symbol:expr) => {
                let class = usize::from(classes[$symbol]) & (CLASSES - 1);
                let is_longer = u16::from(class_table.longer[class] > 0);
                class_table.longer[class] -= is_longer;
                let place = &mut first[usize::from(class_table.length[class] + is_longer as u8) & 31];
                self.sorted[usize::from(*place) & (SYMBOLS - 1)] = $symbol as u16;
                *place += 1;
            };
        }
        macro_rules! from_back {
            ($symbol:expr) => {
                let class = usize::from(classes[$symbol]) & (CLASSES - 1);
                let is_other = u16::from(class_table.others[class] > 0);
                class_table.others[class] -= is_other;
                let place = &mut behind[usize::from(class_table.length[class] + 1 - is_other as u8) & 31];
                *place -= 1;
                self.sorted[usize::from(*place) & (SYMBOLS - 1)] = $symbol as u16;
            };
        }
        let middle = classes.len() / 2;
        for i in 0..middle {
            let mirrored = classes.len() - 1 - i;
            from_front!(i);
            from_back!(mirrored);
        }
        if classes.len() % 2 == 1 {
            from_front!(middle);
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

/// Huffman's algorithm on groups of nodes. Each group is a number: weight in the upper half, count in the lower.
#[derive(Clone, Debug)]
struct Groups {
    /// The lightest first.
    leaves: [u32; CLASSES],
    leaf_groups: usize,
    /// Oldest first, which is also lightest first.
    inner_queue: [u32; 1024],
    families: [Siblings; 1024],
}

/// The end of a queue: a group that is heavier than all, and empty.
const END: u32 = 0xFFFF_0000;

/// Inner nodes, numbered by age, whose parents are consecutive too: two children each, or a single child.
#[derive(Clone, Copy, Debug)]
struct Siblings {
    first: u16,
    count: u16,
    first_parent: u16,
}

impl Groups {
    const fn new() -> Self {
        Self {
            leaves: [0; CLASSES],
            leaf_groups: 0,
            inner_queue: [0; 1024],
            families: [Siblings { first: 0, count: 0, first_parent: 0 }; 1024],
        }
    }

    /// Adds a group that is no lighter than those before.
    fn push(&mut self, weight: u16, count: u16) {
        self.leaves[self.leaf_groups & (CLASSES - 1)] = u32::from(weight) << 16 | u32::from(count);
        self.leaf_groups += 1;
    }

    /// Weights and counts.
    fn leaves(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        self.leaves[..self.leaf_groups.min(CLASSES)].iter().map(|group| ((group >> 16) as u16, *group as u16))
    }

    /// How many codewords have each length.
    ///
    /// Two queues, leaves and inner nodes, of which the lighter front is next; leaves first. Which that is, and whether
    /// its group is odd, is as good as random, so nothing branches on it.
    fn length_counts(&mut self) -> [u16; MAX_CODEWORD + 1] {
        let Self { leaves, leaf_groups, inner_queue, families } = self;
        debug_assert!(*leaf_groups < CLASSES);
        leaves[*leaf_groups & (CLASSES - 1)] = END;
        inner_queue[0] = END;
        // The fronts, and where they are from. A group that has lost a node is so only here.
        let (mut leaf, mut leaf_at) = (leaves[0], 0);
        let (mut inner, mut inner_at, mut inner_end) = (END, 0, 0);
        let mut family_count = 0;
        let (mut taken, mut created) = (0_u32, 0_u32);
        // Inner nodes become children, and new ones are created.
        macro_rules! join {
            ($children:expr, $weight:expr, $count:expr) => {
                let (children, count): (u32, u32) = ($children, $count);
                families[family_count & 1023] =
                    Siblings { first: taken as u16, count: children as u16, first_parent: created as u16 };
                family_count += usize::from(children > 0);
                taken += children;
                inner_queue[inner_end & 1023] = ($weight) << 16 | count;
                inner_end += usize::from(count > 0);
                inner_queue[inner_end & 1023] = END;
                created += count;
            };
        }
        loop {
            let is_inner = inner >> 16 < leaf >> 16;
            let group = select_unpredictable(is_inner, inner, leaf);
            let (weight, count) = (group >> 16, group & 0xFFFF);
            if count == 0 {
                break;
            }
            let pairs = count / 2;
            join!(select_unpredictable(is_inner, 2 * pairs, 0), 2 * weight, pairs);
            leaf = select_unpredictable(is_inner, leaf, leaves[(leaf_at + 1) & (CLASSES - 1)]);
            leaf_at += usize::from(!is_inner);
            let same = select_unpredictable(inner == END, inner_queue[inner_at & 1023], inner);
            inner = select_unpredictable(is_inner, inner_queue[(inner_at + 1) & 1023], same);
            inner_at += usize::from(is_inner);

            // The odd one, if there is one, is joined with the next.
            let odd = count & 1;
            let other_is_inner = inner >> 16 < leaf >> 16;
            let other = select_unpredictable(other_is_inner, inner, leaf);
            if odd == 1 && other & 0xFFFF == 0 {
                // It is the root.
                break;
            }
            let used_up = (odd == 1) & (other & 0xFFFF == 1);
            let children = odd * (u32::from(is_inner) + u32::from(other_is_inner));
            join!(children, weight + (other >> 16), odd);
            let rest = leaf - (odd & u32::from(!other_is_inner));
            let leaf_used_up = used_up & !other_is_inner;
            leaf = select_unpredictable(leaf_used_up, leaves[(leaf_at + 1) & (CLASSES - 1)], rest);
            leaf_at += usize::from(leaf_used_up);
            let rest = inner - (odd & u32::from(other_is_inner));
            let same = select_unpredictable(inner == END, inner_queue[inner_at & 1023], rest);
            let inner_used_up = used_up & other_is_inner;
            inner = select_unpredictable(inner_used_up, inner_queue[(inner_at + 1) & 1023], same);
            inner_at += usize::from(inner_used_up);
        }

        let created = created as u16;
        // A level's inner nodes are consecutive, and so are their children, as depth only falls with age.
        let mut counts = [0; MAX_CODEWORD + 1];
        let (mut level, mut level_first) = (1_u16, created - 1);
        for count in &mut counts[1..] {
            let mut next_first = level_first;
            while family_count > 0 {
                let family = families[(family_count - 1) & 1023];
                if family.first_parent >= level_first {
                    next_first = family.first;
                    family_count -= 1;
                    continue;
                }
                let above = 2 * (level_first - family.first_parent);
                if above < family.count {
                    next_first = family.first + above;
                    // What is left of it belongs to deeper levels.
                    families[(family_count - 1) & 1023].count = above;
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
        let workspace = &mut Workspace::new();
        let mut random = Random(1);
        let mut code = AdaptiveCode::<1024, 64>::new(512, &TEMPLATES);
        for symbols in [2, 3, 4, 5, 7, 8, 17, 54, 64, 100, 256, 333, 799] {
            for skew in 0..5 {
                code.reset(symbols, workspace);
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
                        code.count(symbol as usize, workspace);
                    }
                    check(&code, &frequencies);
                    frequencies.iter_mut().for_each(|frequency| *frequency = *frequency / 2 + 1);
                }
            }
        }
    }

    #[test]
    fn the_deepest_codes() {
        let workspace = &mut Workspace::new();
        // Weights that grow as fast as the sum allows make one codeword of each length.
        for symbols in 2..40 {
            for period in [512, 1024] {
                let mut code = AdaptiveCode::<1024, 64>::new(period, &TEMPLATES);
                code.reset(symbols, workspace);
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
                            code.count(*symbol, workspace);
                        }
                        frequencies[*symbol] += count;
                        left -= count;
                    }
                    for _ in 0..left {
                        code.count(order[symbols.min(17) - 1], workspace);
                    }
                    frequencies[order[symbols.min(17) - 1]] += left;
                    check(&code, &frequencies);
                    frequencies.iter_mut().for_each(|frequency| *frequency = *frequency / 2 + 1);
                }
            }
        }
    }
}
