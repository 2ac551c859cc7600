//! What each container is asked: to open its file and its parents, what it says of itself, whether its structure is sound,
//! and what others will make of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{BlockMap, Guid, RawDisk, SectorSize};
use serde::Serialize;

use super::chain::{self, MAX_CHAIN, Parents};
use super::kind::{FileKind, unsupported};
use super::{Container, as_map};
use crate::output::same_file;
use crate::{Error, Result};

/// The containers that are read.
#[derive(Clone)]
pub(super) enum Held {
    Raw(Arc<RawDisk<Arc<std::fs::File>>>),
    Vhd(Arc<vhd::Vhd>),
    Vhdx(Arc<vhdx::Vhdx>),
    Vmdk(Arc<vmdk::Vmdk>),
    Vdi(Arc<vdi::Vdi>),
    Qcow2(Arc<qcow2::Qcow2>),
    /// No file holds it yet.
    Planned(Arc<dyn BlockMap>),
}

/// What the check of a container counted. That it found no fault goes without saying: a fault is an error.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ContainerCheck {
    /// The format.
    pub format: String,
    /// What it counted, as name and number.
    #[serde(serialize_with = "as_map")]
    pub counts: Vec<(&'static str, u64)>,
}

/// What a differencing disk knows its parent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Guid(Guid),
    ContentId(u32),
    Vdi(vdi::Identity),
    Unknown,
}

/// A file opened as what it is, and the files below it, the nearest first.
pub(super) struct Opened {
    pub(super) held: Held,
    pub(super) chain: Vec<PathBuf>,
    /// Its other files, extents of a VMDK.
    pub(super) beside: Vec<PathBuf>,
}

impl Opened {
    /// Opens a disk; anything without a signature is taken for a raw disk.
    pub(super) fn open(path: &Path, parents: &Parents) -> Result<Self> {
        Self::open_link(path, parents, &[])
    }

