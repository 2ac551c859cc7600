//! Directories and view indexes: walking a B-tree in order, and finding a name in it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::file::File;
use super::stream::Stream;
use super::volume::Volume;
use super::{Budget, Error, Place, Result};
use crate::parse::{self, Entry, FileNameHead, Node, kind};

/// Levels of an index. One of 2^32 names has 7.
const MAX_DEPTH: usize = 24;
/// The name of the index of a directory.
const I30: [u16; 4] = [b'$' as u16, b'I' as u16, b'3' as u16, b'0' as u16];

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirEntry {
    /// Reference to the file.
    pub target: u64,
    /// The name in UTF-16.
    pub name: Box<[u16]>,
    /// Its namespace: 0 POSIX, 1 Win32, 2 DOS, 3 Win32 and DOS.
    pub namespace: u8,
    /// What the entry repeats of the file; it may be out of date.
    pub head: FileNameHead,
}

impl DirEntry {
    fn new(entry: &parse::FileNameEntry<'_>) -> Self {
        Self {
            target: entry.target,
            name: entry.name.name.to_units().into(),
            namespace: entry.name.head.namespace,
            head: entry.name.head,
        }
    }
}

/// An index of a file.
struct Index<'v> {
    volume: &'v Volume,
    file: u64,
    name: Box<[u16]>,
    root: Vec<u8>,
    blocks: Option<Stream>,
    block_size: u32,
}

