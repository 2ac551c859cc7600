use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use disk::{At, BlockMap, MappedRange, RangeKind, ReadAt};

use crate::cache::Caches;
use crate::descriptor::{DescribedExtent, Descriptor};
use crate::extent::{Form, Grain, SparseExtent};
use crate::files::fault_of_name;
use crate::layout::{Header, SECTOR};
use crate::open::{self, check_capacity, open_extent, own_descriptor};
use crate::{Error, Kind, Result, impossible};

/// The largest disk that a descriptor may describe, in sectors: 64 TiB. VMware's products end at 62.
const MAX_SECTORS: u64 = (64 << 40) / SECTOR;

/// Gives the file that a descriptor names: see [`Vmdk::open_with`].
pub type ExtentOpener<'a> = dyn FnMut(&str) -> io::Result<Arc<dyn ReadAt>> + 'a;

/// The disk that a snapshot differs from, as far as the snapshot says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentReference {
    /// Its content id when the snapshot was made.
    pub cid: u32,
    /// Where its descriptor was: a path of some system's. Never opened.
    pub hint: Option<String>,
}

/// An open VMDK: the disk inside, as something to read from.
pub struct Vmdk {
    kind: Kind,
    descriptor: Descriptor,
    pub(crate) extents: Vec<Extent>,
    caches: Caches,
    parent: Option<Arc<dyn BlockMap>>,
}

/// A part of the disk.
pub(crate) struct Extent {
    start: u64,
    pub(crate) len: u64,
    /// The file's name, where it is not the one that the caller opened.
    pub(crate) name: Option<String>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Zero,
    /// The raw disk, from byte `offset` of the file. That it lies in the file was checked.
    Flat {
        file: Arc<dyn ReadAt>,
        offset: u64,
    },
    Sparse(Box<SparseExtent>),
}

impl fmt::Debug for Vmdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vmdk")
            .field("kind", &self.kind)
            .field("header", &self.header())
            .field("descriptor", &self.descriptor)
            .finish_non_exhaustive()
    }
}

impl Vmdk {
    /// Opens a VMDK that is one file: streamOptimized or monolithicSparse. Checks header, footer, descriptor and grain
    /// directory; tables and grains are checked when they are read; all of them at once by [`check`](Self::check).
    ///
    /// Memory: the grain directory (at most 4 MiB), tables and grains in use (at most 4 MiB), and what the descriptor
    /// says. No other file is ever opened, whatever the descriptor names.
    ///
    /// # Errors
    /// [`Error::Malformed`]; [`Error::Unsupported`] for disks in several files and the formats of ESX; [`Error::Limit`];
    /// [`Error::Io`].
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self> {
        if let Some(descriptor) = open::open_descriptor(&*file)? {
            let names: Vec<_> =
                descriptor.extents.iter().map(|e| e.file.escape_debug().to_string()).collect();
            let kind = descriptor.create_type.escape_debug();
            let feature = format!("{kind} disk whose data is in other files ({})", names.join(", "));
            return Err(Error::Unsupported { at: At::new("VMDK descriptor", 0), feature });
        }
        Self::open_one_file(file)
    }

    /// Opens any VMDK. `open` is called once for each file that the descriptor names, and only with plain names: no
    /// directories, no devices. That the file beside the descriptor is nothing else, such as a link to somewhere, is the
    /// caller's to see.
    ///
    /// All files stay open; a caller whose system allows few open files hands in ones that open themselves when read.
    /// Memory is that of [`Vmdk::open`], whatever the number of files.
    ///
    /// # Errors
    /// As for [`Vmdk::open`], inside [`Error::Extent`] where it is about a file that the descriptor names.
    pub fn open_with(file: Arc<dyn ReadAt>, open: &mut ExtentOpener<'_>) -> Result<Self> {
        match open::open_descriptor(&*file)? {
            Some(descriptor) => Self::open_described(descriptor, open),
            None => Self::open_one_file(file),
        }
    }