    /// Opens a disk that is the parent of those in `above`, the nearest last.
    fn open_link(path: &Path, parents: &Parents, above: &[&Path]) -> Result<Self> {
        let unsupported_as = |what: String| Err(Error::Unsupported { path: path.to_owned(), what });
        if above.len() > MAX_CHAIN {
            return unsupported_as(format!("is the parent of more than {MAX_CHAIN} disks"));
        }
        let failed = |source| Error::Container { path: path.to_owned(), source };
        let (kind, file) = FileKind::of(path)?;
        let (mut chain, mut beside) = (Vec::new(), Vec::new());
        let any = |_: &Path| Ok(());
        let held = match kind {
            FileKind::Wim => {
                return unsupported_as("is a WIM, not a disk; `wimforge build` makes one of it".to_owned());
            }
            FileKind::Iso => {
                let what = "is an ISO image, not a disk; `wimforge build` makes one of the WIM in it";
                return unsupported_as(what.to_owned());
            }
            FileKind::Vhd => {
                let open = || vhd::Vhd::open(file.clone());
                let mut vhd = open().map_err(failed)?;
                if let Some(parent) = vhd.parent() {
                    let names = [&parent.relative_path, &parent.absolute_path, &parent.url];
                    let names = names.into_iter().flatten().chain([&parent.name]);
                    let names: Vec<&str> =
                        names.map(String::as_str).filter(|name| !name.is_empty()).collect();
                    let found = Parent::find(path, (parents, &any), &names, above, |found| {
                        let Identity::Guid(id) = found.identity else { return Err("is no VHD".to_owned()) };
                        let child = open().map_err(|error| error.to_string())?;
                        child.with_parent(found.disk.clone(), id).map_err(|error| error.to_string())
                    })?;
                    (vhd, chain) = found;
                }
                Held::Vhd(Arc::new(vhd))
            }
            FileKind::Vhdx => {
                let open = || vhdx::Vhdx::open(file.clone());
                let mut vhdx = open().map_err(failed)?;
                if let Some(parent) = vhdx.parent() {
                    let names = [&parent.relative_path, &parent.absolute_path, &parent.volume_path];
                    let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
                    let found = Parent::find(path, (parents, &any), &names, above, |found| {
                        let Identity::Guid(id) = found.identity else {
                            return Err("is no VHDX".to_owned());
                        };
                        let child = open().map_err(|error| error.to_string())?;
                        child.with_parent(found.disk.clone(), id).map_err(|error| error.to_string())
                    })?;
                    (vhdx, chain) = found;
                }
                Held::Vhdx(Arc::new(vhdx))
            }
            FileKind::Vmdk => {
                let mut names = Vec::new();
                let mut open = || {
                    vmdk::Vmdk::open_with(file.clone(), &mut |name| {
                        names.push(path.with_file_name(name));
                        chain::open_beside(path, name)
                    })
                };
                let mut vmdk = open().map_err(failed)?;
                if let Some(parent) = vmdk.parent() {
                    let hint = parent.hint.as_deref();
                    let found = Parent::find(path, (parents, &any), hint.as_slice(), above, |found| {
                        let Identity::ContentId(cid) = found.identity else {
                            return Err("is no VMDK".to_owned());
                        };
                        let child = open().map_err(|error| error.to_string())?;
                        child.with_parent(found.disk.clone(), cid).map_err(|error| error.to_string())
                    })?;
                    (vmdk, chain) = found;
                }
                names.sort();
                names.dedup();
                beside = names;
                Held::Vmdk(Arc::new(vmdk))
            }
            FileKind::Vdi => {
                let open = || vdi::Vdi::open(file.clone());
                let mut vdi = open().map_err(failed)?;
                if vdi.parent().is_some() {
                    // It knows its parent by its ids alone. A file is asked for them before its own parents are looked for:
                    // of those that were given any may be anybody's.
                    let fits = |candidate: &Path| {
                        let (FileKind::Vdi, file) =
                            FileKind::of(candidate).map_err(|error| error.to_string())?
                        else {
                            return Err("is no VDI".to_owned());
                        };
                        let parent = vdi::Vdi::open(file).map_err(|error| error.to_string())?;
                        let (identity, child) =
                            (parent.identity(), open().map_err(|error| error.to_string())?);
                        child
                            .with_parent(Arc::new(parent), identity)
                            .map(drop)
                            .map_err(|error| error.to_string())
                    };
                    let found = Parent::find(path, (parents, &fits), &[], above, |found| {
                        let Identity::Vdi(id) = found.identity else { return Err("is no VDI".to_owned()) };
                        let child = open().map_err(|error| error.to_string())?;
                        child.with_parent(found.disk.clone(), id).map_err(|error| error.to_string())
                    })?;
                    (vdi, chain) = found;
                }
                Held::Vdi(Arc::new(vdi))
            }
            FileKind::Qcow2 => {
                let open = || qcow2::Qcow2::open(file.clone());
                let mut qcow2 = open().map_err(failed)?;
                if let Some(parent) = qcow2.parent() {
                    let name = parent.name.clone();
                    let found = Parent::find(path, (parents, &any), &[&name], above, |found| {
                        let child = open().map_err(|error| error.to_string())?;
                        child.with_parent(found.disk.clone()).map_err(|error| error.to_string())
                    })?;
                    (qcow2, chain) = found;
                }
                Held::Qcow2(Arc::new(qcow2))
            }
            FileKind::Raw => {
                let reading = |source| Error::Read { path: path.to_owned(), source };
                if let Some(what) = unsupported(file.as_ref()).map_err(reading)? {
                    return unsupported_as(what.to_owned());
                }
                Held::Raw(Arc::new(RawDisk(file)))
            }
        };
        Ok(Self { held, chain, beside })
    }
}

/// Whether a file may be the parent of a disk, or why not, by what it says of itself alone.
type Fits<'f> = &'f dyn Fn(&Path) -> Result<(), String>;

/// A file that may be the parent of a disk.
struct Parent {
    disk: Arc<dyn BlockMap>,
    identity: Identity,
}