/// What a visitor says after an entry.
type Visit<'f> = &'f mut dyn FnMut(&Entry<'_>, &Place) -> Result<()>;

impl<'v> Index<'v> {
    fn open(volume: &'v Volume, file: &File, name: &[u16]) -> Result<Self> {
        let number = file.number();
        let place = || Place::attribute(number, kind::INDEX_ROOT, name);
        let Some(root) = file.stream(volume, kind::INDEX_ROOT, name)? else {
            return Err(Error::not_found(place(), "no such index"));
        };
        // Resident by the format; records are at most 64 KiB.
        let root = root.read_all(volume, 64 << 10)?;
        let block_size = parse::root(&root).map_err(Error::fault(place()))?.block_size;
        if !block_size.is_power_of_two() || !(512..=64 << 10).contains(&block_size) {
            let reason =
                format!("blocks of {block_size:#x} bytes, expected a power of two in 0x200..=0x10000");
            return Err(Error::malformed(place(), reason));
        }
        let blocks = file.stream(volume, kind::INDEX_ALLOCATION, name)?;
        Ok(Self { volume, file: number, name: name.into(), root, blocks, block_size })
    }

    fn place(&self) -> Place {
        Place::attribute(self.file, kind::INDEX_ALLOCATION, &self.name)
    }

    /// The block at `vcn`, with its fixups undone, and where it lies.
    fn block(&self, vcn: u64, budget: &mut Budget) -> Result<(Vec<u8>, Place)> {
        let Some(blocks) = &self.blocks else {
            return Err(Error::malformed(self.place(), format!("no blocks, an entry leads to {vcn:#x}")));
        };
        let unit = u64::from(self.volume.boot().index_unit(self.block_size));
        let size = u64::from(self.block_size);
        let offset = vcn.checked_mul(unit).filter(|offset| {
            offset.is_multiple_of(unit.max(512))
                && offset.checked_add(size).is_some_and(|end| end <= blocks.size())
        });
        let Some(offset) = offset else {
            let reason =
                format!("an entry leads to block {vcn:#x}, expected one within {:#x}", blocks.size());
            return Err(Error::malformed(self.place(), reason));
        };
        budget.take(size, || self.place())?;
        let mut bytes = vec![0; self.block_size as usize];
        blocks.read(self.volume, offset, &mut bytes)?;
        let place = match blocks.place_on_volume(self.volume, offset) {
            Some(at) => self.place().at(at),
            None => self.place(),
        };
        if bytes.starts_with(b"INDX") {
            parse::unprotect(&mut bytes, "index block").map_err(Error::fault(place.clone()))?;
        }
        let own = parse::block(&bytes).map_err(Error::fault(place.clone()))?.vcn;
        if own != vcn {
            return Err(Error::malformed(place, format!("index block {own:#x} lies at {vcn:#x}")));
        }
        Ok((bytes, place))
    }

    /// Visits all entries in order.
    fn walk(&self, budget: &mut Budget, visit: Visit<'_>) -> Result<()> {
        let place = Place::attribute(self.file, kind::INDEX_ROOT, &self.name);
        let root = parse::root(&self.root).map_err(Error::fault(place.clone()))?;
        self.walk_node(&root.node, &place, 0, &mut BTreeSet::new(), budget, visit)
    }

    fn walk_node(
        &self,
        node: &Node<'_>,
        place: &Place,
        depth: usize,
        seen: &mut BTreeSet<u64>,
        budget: &mut Budget,
        visit: Visit<'_>,
    ) -> Result<()> {
        if depth == MAX_DEPTH {
            return Err(Error::limit(
                place.clone(),
                "levels of the index",
                depth as u64 + 1,
                MAX_DEPTH as u64,
            ));
        }
        for entry in node.entries() {
            let entry = entry.map_err(Error::fault(place.clone()))?;
            if let Some(vcn) = entry.child {
                if !seen.insert(vcn) {
                    return Err(Error::malformed(place.clone(), format!("leads to block {vcn:#x} twice")));
                }
                let (bytes, below) = self.block(vcn, budget)?;
                let block = parse::block(&bytes).map_err(Error::fault(below.clone()))?;
                self.walk_node(&block.node, &below, depth + 1, seen, budget, visit)?;
            }
            if !entry.is_last() {
                visit(&entry, place)?;
            }
        }
        Ok(())
    }
}

impl Volume {
    /// All names of a directory, in its order (by upper-cased name), short names included.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a file that is no directory; [`Error::Malformed`] when its index cannot be walked.
    pub fn entries(&self, directory: &File) -> Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        self.entries_within(directory, &mut entries, &mut Budget::new(u64::MAX))?;
        Ok(entries)
    }

    /// As [`entries`](Self::entries), for whoever walks many directories, and wants what there was before a fault.
    pub fn entries_within(
        &self,
        directory: &File,
        entries: &mut Vec<DirEntry>,
        budget: &mut Budget,
    ) -> Result<()> {
        Index::open(self, directory, &I30)?.walk(budget, &mut |entry, place| {
            let entry = entry.file_name().map_err(Error::fault(place.clone()))?;
            entries.push(DirEntry::new(&entry));
            Ok(())
        })
    }

    /// Visits key and data of all entries of a view index, in its order.
    pub(super) fn view_entries(
        &self,
        file: &File,
        name: &str,
        budget: &mut Budget,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<()> {
        let name: Vec<u16> = name.encode_utf16().collect();
        Index::open(self, file, &name)?.walk(budget, &mut |entry, place| {
            visit(entry.key, entry.view_data().map_err(Error::fault(place.clone()))?);
            Ok(())
        })
    }

    /// Finds a name in a directory by searching its B-tree: one block a level. The same spelling is preferred; otherwise
    /// one that the volume's upper-case table makes equal is found.
    pub fn lookup(&self, directory: &File, name: &[u16]) -> Result<Option<DirEntry>> {
        let index = Index::open(self, directory, &I30)?;
        let mut budget = Budget::new(u64::MAX);
        let mut place = Place::attribute(index.file, kind::INDEX_ROOT, &index.name);
        let mut bytes = Vec::new();
        let mut found = None;
        for depth in 0..MAX_DEPTH {
            let node = match depth {
                0 => parse::root(&index.root).map(|root| root.node),
                _ => parse::block(&bytes).map(|block| block.node),
            };
            let mut child = None;
            for entry in node.map_err(Error::fault(place.clone()))?.entries() {
                let entry = entry.map_err(Error::fault(place.clone()))?;
                child = entry.child;
                if entry.is_last() {
                    break;
                }
                let key = entry.file_name().map_err(Error::fault(place.clone()))?;
                let units = key.name.name.to_units();
                if self.fold_compare(name, &units) == Ordering::Equal
                    && (found.is_none() || *name == units[..])
                {
                    found = Some(DirEntry::new(&key));
                }
                match self.compare_names(name, &units) {
                    Ordering::Less => break,
                    Ordering::Equal => return Ok(found),
                    Ordering::Greater => {}
                }
            }
            let Some(vcn) = child else { return Ok(found) };
            (bytes, place) = index.block(vcn, &mut budget)?;
        }
        Err(Error::limit(place, "levels of the index", MAX_DEPTH as u64 + 1, MAX_DEPTH as u64))
    }

    /// The order of names that differ in more than case: `$UpCase` unit by unit, then the shorter first.
    fn fold_compare(&self, a: &[u16], b: &[u16]) -> Ordering {
        let upper = |unit: &u16| self.upcase(*unit);
        a.iter().map(upper).cmp(b.iter().map(upper))
    }

    /// Whether two names differ in nothing but case, as this volume's upper-case table has it.
    pub fn same_name(&self, a: &[u16], b: &[u16]) -> bool {
        self.fold_compare(a, b).is_eq()
    }

    /// The order of a directory: names that differ in case only are ordered by their units.
    pub fn compare_names(&self, a: &[u16], b: &[u16]) -> Ordering {
        self.fold_compare(a, b).then_with(|| a.cmp(b))
    }
}