    fn open_one_file(file: Arc<dyn ReadAt>) -> Result<Self> {
        let opened = open_extent(file, 0, 0)?;
        let (kind, descriptor) = own_descriptor(&opened)?;
        let len = descriptor.extents[0].sectors * SECTOR;
        let extent = Extent { start: 0, len, name: None, body: Body::Sparse(Box::new(opened.extent)) };
        Ok(Self::new(kind, descriptor, vec![extent]))
    }

    fn open_described(descriptor: Descriptor, open: &mut ExtentOpener<'_>) -> Result<Self> {
        let at = At::new("VMDK descriptor", 0);
        let malformed = |reason: String| Err(Error::malformed("VMDK descriptor", 0, reason));
        let create_type = descriptor.create_type.escape_debug();
        let kind = match Kind::from_create_type(&descriptor.create_type) {
            Some(kind) if kind.is_monolithic_file() => {
                return malformed(format!("createType {kind} outside of the disk's own file"));
            }
            Some(kind) => kind,
            None if descriptor.create_type.is_empty() => return malformed("no createType".to_owned()),
            None => {
                return Err(Error::Unsupported { at, feature: format!("createType {create_type}") });
            }
        };
        if descriptor.extents.is_empty() || (kind == Kind::MonolithicFlat && descriptor.extents.len() > 1) {
            let found = descriptor.extents.len();
            return malformed(format!("{found} extents of a {kind} disk"));
        }
        let (mut sectors, mut tables) = (0u64, 0);
        let mut files = BTreeMap::new();
        let mut extents = Vec::with_capacity(descriptor.extents.len());
        for (index, described) in descriptor.extents.iter().enumerate() {
            let extent_type = described.kind.escape_debug();
            if described.access == "NOACCESS" && described.kind != "ZERO" {
                let feature = format!("extent {index} that must not be read (NOACCESS)");
                return Err(Error::Unsupported { at, feature });
            }
            if !kind.takes_extent(&described.kind) {
                let feature = format!("extent {index} of type {extent_type} in a {kind} disk");
                return Err(Error::Unsupported { at, feature });
            }
            let start = sectors;
            sectors = sectors.saturating_add(described.sectors);
            if described.sectors == 0 {
                return malformed(format!("extent {index} of 0 sectors"));
            }
            if sectors > MAX_SECTORS {
                let what = "sectors of the disk";
                return Err(Error::Limit { at, what, found: sectors, limit: MAX_SECTORS });
            }
            let (name, body) = if described.kind == "ZERO" {
                (None, Body::Zero)
            } else {
                let name = &described.file;
                if let Some(fault) = fault_of_name(name) {
                    return malformed(format!("extent {index} \"{}\" {fault}", name.escape_debug()));
                }
                let body = open_body(described, index as u32, &mut tables, &mut files, open)
                    .map_err(Error::in_extent(name))?;
                (Some(name.clone()), body)
            };
            extents.push(Extent { start: start * SECTOR, len: described.sectors * SECTOR, name, body });
        }
        Ok(Self::new(kind, descriptor, extents))
    }

    fn new(kind: Kind, descriptor: Descriptor, extents: Vec<Extent>) -> Self {
        let grain = extents.iter().filter_map(Extent::sparse).map(SparseExtent::grain_bytes).max();
        Self { kind, descriptor, extents, caches: Caches::new(grain.unwrap_or(1)), parent: None }
    }

    /// What [`parent`](Self::parent) asks for: grains that are not in the snapshot are read from `parent`, whose content
    /// id is `cid`.
    ///
    /// # Errors
    /// [`Error::Impossible`] for the parent of another disk, or of none.
    pub fn with_parent(mut self, parent: Arc<dyn BlockMap>, cid: u32) -> Result<Self> {
        let Some(expected) = self.parent() else {
            return Err(impossible("the disk is no snapshot, and has no parent"));
        };
        if expected.cid != cid {
            return Err(impossible(format!(
                "the parent has content id {cid:08x}, the snapshot was made of {:08x}",
                expected.cid
            )));
        }
        let (size, expected) = (parent.size().map_err(Error::reading("VMDK parent", 0))?, self.disk_size());
        if size != expected {
            return Err(impossible(format!("the parent has {size} bytes, the snapshot has {expected}")));
        }
        self.parent = Some(parent);
        Ok(self)
    }