impl Parent {
    /// Finds the parent of the disk `path`, which stores `names` for it: the first file that `fits` and `join` takes. Returns
    /// what `join` made, and the files of the chain.
    fn find<T>(
        path: &Path,
        (parents, fits): (&Parents, Fits<'_>),
        names: &[&str],
        above: &[&Path],
        mut join: impl FnMut(&Self) -> Result<T, String>,
    ) -> Result<(T, Vec<PathBuf>)> {
        let mut tried = Vec::new();
        let above = [above, &[path]].concat();
        for candidate in parents.candidates(names) {
            // Any of those that were given may be tried for a disk that has no name for its parent.
            if above.iter().any(|above| same_file(above, &candidate)) {
                tried.push(format!("{}: is the disk itself, or made on it", candidate.display()));
                continue;
            }
            if let Err(why) = fits(&candidate) {
                tried.push(format!("{}: {why}", candidate.display()));
                continue;
            }
            let opened = Opened::open_link(&candidate, parents, &above)?;
            let parent = Self { disk: opened.held.disk(), identity: opened.held.identity() };
            match join(&parent) {
                Ok(joined) => {
                    let mut chain = vec![candidate];
                    chain.extend(opened.chain);
                    return Ok((joined, chain));
                }
                Err(why) => tried.push(format!("{}: {why}", candidate.display())),
            }
        }
        Err(chain::missing(path, names, &tried))
    }
}

impl Held {
    pub(super) fn disk(&self) -> Arc<dyn BlockMap> {
        match self {
            Self::Raw(disk) => disk.clone(),
            Self::Vhd(disk) => disk.clone(),
            Self::Vhdx(disk) => disk.clone(),
            Self::Vmdk(disk) => disk.clone(),
            Self::Vdi(disk) => disk.clone(),
            Self::Qcow2(disk) => disk.clone(),
            Self::Planned(disk) => disk.clone(),
        }
    }

    fn identity(&self) -> Identity {
        match self {
            Self::Vhd(vhd) => Identity::Guid(vhd.footer().unique_id),
            Self::Vhdx(vhdx) => Identity::Guid(vhdx.data_write_id()),
            Self::Vmdk(vmdk) => Identity::ContentId(vmdk.descriptor().cid),
            Self::Vdi(vdi) => Identity::Vdi(vdi.identity()),
            Self::Raw(_) | Self::Qcow2(_) | Self::Planned(_) => Identity::Unknown,
        }
    }

    /// The size of the disk's sectors.
    pub(super) fn sector_size(&self) -> SectorSize {
        match self {
            Self::Vhdx(vhdx) => vhdx.logical_sector_size(),
            _ => SectorSize::B512,
        }
    }

    /// What the container says of itself.
    pub(super) fn container(&self) -> Container {
        match self {
            Self::Raw(_) => Container::new("raw", Vec::new(), Vec::new()),
            Self::Planned(_) => Container::new("planned", Vec::new(), Vec::new()),
            Self::Vhd(vhd) => of_vhd(vhd),
            Self::Vhdx(vhdx) => of_vhdx(vhdx),
            Self::Vmdk(vmdk) => of_vmdk(vmdk),
            Self::Vdi(vdi) => of_vdi(vdi),
            Self::Qcow2(qcow2) => of_qcow2(qcow2),
        }
    }

