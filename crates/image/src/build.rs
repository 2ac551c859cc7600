//! From a recipe to a disk: plan, then one pass.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;

use disk::{Content, ExtentMap, FileTime, Label, NO_NODE, SectorSize, Seed};
use ntfs_writer as ntfs;
use serde::Serialize;

use crate::blobs::BuildBlobs;
use crate::boot::{Boot, BootCodes, BootSummary, DiskId};
use crate::compact::{self, CompactSummary, Packed};
use crate::container::{Packing, package};
use crate::customize::{self, About, Beside, Report};
use crate::disk_layout::{self, Role, TypeId, VolumeKind};
use crate::edit::{self, Change, Editor};
use crate::esp::Esp;
use crate::late::SmallBlobs;
use crate::output::{self, Opened};
use crate::pipeline::{
    self, BlobStore as _, CheckedBlobs, Counters, Maker, Profile, Settings, Stage, Stopwatch,
};
use crate::prepass::Prepass;
use crate::recipe::{Format, MIB, Output, Recipe};
use crate::registry::RegistryEdits;
use crate::source::WimSource;
use crate::spool::Spool;
use crate::{Error, Result, volume};

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
pub struct Usage {
    /// What it is: `file data`, `$MFT`, …
    pub kind: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// One partition of a planned disk.
#[derive(Clone, Debug, Serialize)]
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

/// About how many bytes a unit has. Units of half of that lose a few per cent to hand-over and to chunks cut in two,
/// larger ones only cost memory.
const UNIT: u64 = MIB;

impl Plan {
    /// Reads the source's metadata and plans the disk. Takes no time to speak of, unless files are to be kept compressed
    /// in another way than the source has them: then they are compressed here.
    pub fn new(mut recipe: Recipe, run: Run<'_>) -> Result<Self> {
        let mut stopwatch = Stopwatch::start(run.profile, "main");
        let format = recipe.format()?;
        package::check(format, &recipe.machine, &recipe.output, recipe.force)?;
        disk_layout::check(&recipe)?;
        let source = WimSource::open_choice(&recipe.source, recipe.wim.as_ref())?;
        for part in source.parts() {
            output::refuse_source(part, &recipe.output)?;
        }
        let index = source.choose(recipe.image.as_ref())?;
        let edits = RegistryEdits::read(&recipe.registry, &recipe.hives)?;
        let seed = match &recipe.seed {
            Some(text) => Seed::new(text.as_bytes()),
            // Without edits, the identity is the source's alone. Machines with names of their own are not taken for one
            // another. Nothing secret goes in here.
            None => {
                let name = recipe.customize.first_boot.computer_name.as_deref().unwrap_or_default();
                Seed::new(&[&source.identity(index), edits.identity(), name.as_bytes()].concat())
            }
        };
        let mut tree = source.tree(index)?;
        stopwatch.lap(Stage::Metadata);
        let mut notes = std::mem::take(&mut tree.notes);
        let (files, stream_bytes) = (tree.nodes.len() as u64, tree.stream_bytes());
        let time = recipe.time.unwrap_or(tree.nodes[0].times.written);
        let spool = Spool::new(source.wim().blobs().len() as u32, &recipe.output);
        let prepass = Prepass::new(&source, index, &spool);
        let windows_number = disk_layout::number(&recipe, Role::Windows).expect("every layout has one");
        let info = source.wim().xml().image(index);
        let context = customize::Context {
            recipe: &recipe,
            edits: &edits,
            info,
            prepass: &prepass,
            spool: &spool,
            partition: windows_number,
            time,
        };
        let customized = customize::apply(&mut tree, &context)?;
        let mut changes = customized.changes;
        recipe.machine.guest.get_or_insert(package::guest(&customized.about));
        for note in customized.notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let codes = BootCodes::of(&recipe, &tree, &prepass)?;
        let mut boot = Boot::find(&tree, info, &recipe, &prepass, &seed, time)?;
        notes.append(&mut boot.notes);

        // The place of the Recovery partition depends on the size of Windows, which is planned first. What is written of
        // it there has the same length for every place.
        let mut places = disk_layout::places(&recipe, &seed, 0);
        let mut editor = Editor::new(&mut tree, &prepass, windows_number);
        boot.edit_windows(&mut editor, &places)?;
        edit::merge(&mut changes, editor.finish());
        stopwatch.lap(Stage::Plan);
        let packed = compact::apply(spool.forms(), &mut tree, &source, index, &recipe, run)?;
        stopwatch.lap(Stage::Encode);
        let mut small = SmallBlobs::default();
        small.add(&tree);

        let windows_start = disk_layout::windows_start(&recipe);
        let options = |role, start| volume_options(&recipe, &seed, role, start, time, codes.ntfs());
        let plan_windows = |tree| -> Result<ntfs::Plan> {
            volume::plan(tree, options(Role::Windows, windows_start)?, Role::Windows.name())
        };
        let (windows, disk_size, slots);
        if boot.has_recovery() {
            let (recovery, _) = boot.recovery_tree(&places, 0)?;
            let recovery =
                volume::plan(recovery, options(Role::Recovery, windows_start)?, Role::Recovery.name())?;
            let needed = (plan_windows(tree.clone())?.min_size(), recovery.min_size());
            let (_, provisional) = disk_layout::partitions(&recipe, needed.0, needed.1)?;
            let start =
                provisional.iter().find(|slot| slot.role == Role::Recovery).map_or(0, |slot| slot.start);
            places = disk_layout::places(&recipe, &seed, start);
            let mut editor = Editor::new(&mut tree, &prepass, windows_number);
            boot.place_recovery(&mut editor, &places)?;
            edit::update(&mut changes, editor.finish());
            windows = plan_windows(tree)?;
            (disk_size, slots) = disk_layout::partitions(&recipe, windows.min_size(), needed.1)?;
            if slots != provisional {
                return Err(Error::Recipe("the partitions moved while they were planned".to_owned()));
            }
        } else {
            windows = plan_windows(tree)?;
            (disk_size, slots) = disk_layout::partitions(&recipe, windows.min_size(), 0)?;
        }

        let mut summary = Summary {
            format,
            disk_size,
            stored: 0,
            usage: Vec::new(),
            image: index,
            image_name: info.and_then(|image| image.name.clone()),
            about: customized.about,
            customized: customized.report,
            files,
            stream_bytes,
            compact: recipe.compact.map(|_| packed.summary),
            boot: boot.summary(&places, codes.name()),
            disk_signature: match places.disk {
                DiskId::Mbr(signature) => Some(signature),
                DiskId::Gpt(_) => None,
            },
            disk_guid: match places.disk {
                DiskId::Mbr(_) => None,
                DiskId::Gpt(id) => Some(id.to_string()),
            },
            partitions: Vec::new(),
            notes,
            changes: Vec::new(),
        };
        let mut map = ExtentMap::new();
        let table = disk_layout::Table::new(&recipe, &seed, &slots, disk_size, codes.mbr())?;
        table.push_start(&mut map);
        let mut volumes = Vec::new();
        for slot in &slots {
            let number = summary.partitions.len() as u32 + 1;
            map.pad_to(slot.start);
            let (kind, id) = disk_layout::identity(&recipe, &seed, slot.role);
            let mut described = PartitionSummary {
                number,
                name: slot.role.name(),
                start: slot.start,
                size: slot.len,
                needed: slot.len,
                kind,
                id: id.map(|id| id.to_string()),
                active: slot.active,
                file_system: None,
                serial: None,
            };
            match slot.role.volume(recipe.layout) {
                VolumeKind::Ntfs => {}
                VolumeKind::Nothing => {
                    summary.partitions.push(described);
                    continue;
                }
                VolumeKind::Fat32 => {
                    let (tree, put) = boot.system_tree(&places, number)?;
                    changes.extend(put);
                    let esp = Esp::new(tree, slot.start, &seed, slot.role.name(), time)?;
                    described.needed = esp.min_size();
                    described.file_system = Some("FAT32");
                    described.serial = Some(esp.serial().into());
                    if described.needed > slot.len {
                        let needed = described.needed / MIB;
                        return Err(Error::Recipe(format!("--system-size: the boot files need {needed}MiB")));
                    }
                    map.append(esp.lay_out(slot.len)?, |content, label| (content, label));
                    summary.partitions.push(described);
                    continue;
                }
            }
            let wrap = |source| Error::Volume { volume: slot.role.name(), source };
            let other;
            let plan = match slot.role {
                Role::Windows => &windows,
                role => {
                    let (tree, put) = match role {
                        Role::Recovery => boot.recovery_tree(&places, number)?,
                        _ => boot.system_tree(&places, number)?,
                    };
                    changes.extend(put);
                    small.add(&tree);
                    other = volume::plan(tree, options(role, slot.start)?, role.name())?;
                    &other
                }
            };
            described.needed = plan.min_size();
            described.file_system = Some("NTFS");
            described.serial = Some(serial(&seed, slot.role));
            let laid_out = plan.lay_out(slot.len).map_err(wrap)?;
            // The others have nothing to say that anybody could act on.
            if slot.role == Role::Windows {
                summary.notes.extend(laid_out.notes().iter().map(ToString::to_string));
            }
            summary.partitions.push(described);
            let maker = volumes.len() as u32;
            map.append(laid_out.map().clone(), |content, label| {
                let content = match content {
                    Content::Made { offset, .. } => Content::Made { maker, offset },
                    other => other,
                };
                // Node numbers are the Windows volume's own.
                let node = if slot.role == Role::Windows { label.node } else { NO_NODE };
                (content, Label { kind: label.kind, node })
            });
            volumes.push(laid_out);
        }
        changes.sort();
        summary.changes = changes;
        table.push_end(&mut map);
        map.pad_to(disk_size);
        summary.stored = map.allocated(4096).map(|range| range.end - range.start).sum();
        summary.usage = usage(&map);
        let late = small.late(&map);
        stopwatch.lap(Stage::Plan);
        Ok(Self {
            recipe,
            format,
            source,
            index,
            seed,
            time,
            map,
            volumes,
            packed,
            late,
            beside: customized.beside,
            summary,
        })
    }