    /// Which kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Size in bytes of the disk: what the descriptor says. The capacity in a header may be rounded up to a whole grain.
    pub fn disk_size(&self) -> u64 {
        self.extents.last().map_or(0, |last| last.start + last.len)
    }

    /// The header of the first sparse extent, or its footer if it was streamed; flat disks and those of ESX have none.
    pub fn header(&self) -> Option<&Header> {
        self.extents.iter().find_map(|extent| match &extent.sparse()?.form {
            Form::Hosted { header, .. } => Some(header),
            Form::Cowd(_) => None,
        })
    }

    /// Whether tables and directory follow the grains, as in a file that was written front to back.
    pub fn is_streamed(&self) -> bool {
        let streamed = |extent: &SparseExtent| matches!(extent.form, Form::Hosted { streamed: true, .. });
        self.extents.iter().filter_map(Extent::sparse).any(streamed)
    }

    /// The descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The names of the files that the data is in, in disk order; none when it is in the one that was opened.
    pub fn extent_names(&self) -> impl Iterator<Item = &str> {
        self.extents.iter().filter_map(|extent| extent.name.as_deref())
    }

    /// The disk that this one differs from. Until it is given ([`with_parent`](Self::with_parent)), what is not in this file
    /// cannot be read.
    pub fn parent(&self) -> Option<ParentReference> {
        let (cid, hint) = (self.descriptor.parent_cid, self.descriptor.parent_hint.clone());
        (cid != u32::MAX).then_some(ParentReference { cid, hint })
    }

    /// The extent that holds byte `offset`, which is on the disk.
    fn extent_at(&self, offset: u64) -> &Extent {
        &self.extents[self.extents.partition_point(|extent| extent.start <= offset) - 1]
    }

    /// The disk that what is absent is read from, if there is one.
    fn absent(&self) -> io::Result<Option<&Arc<dyn BlockMap>>> {
        match (&self.parent, self.parent()) {
            (None, Some(missing)) => {
                let feature = format!(
                    "grain in the parent of a snapshot, the disk with CID {:08x}, which was not given",
                    missing.cid
                );
                Err(Error::Unsupported { at: At::new("VMDK", 0), feature }.into())
            }
            (parent, _) => Ok(parent.as_ref()),
        }
    }
}

/// Opens the file of an extent, and judges it.
fn open_body<'a>(
    described: &'a DescribedExtent,
    number: u32,
    tables: &mut u64,
    files: &mut BTreeMap<&'a str, Arc<dyn ReadAt>>,
    open: &mut ExtentOpener<'_>,
) -> Result<Body> {
    let name = described.file.as_str();
    let file = match files.get(name) {
        Some(file) => Arc::clone(file),
        None => {
            let file = open(name).map_err(Error::reading("VMDK extent", 0))?;
            files.insert(name, Arc::clone(&file));
            file
        }
    };
    if matches!(described.kind.as_str(), "FLAT" | "VMFS") {
        let len = file.size().map_err(Error::reading("VMDK extent", 0))?;
        let end = described.offset.checked_add(described.sectors).and_then(|end| end.checked_mul(SECTOR));
        if end.is_none_or(|end| end > len) {
            let (sectors, offset) = (described.sectors, described.offset);
            let reason = format!("{sectors} sectors from sector {offset}, the file ends at {len:#x}");
            return Err(Error::malformed("VMDK extent", offset.saturating_mul(SECTOR), reason));
        }
        return Ok(Body::Flat { file, offset: described.offset * SECTOR });
    }
    let extent = open_extent(file, number, *tables)?.extent;
    if matches!(extent.form, Form::Cowd(_)) != (described.kind == "VMFSSPARSE") {
        let expected = if described.kind == "VMFSSPARSE" { "COWD" } else { "KDMV" };
        return Err(Error::malformed(
            "VMDK header",
            0,
            format!("another sort of extent, expected \"{expected}\""),
        ));
    }
    check_capacity(described, &extent, 0)?;
    *tables += extent.form.tables();
    Ok(Body::Sparse(Box::new(extent)))
}