    /// Checks the structure of the container; `None` for a raw disk, which has none.
    pub(super) fn check(&self, path: &Path) -> Result<Option<ContainerCheck>> {
        let failed = |source| Error::Container { path: path.to_owned(), source };
        let counts = match self {
            Self::Raw(_) | Self::Planned(_) => return Ok(None),
            Self::Vhd(vhd) => {
                let usage = vhd.check().map_err(failed)?;
                match vhd.kind() {
                    vhd::Kind::Fixed => vec![("bytes", usage.bytes)],
                    _ => vec![
                        ("blocks", usage.present),
                        ("bytes", usage.bytes),
                        ("unused bytes", usage.unused),
                    ],
                }
            }
            Self::Vhdx(vhdx) => {
                let usage = vhdx.check().map_err(failed)?;
                vec![("blocks", usage.present + usage.partial), ("bytes", usage.bytes)]
            }
            Self::Vmdk(vmdk) => {
                let usage = vmdk.check().map_err(failed)?;
                vec![("grains", usage.grains), ("zero grains", usage.zero_grains), ("bytes", usage.bytes)]
            }
            Self::Vdi(vdi) => {
                let usage = vdi.check().map_err(failed)?;
                vec![("blocks", usage.stored), ("zero blocks", usage.zero)]
            }
            Self::Qcow2(qcow2) => {
                let usage = qcow2.check().map_err(failed)?;
                vec![
                    ("clusters", usage.stored),
                    ("compressed clusters", usage.compressed),
                    ("zero clusters", usage.zero),
                    ("leaked clusters", usage.leaked),
                ]
            }
        };
        Ok(Some(ContainerCheck { format: self.container().format, counts }))
    }
}

fn of_vhd(vhd: &vhd::Vhd) -> Container {
    let footer = vhd.footer();
    let format = match vhd.kind() {
        vhd::Kind::Fixed => "vhd-fixed",
        vhd::Kind::Dynamic => "vhd",
        vhd::Kind::Differencing => "vhd (differencing)",
    };
    let mut details = vec![
        (
            "creator",
            String::from_utf8_lossy(&footer.creator_application).trim_end_matches(['\0', ' ']).to_owned(),
        ),
        ("created", vhd::time_of(footer.timestamp).to_string()),
        ("geometry", footer.geometry.to_string()),
        ("id", footer.unique_id.to_string()),
    ];
    if let Some(header) = vhd.header() {
        details.push(("block size", header.block_size.to_string()));
    }
    if let Some(blocks) = vhd.allocated_blocks() {
        details.push(("allocated blocks", blocks.to_string()));
    }
    let mut warnings = Vec::new();
    if vhd.footer_copy_equal() == Some(false) {
        warnings.push("the footer and its copy at the start differ".to_owned());
    }
    // Programs whose disks qemu before 8 measures by their current size, not by their geometry
    // ([research/containers.md] §1.4).
    const KNOWN_TO_QEMU: [&[u8]; 5] = [b"win ", b"qem2", b"d2v ", b"CTXS", b"tap"];
    let by_geometry = footer.geometry.size();
    let largest = vhd::Geometry::of(u64::MAX);
    let known = KNOWN_TO_QEMU.iter().any(|name| footer.creator_application.starts_with(name));
    if !known && by_geometry < footer.current_size && footer.geometry != largest {
        warnings.push(format!(
            "qemu before version 8 takes the size from the geometry and loses the last {} bytes of the disk",
            footer.current_size - by_geometry
        ));
    }
    if vhd.kind() == vhd::Kind::Fixed && !footer.current_size.is_multiple_of(1 << 20) {
        warnings.push("Azure takes disks of whole MiB only".to_owned());
    }
    if footer.saved_state != 0 {
        warnings.push("belongs to a machine in a saved state".to_owned());
    }
    Container::new(format, details, warnings)
}

fn of_vhdx(vhdx: &vhdx::Vhdx) -> Container {
    let format = match vhdx.kind() {
        vhdx::Kind::Fixed => "vhdx-fixed",
        vhdx::Kind::Dynamic => "vhdx",
        vhdx::Kind::Differencing => "vhdx (differencing)",
    };
    let sectors =
        format!("{}, physical {}", vhdx.logical_sector_size().bytes(), vhdx.physical_sector_size().bytes());
    let details = vec![
        ("creator", vhdx.creator().to_owned()),
        ("id", vhdx.disk_id().to_string()),
        ("block size", vhdx.block_size().to_string()),
        ("sector size", sectors),
        ("allocated blocks", vhdx.allocated_blocks().to_string()),
    ];
    let mut warnings = Vec::new();
    if let Some(replay) = vhdx.replay() {
        warnings.push(format!(
            "was not closed properly: its log ({} entries) was replayed in memory; qemu refuses to read it, VirtualBox refuses \
             to open it",
            replay.entries
        ));
    }
    if vhdx.logical_sector_size() != SectorSize::B512 {
        warnings.push("has sectors of 4096 bytes, which qemu refuses".to_owned());
    }
    Container::new(format, details, warnings)
}

fn of_vmdk(vmdk: &vmdk::Vmdk) -> Container {
    let format = match vmdk.kind() {
        vmdk::Kind::StreamOptimized => "vmdk",
        vmdk::Kind::MonolithicSparse => "vmdk-sparse",
        vmdk::Kind::MonolithicFlat | vmdk::Kind::Vmfs => "vmdk-flat",
        vmdk::Kind::TwoGbMaxExtentSparse => "vmdk-split",
        _ => "vmdk (other)",
    };
    let descriptor = vmdk.descriptor();
    let mut details = vec![
        ("create type", descriptor.create_type.clone()),
        ("content id", format!("{:08x}", descriptor.cid)),
    ];
    details.extend(descriptor.get("adapterType").map(|adapter| ("adapter type", adapter.to_owned())));
    let extents: Vec<&str> = vmdk.extent_names().collect();
    match extents.as_slice() {
        [] => {}
        [one] => details.push(("extent", (*one).to_owned())),
        [first, .., last] => details.push(("extents", format!("{}, {first} to {last}", extents.len()))),
    }
    let mut warnings = Vec::new();
    if let (vmdk::Kind::StreamOptimized, Some(header)) = (vmdk.kind(), vmdk.header()) {
        if header.version < 3 {
            warnings.push(format!(
                "version {}: ESXi takes streamOptimized disks from version 3 on",
                header.version
            ));
        }
        if !vmdk.disk_size().is_multiple_of(header.grain_size * 512) {
            warnings.push(
                "ends inside a grain: VirtualBox refuses to import it if that is stored short".to_owned(),
            );
        }
        if !vmdk.is_streamed() && descriptor.get("adapterType") == Some("ide") {
            warnings.push(
                "tables before the data, as qemu-img writes it: ovftool and VMware's libraries find another checksum in an \
                 OVA than its manifest says"
                    .to_owned(),
            );
        }
    }
    Container::new(format, details, warnings)
}

fn of_vdi(vdi: &vdi::Vdi) -> Container {
    let format = match vdi.kind() {
        vdi::Kind::Fixed => "vdi-fixed",
        vdi::Kind::Dynamic => "vdi",
        vdi::Kind::Differencing => "vdi (differencing)",
    };
    let header = vdi.header();
    let details = vec![
        ("id", header.id.to_string()),
        ("block size", header.block_size.to_string()),
        ("allocated blocks", header.allocated.to_string()),
    ];
    Container::new(format, details, Vec::new())
}

fn of_qcow2(qcow2: &qcow2::Qcow2) -> Container {
    let header = qcow2.header();
    let compression = match qcow2.compression() {
        qcow2::Compression::Deflate => "zlib",
        qcow2::Compression::Zstd => "zstd",
    };
    let details = vec![
        ("version", header.version.to_string()),
        ("cluster size", header.cluster_size().to_string()),
        ("compression", compression.to_owned()),
        ("snapshots", qcow2.snapshot_count().to_string()),
    ];
    let mut warnings = Vec::new();
    if qcow2.is_dirty() {
        warnings.push("was not closed properly: its reference counts may be wrong".to_owned());
    }
    if qcow2.is_corrupt() {
        warnings.push("was found damaged by a program that had it open: only reading is safe".to_owned());
    }
    if qcow2.snapshot_count() > 0 {
        warnings.push("has internal snapshots: what is read is the present state".to_owned());
    }
    Container::new("qcow2", details, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty disk, on another one if there is one.
    fn disk(path: &Path, number: u8, below: Option<u8>) {
        let ids = |number| (Guid([number; 16]), Guid([number ^ 0xFF; 16]));
        let (id, content) = ids(number);
        let mut file = Vec::new();
        let options = vdi::Options::new(1 << 20, id, content);
        let sink = Box::new(vdi::dynamic::ordered(&mut file, &options, std::iter::empty()).unwrap());
        disk::OrderedSink::finish(sink).unwrap();
        if let Some((id, content)) = below.map(ids) {
            file[0x4C] = 4;
            file[0x1A8..0x1B8].copy_from_slice(&id.0);
            file[0x1B8..0x1C8].copy_from_slice(&content.0);
        }
        std::fs::write(path, file).unwrap();
    }

    /// A VDI has no name for its parent, so any of those that were given is tried for each.
    #[test]
    fn parents_without_names_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, number, below) in [("a", 1, None), ("b", 2, Some(1)), ("c", 3, Some(2)), ("d", 4, Some(3))]
        {
            disk(&path(name), number, below);
        }
        for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"], ["c", "a", "b"]] {
            let parents = Parents::in_places(order.map(path));
            let opened = Opened::open(&path("d"), &parents).unwrap();
            assert_eq!(opened.chain, ["c", "b", "a"].map(path), "{order:?}");
        }
        let itself = Parents::in_places([path("d")]);
        let error = Opened::open(&path("d"), &itself).err().unwrap().to_string();
        assert!(error.contains("is the disk itself"), "{error}");
    }
}
