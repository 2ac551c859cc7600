//! From a recipe to a disk: plan, then one pass.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;

use disk::{Content, ExtentMap, FileTime, SectorSize, Seed};
use ntfs_writer as ntfs;
use serde::Serialize;

use crate::blobs::BuildBlobs;
use crate::boot::{Boot, BootCodes, BootSummary, DiskId};
use crate::chosen::Chosen;
use crate::compact::{self, CompactSummary, Packed};
use crate::container::{Packing, package};
use crate::customize::{self, About, Beside, Report};
use crate::disk_layout::{self, Role, TypeId};
use crate::edit::{Change, Record};
use crate::late::SmallBlobs;
use crate::output::{self, Opened};
use crate::pipeline::{
    self, BlobStore as _, CheckedBlobs, Counters, Maker, Profile, Settings, Stage, Stopwatch,
};
use crate::planner::Planner;
use crate::prepass::Prepass;
use crate::recipe::{Format, Output, Recipe};
use crate::registry::RegistryEdits;
use crate::source::WimSource;
use crate::{Error, Result};

/// A planned disk: every byte is accounted for, nothing has been written.
#[derive(Debug)]
pub struct Plan {
    recipe: Recipe,
    format: Format,
    source: WimSource,
    index: u32,
    seed: Seed,
    time: FileTime,
    map: ExtentMap,
    volumes: Vec<ntfs::Volume>,
    /// The files that stay compressed.
    packed: Packed,
    /// Blobs that are read when `$MFT` is rendered, after all file data.
    late: Vec<u32>,
    /// What is written beside the disk.
    beside: Beside,
    summary: Summary,
}

/// What a plan amounts to, for people and for `--json`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The container.
    pub format: Format,
    /// Size of the disk in bytes.
    pub disk_size: u64,
    /// Disk bytes that hold anything; the rest is zero.
    pub stored: u64,
    /// What those bytes are, the most first; what is missing to `stored` is the rest of clusters.
    pub usage: Vec<Usage>,
    /// The image that was chosen, from 1.
    pub image: u32,
    /// Its name, if it has one.
    pub image_name: Option<String>,
    /// What Windows it is.
    pub about: About,
    /// Files and directories of the image, each once whatever its number of names.
    pub files: u64,
    /// Bytes of all their streams.
    pub stream_bytes: u64,
    /// What became of the files when they are kept compressed.
    pub compact: Option<CompactSummary>,
    /// What was changed in the image on purpose.
    pub customized: Report,
    /// How the disk starts.
    pub boot: BootSummary,
    /// The disk signature of an MBR disk.
    pub disk_signature: Option<u32>,
    /// The id of a GPT disk.
    pub disk_guid: Option<String>,
    /// The partitions, in disk order.
    pub partitions: Vec<PartitionSummary>,
    /// What was noticed or decided on the way, one sentence each.
    pub notes: Vec<String>,
    /// What the disk has otherwise than the image, on purpose.
    pub changes: Vec<Change>,
}

/// How much of a disk is of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// What it is: `file data`, `$MFT`, …
    pub kind: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// One partition of a planned disk.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PartitionSummary {
    /// From 1, as in the partition table.
    pub number: u32,
    /// What it is for; also the volume's label.
    pub name: &'static str,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// The smallest length that would do.
    pub needed: u64,
    /// The type that the partition table gives it.
    pub kind: TypeId,
    /// Its id, in a GPT.
    pub id: Option<String>,
    /// Whether it is marked active.
    pub active: bool,
    /// The file system, if it has one.
    pub file_system: Option<&'static str>,
    /// The volume serial number.
    pub serial: Option<u64>,
}

/// How a plan is carried out. Nothing here changes a byte of the output.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The threads to work on. The calling thread, which must not be one of them, commits what they make.
    pub pool: &'a rayon::ThreadPool,
    /// Bytes that buffers may take.
    pub memory: u64,
    /// Set it from anywhere to stop; the partial output is removed.
    pub cancel: &'a AtomicBool,
    /// Poll it from anywhere to see how far the work is.
    pub counters: &'a Counters,
    /// Collects where the time goes, if anybody wants to know.
    pub profile: Option<&'a Profile>,
}

impl<'a> Run<'a> {
    /// The buffers that a build takes unless told otherwise.
    pub const MEMORY: u64 = 256 << 20;

