use std::ops::Range;
use std::sync::Arc;

/// [`Label::node`] of an extent that belongs to no file.
pub const NO_NODE: u32 = u32::MAX;

/// What a range of the disk is, for people: `explain` prints it, the checkers' tests corrupt one extent of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// The structure, in the words of its format.
    pub kind: &'static str,
    /// The planner's number of the file it belongs to, or [`NO_NODE`].
    pub node: u32,
}

impl Label {
    /// A label for a structure that belongs to no file.
    pub const fn new(kind: &'static str) -> Self {
        Self { kind, node: NO_NODE }
    }

    /// A label for a structure of file `node`.
    pub const fn of(kind: &'static str, node: u32) -> Self {
        Self { kind, node }
    }
}

/// What fills an extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Zeros, never stored where the container can leave them out.
    Zero,
    /// Constant bytes, from `offset` in them.
    Bytes {
        /// The bytes; the extent may cover a part only.
        bytes: Arc<[u8]>,
        /// Where in `bytes` the extent begins.
        offset: u64,
    },
    /// Bytes that a planner renders when their turn comes (records, index blocks, bitmaps), so that they are never all
    /// held at once.
    Made {
        /// Which planner, as the map's owner numbers them.
        maker: u32,
        /// The offset to hand to the planner.
        offset: u64,
    },
    /// A slice of a blob of the source.
    Blob {
        /// The source's number of the blob.
        blob: u32,
        /// Where in the blob the extent begins.
        offset: u64,
    },
}

impl Content {
    /// Constant bytes, from their start.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes { bytes: bytes.into(), offset: 0 }
    }

    /// The same content, `by` bytes further on.
    fn advanced(&self, by: u64) -> Self {
        match *self {
            Self::Zero => Self::Zero,
            Self::Bytes { ref bytes, offset } => {
                Self::Bytes { bytes: Arc::clone(bytes), offset: offset + by }
            }
            Self::Made { maker, offset } => Self::Made { maker, offset: offset + by },
            Self::Blob { blob, offset } => Self::Blob { blob, offset: offset + by },
        }
    }
}

/// A labelled range of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// What fills it.
    pub content: Content,
    /// What it is.
    pub label: Label,
}

impl Extent {
    /// The byte after the last.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// A piece of an extent, cut to a range that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// What fills it.
    pub content: PieceContent<'a>,
    /// The label of the extent it is cut from.
    pub label: Label,
}

/// What fills a [`Piece`]: as [`Content`], with offsets moved to the piece's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceContent<'a> {
    /// Zeros.
    Zero,
    /// Exactly the piece's bytes.
    Bytes(&'a [u8]),
    /// See [`Content::Made`].
    Made {
        /// Which planner.
        maker: u32,
        /// The offset to hand to it.
        offset: u64,
    },
    /// See [`Content::Blob`].
    Blob {
        /// The source's number of the blob.
        blob: u32,
        /// Where in the blob the piece begins.
        offset: u64,
    },
}

/// A disk, or a part of one, as a value: labelled extents, sorted, without gaps, from byte 0 to [`len`](Self::len).
///
/// Built by appending. Adjacent zero extents merge, so a map is as long as its content, not as its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtentMap {
    extents: Vec<Extent>,
}

impl ExtentMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// The length in bytes of what is mapped.
    pub fn len(&self) -> u64 {
        self.extents.last().map_or(0, Extent::end)
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// The extents, in order.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Appends `len` bytes. Nothing happens when `len` is 0.
    ///
    /// # Panics
    /// When constant bytes are shorter than the extent, or the map's length would pass 2^64: the planner is broken.
    pub fn push(&mut self, len: u64, content: Content, label: Label) {
        if len == 0 {
            return;
        }
        if let Content::Bytes { bytes, offset } = &content {
            assert!(
                offset.checked_add(len).is_some_and(|end| end <= bytes.len() as u64),
                "{label:?}: constant too short"
            );
        }
        let start = self.len();
        assert!(start.checked_add(len).is_some(), "{label:?}: map longer than 2^64");
        match self.extents.last_mut() {
            Some(last) if last.content == Content::Zero && content == Content::Zero => last.len += len,
            _ => self.extents.push(Extent { start, len, content, label }),
        }
    }

    /// Appends zeros up to byte `offset`.
    ///
    /// # Panics
    /// When the map is already longer.
    pub fn pad_to(&mut self, offset: u64) {
        let len = offset.checked_sub(self.len()).expect("padding goes forward");
        self.push(len, Content::Zero, Label::new("free"));
    }

    /// Appends a whole map, for instance a volume into its partition. `relabel` sees every extent's content and label
    /// and returns what they are in this map (makers and blobs renumbered).
    pub fn append(&mut self, other: ExtentMap, mut relabel: impl FnMut(Content, Label) -> (Content, Label)) {
        self.extents.reserve(other.extents.len());
        for extent in other.extents {
            let (content, label) = relabel(extent.content, extent.label);
            self.push(extent.len, content, label);
        }
    }

    /// The pieces that make up `range`, in order and without gaps.
    ///
    /// # Panics
    /// When the range does not lie inside the map.
    pub fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = Piece<'_>> {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} outside the map");
        let first = self.extents.partition_point(|extent| extent.end() <= range.start);
        self.extents[first..].iter().take_while(move |extent| extent.start < range.end).map(move |extent| {
            let start = extent.start.max(range.start);
            let len = extent.end().min(range.end) - start;
            let skipped = start - extent.start;
            let content = match &extent.content {
                Content::Zero => PieceContent::Zero,
                Content::Bytes { bytes, offset } => {
                    let from = (offset + skipped) as usize;
                    PieceContent::Bytes(&bytes[from..from + len as usize])
                }
                Content::Made { maker, offset } => {
                    PieceContent::Made { maker: *maker, offset: offset + skipped }
                }
                Content::Blob { blob, offset } => {
                    PieceContent::Blob { blob: *blob, offset: offset + skipped }
                }
            };
            Piece { start, len, content, label: extent.label }
        })
    }

    /// The ranges that a container with blocks of `granularity` bytes must store: every block that holds anything but
    /// [`Content::Zero`], neighbours merged, the last cut to the disk's end.
    ///
    /// # Panics
    /// When `granularity` is 0.
    pub fn allocated(&self, granularity: u64) -> Allocated<'_> {
        assert!(granularity > 0, "granularity 0");
        Allocated { extents: self.extents.iter(), granularity, end: self.len(), pending: None }
    }

    /// The same bytes in a map whose extents are cut at `at`: bytes before it, bytes from it on.
    ///
    /// # Panics
    /// When `at` lies outside the map.
    pub fn split(mut self, at: u64) -> (ExtentMap, ExtentMap) {
        assert!(at <= self.len(), "{at:#x} outside the map");
        let first = self.extents.partition_point(|extent| extent.end() <= at);
        let mut back = ExtentMap::new();
        for extent in self.extents.drain(first..).collect::<Vec<_>>() {
            let before = at.saturating_sub(extent.start);
            let after = extent.content.advanced(before);
            back.push(extent.len - before, after, extent.label);
            self.push(before, extent.content, extent.label);
        }
        (self, back)
    }
}