    /// What the plan amounts to.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The whole disk, labelled.
    pub fn map(&self) -> &ExtentMap {
        &self.map
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
        // Half of the memory for units in flight; the rest is for what each worker holds besides (its decoder, the
        // compressed bytes it reads, the unit's encoded form).
        let window = run.memory / 2 / (2 * UNIT);
        let window = (4 * run.pool.current_num_threads() as u64).min(window).max(1);
        // What is left besides twice the units in flight is for decoded chunks of a solid source.
        self.source.wim().set_memory(run.memory.saturating_sub(2 * window * 2 * UNIT));
        blobs.keep(&self.late);
        let settings = Settings { window: window as usize, unit: UNIT };
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

fn serial(seed: &Seed, role: Role) -> u64 {
    seed.child(role.name()).u64("volume serial")
}

fn volume_options(
    recipe: &Recipe,
    seed: &Seed,
    role: Role,
    start: u64,
    time: FileTime,
    boot_code: Option<&[u8; ntfs::BOOT_CODE_LEN]>,
) -> Result<ntfs::Options> {
    let hidden_sectors = u32::try_from(start / 512)
        .map_err(|_| Error::Recipe(format!("the {} partition would begin past 2 TiB", role.name())))?;
    Ok(ntfs::Options {
        cluster_size: if role == Role::Windows { recipe.cluster_size } else { 4096 },
        hidden_sectors,
        geometry: ntfs::Geometry {
            heads: bootsector::Chs::HEADS,
            sectors_per_track: bootsector::Chs::SECTORS,
        },
        serial: serial(seed, role),
        label: role.name().to_owned(),
        created: time,
        short_names: recipe.short_names && role == Role::Windows,
        boot_code: boot_code.map(|code| Box::new(*code)),
        ..ntfs::Options::default()
    })
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