impl Extent {
    pub(crate) fn sparse(&self) -> Option<&SparseExtent> {
        match &self.body {
            Body::Sparse(extent) => Some(extent),
            Body::Zero | Body::Flat { .. } => None,
        }
    }

    /// An error about this extent's file.
    pub(crate) fn fault(&self, error: Error) -> Error {
        match &self.name {
            Some(name) => Error::in_extent(name)(error),
            None => error,
        }
    }
}

impl ReadAt for Vmdk {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.disk_size()) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the disk's end"));
        }
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let extent = self.extent_at(offset);
            let here = offset - extent.start;
            let len = (extent.len - here).min(buf.len() as u64) as usize;
            let len = match &extent.body {
                Body::Zero => {
                    buf[..len].fill(0);
                    len
                }
                Body::Flat { file, offset } => {
                    let at = offset + here;
                    file.read_exact_at(&mut buf[..len], at)
                        .map_err(Error::reading("VMDK extent", at))
                        .map_err(|error| extent.fault(error))?;
                    len
                }
                Body::Sparse(sparse) => {
                    let (read, absent) = sparse
                        .read(&self.caches, &mut buf[..len], here)
                        .map_err(|error| extent.fault(error))?;
                    if absent > 0 {
                        match self.absent()? {
                            Some(parent) => parent.read_exact_at(&mut buf[..absent], offset)?,
                            None => buf[..absent].fill(0),
                        }
                    }
                    read + absent
                }
            };
            offset += len as u64;
            buf = &mut buf[len..];
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk_size())
    }
}

impl BlockMap for Vmdk {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        if offset >= self.disk_size() {
            return Ok(None);
        }
        let extent = self.extent_at(offset);
        let here = offset - extent.start;
        // Where on the disk a range of the extent lies, as much of it as is the extent's.
        let range = |start: u64, end: u64, kind| {
            let end = end.min(extent.len);
            Ok(Some(MappedRange { start: extent.start + start, len: end.saturating_sub(start), kind }))
        };
        match &extent.body {
            Body::Zero => range(0, extent.len, RangeKind::Zero),
            Body::Flat { file, offset: first } => {
                // A flat file may have holes.
                let stored =
                    file.stored_at(first + here).map_err(Error::reading("VMDK extent", first + here));
                let Some(stored) = stored.map_err(|error| extent.fault(error))? else {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a flat extent became shorter"));
                };
                let end = stored.start.saturating_add(stored.len);
                range(stored.start.saturating_sub(*first), end.saturating_sub(*first), stored.kind)
            }
            Body::Sparse(sparse) => {
                let found = sparse.range_at(&self.caches, here).map_err(|error| extent.fault(error))?;
                match found {
                    (Grain::Stored(_), start, end) => range(start, end, RangeKind::Data),
                    (Grain::Zero, start, end) => range(start, end, RangeKind::Zero),
                    (Grain::Absent, start, end) => {
                        let Some(parent) = self.absent()? else { return range(start, end, RangeKind::Zero) };
                        let Some(inherited) = parent.range_at(offset)? else {
                            return Err(io::Error::new(
                                io::ErrorKind::UnexpectedEof,
                                "the parent ends early",
                            ));
                        };
                        let inherited_end =
                            inherited.start.saturating_add(inherited.len).saturating_sub(extent.start);
                        let start = start.max(inherited.start.saturating_sub(extent.start));
                        range(start, end.min(inherited_end), inherited.kind)
                    }
                }
            }
        }
    }
}