    /// Runs on the threads of `pool` with buffers of [`MEMORY`](Self::MEMORY) bytes.
    pub fn new(pool: &'a rayon::ThreadPool, cancel: &'a AtomicBool, counters: &'a Counters) -> Self {
        Self { pool, memory: Self::MEMORY, cancel, counters, profile: None }
    }
}

impl Plan {
    /// Reads the source's metadata and plans the disk. Takes no time to speak of, unless files are to be kept compressed
    /// in another way than the source has them: then they are compressed here.
    ///
    /// # Errors
    /// What is wrong with the recipe, with what it names, or with the image.
    pub fn new(mut recipe: Recipe, run: Run<'_>) -> Result<Self> {
        let mut stopwatch = Stopwatch::start(run.profile, "main");
        let format = recipe.format()?;
        package::check(format, &recipe.machine, &recipe.output, recipe.force)?;
        disk_layout::check(&recipe)?;
        let Chosen { source, index, edits, mut tree, time, spool } = Chosen::open(&recipe)?;
        let seed = seed(&recipe, &source.identity(index), &edits);
        stopwatch.lap(Stage::Metadata);
        let mut notes = std::mem::take(&mut tree.notes);
        let (files, stream_bytes) = (tree.nodes.len() as u64, tree.stream_bytes());
        let prepass = Prepass::new(&source, index, &spool);
        let info = source.wim().xml().image(index);
        let partition = disk_layout::number(&recipe, Role::Windows).expect("every layout has one");
        let context = customize::Context {
            recipe: &recipe,
            edits: &edits,
            info,
            prepass: &prepass,
            spool: &spool,
            partition,
            time,
        };
        let customized = customize::apply(&mut tree, &context)?;
        recipe.machine.guest.get_or_insert(package::guest(&customized.about));
        for note in customized.notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let codes = BootCodes::of(&recipe, &tree, &prepass)?;
        let mut boot = Boot::find(&tree, info, &recipe, &prepass, &seed, time)?;
        notes.append(&mut boot.notes);

        let planner = Planner { recipe: &recipe, seed: &seed, time, codes: &codes, boot: &boot };
        let mut record = Record::from(customized.changes);
        let places = planner.edit_windows(&mut tree, &prepass, &mut record)?;
        stopwatch.lap(Stage::Plan);
        let packed = compact::apply(spool.forms(), &mut tree, &source, index, &recipe, run)?;
        stopwatch.lap(Stage::Encode);
        let mut small = SmallBlobs::default();
        small.add(&tree);
        let windows = planner.windows(tree, places, &prepass, &mut record)?;
        let disk = planner.disk(&windows, &mut small, &mut record)?;
        notes.extend(disk.notes);
        let late = small.late(&disk.map);
        stopwatch.lap(Stage::Plan);

        let places = &windows.places;
        let summary = Summary {
            format,
            disk_size: windows.disk_size,
            stored: disk.map.allocated(4096).map(|range| range.end - range.start).sum(),
            usage: usage(&disk.map),
            image: index,
            image_name: info.and_then(|image| image.name.clone()),
            about: customized.about,
            customized: customized.report,
            files,
            stream_bytes,
            compact: recipe.compact.map(|_| packed.summary),
            boot: boot.summary(places, codes.name()),
            disk_signature: match places.disk {
                DiskId::Mbr(signature) => Some(signature),
                DiskId::Gpt(_) => None,
            },
            disk_guid: match places.disk {
                DiskId::Mbr(_) => None,
                DiskId::Gpt(id) => Some(id.to_string()),
            },
            partitions: disk.partitions,
            notes,
            changes: record.finish(),
        };
        let (map, volumes, beside) = (disk.map, disk.volumes, customized.beside);
        Ok(Self { recipe, format, source, index, seed, time, map, volumes, packed, late, beside, summary })
    }

    /// What the plan amounts to.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The whole disk, labelled.
    pub fn map(&self) -> &ExtentMap {
        &self.map
    }

    /// The name of its source.
    pub(crate) fn title(&self) -> String {
        let path = self.source.path();
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    pub(crate) fn source(&self) -> &WimSource {
        &self.source
    }

    /// What its extents and volumes refer to.
    pub(crate) fn blobs(&self) -> BuildBlobs<'_> {
        BuildBlobs::new(&self.source, self.index, &self.packed.forms, false)
    }