/// See [`ExtentMap::allocated`].
#[derive(Clone, Debug)]
pub struct Allocated<'a> {
    extents: std::slice::Iter<'a, Extent>,
    granularity: u64,
    end: u64,
    pending: Option<Range<u64>>,
}

impl Iterator for Allocated<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        for extent in self.extents.by_ref() {
            if extent.content == Content::Zero {
                continue;
            }
            let start = extent.start / self.granularity * self.granularity;
            let end = extent.end().div_ceil(self.granularity).saturating_mul(self.granularity).min(self.end);
            match &mut self.pending {
                Some(pending) if start <= pending.end => pending.end = end,
                pending => {
                    if let Some(done) = pending.replace(start..end) {
                        return Some(done);
                    }
                }
            }
        }
        self.pending.take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const L: Label = Label::new("test");

    fn sample() -> ExtentMap {
        let mut map = ExtentMap::new();
        map.push(10, Content::bytes(&b"0123456789abcdef"[..]), L);
        map.pad_to(100);
        map.push(0, Content::Zero, L);
        map.push(50, Content::Blob { blob: 7, offset: 1000 }, L);
        map.push(50, Content::Made { maker: 1, offset: 0 }, L);
        map.push(20, Content::Zero, L);
        map.push(20, Content::Zero, L);
        map
    }

    #[test]
    fn zeros_merge_and_nothing_is_lost() {
        let map = sample();
        assert_eq!(map.len(), 240);
        assert_eq!(map.extents().len(), 5);
    }

    #[test]
    fn pieces_are_cut_to_the_range() {
        let map = sample();
        let pieces: Vec<_> = map.pieces(5..120).collect();
        assert_eq!(pieces[0].content, PieceContent::Bytes(b"56789"));
        assert_eq!((pieces[1].start, pieces[1].len), (10, 90));
        assert_eq!((pieces[2].content, pieces[2].len), (PieceContent::Blob { blob: 7, offset: 1000 }, 20));
        assert_eq!(pieces.len(), 3);
        assert_eq!(
            map.pieces(120..160).next().map(|p| p.content),
            Some(PieceContent::Blob { blob: 7, offset: 1020 })
        );
        assert_eq!(map.pieces(240..240).count(), 0);
    }

    #[test]
    fn allocated_rounds_to_blocks_and_cuts_at_the_end() {
        let map = sample();
        assert_eq!(map.allocated(1).collect::<Vec<_>>(), [0..10, 100..200]);
        let mut coarse = map.allocated(64);
        assert_eq!((coarse.next(), coarse.next()), (Some(0..240), None));
        assert_eq!(map.allocated(32).collect::<Vec<_>>(), [0..32, 96..224]);
        assert_eq!(ExtentMap::new().allocated(64).count(), 0);
    }

    proptest! {
        #[test]
        fn splitting_and_appending_gives_the_same_disk(at in 0u64..=240) {
            let (mut front, back) = sample().split(at);
            prop_assert_eq!(front.len(), at);
            front.append(back, |content, label| (content, label));
            let whole = sample();
            for byte in 0..240 {
                let (a, b) = (front.pieces(byte..byte + 1).next(), whole.pieces(byte..byte + 1).next());
                prop_assert_eq!(a.unwrap().content, b.unwrap().content);
            }
        }
    }
}