    /// The volumes, by maker number.
    pub(crate) fn volumes(&self) -> &[ntfs::Volume] {
        &self.volumes
    }

    /// Writes the disk. On any failure nothing is left under the output's name (a block device excepted, which is
    /// overwritten in place).
    pub fn write(&self, run: Run<'_>) -> Result<()> {
        let named = |error: Error| match &self.recipe.output {
            Output::File(path) => error.at_output(path),
            Output::Stdout => error.at_output("standard output".as_ref()),
        };
        let packing = Packing {
            output: &self.recipe.output,
            level: self.recipe.level,
            format: self.format,
            map: &self.map,
            seed: &self.seed,
            time: self.time,
            sector_size: SectorSize::B512,
            machine: &self.recipe.machine,
            firmware: package::firmware_of(self.recipe.layout),
            threads: run.pool.current_num_threads(),
        };
        let mut stopwatch = Stopwatch::start(run.profile, "main");
        self.beside.check(self.recipe.force)?;
        let opened = Opened::open(&self.recipe.output, self.recipe.force)?;
        self.beside.write_key()?;
        let sink = packing.open(&opened).map_err(named)?;
        let verify = self.recipe.compact.is_none_or(|compact| compact.verify_source);
        let blobs = BuildBlobs::new(&self.source, self.index, &self.packed.forms, verify);
        let settings = Settings::within(run.memory, run.pool.current_num_threads());
        // What is left besides twice the units in flight is for decoded chunks of a solid source.
        self.source.wim().set_memory(run.memory.saturating_sub(2 * settings.in_flight()));
        blobs.keep(&self.late);
        let makers = Volumes(&self.volumes);
        stopwatch.lap(Stage::Open);
        drop(stopwatch);
        let Run { pool, cancel, counters, profile, .. } = run;
        let flushed = output::flush_meanwhile(opened.file()?, counters, || {
            pipeline::run(&self.map, &blobs, &makers, sink, pool, settings, cancel, counters, profile)
        });
        flushed.map_err(named)?;
        let mut stopwatch = Stopwatch::start(profile, "main");
        let committed = opened.commit().map_err(named);
        stopwatch.lap(Stage::Sync);
        committed?;
        packing.write_catalog(self.recipe.force)?;
        self.beside.write_certificate(self.recipe.force)
    }
}

fn usage(map: &ExtentMap) -> Vec<Usage> {
    let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
    for extent in map.extents().iter().filter(|extent| extent.content != Content::Zero) {
        *kinds.entry(extent.label.kind).or_default() += extent.len;
    }
    let mut usage: Vec<Usage> = kinds.into_iter().map(|(kind, bytes)| Usage { kind, bytes }).collect();
    usage.sort_by_key(|usage| (std::cmp::Reverse(usage.bytes), usage.kind));
    usage
}

/// What all identities derive from.
fn seed(recipe: &Recipe, source: &[u8], edits: &RegistryEdits) -> Seed {
    match &recipe.seed {
        Some(text) => Seed::new(text.as_bytes()),
        // Without edits, the identity is the source's alone. Machines with names of their own are not taken for one
        // another. Nothing secret goes in here.
        None => {
            let name = recipe.customize.first_boot.computer_name.as_deref().unwrap_or_default();
            Seed::new(&[source, edits.identity(), name.as_bytes()].concat())
        }
    }
}

/// The volumes of a disk, by maker number.
struct Volumes<'a>(&'a [ntfs::Volume]);

impl Maker for Volumes<'_> {
    fn render(&self, maker: u32, offset: u64, buf: &mut [u8], blobs: &CheckedBlobs<'_>) -> Result<()> {
        self.0[maker as usize].render(offset, buf, &Resident(blobs)).map_err(|error| match error {
            // Our own error, on its way through the planner.
            ntfs::Error::Io { at, source } => match source.downcast::<Error>() {
                Ok(ours) => ours,
                Err(source) => Error::Volume { volume: "NTFS", source: ntfs::Error::Io { at, source } },
            },
            source => Error::Volume { volume: "NTFS", source },
        })
    }
}

struct Resident<'a, 'b>(&'a CheckedBlobs<'b>);

impl ntfs::ReadBlob for Resident<'_, '_> {
    fn read_blob(&self, blob: u32, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(blob, offset, buf).map_err(io::Error::other)
    }
}
