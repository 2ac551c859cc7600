//! An image as an OCI image with one layer: a base layer for Windows containers. Experimental.
//!
//! The layer's tar is a plan like a disk's: headers that are rendered when their turn comes, slices of blobs, zeros up to
//! the next block. So it is written by the same pass, by all threads, in the order of the source's blobs, and what was
//! read is checked against the source's hashes. What is in a header, and what Windows makes of it: `appliance::oci`.

use std::fs::File;
use std::io::BufWriter;

use appliance::gzip;
use appliance::oci::layer::{Entry, EntryKind};
use appliance::oci::{Archive, Image};
use appliance::tar;
use disk::{Content as Extent, ExtentMap, FileTime, Label};
use serde::Serialize;

use crate::blobs::{BuildBlobs, Form};
use crate::chosen::Chosen;
use crate::container::package::{self, packaged};
use crate::container::raw;
use crate::customize::{self, About, Beside};
use crate::disk_layout::{self, Role};
use crate::link::{MAX_REPARSE, TAG_MOUNT_POINT, print_name};
use crate::output::{self, Opened};
use crate::pipeline::{self, CheckedBlobs, Maker, Settings};
use crate::prepass::Prepass;
use crate::recipe::{Level, Recipe};
use crate::source::WimSource;
use crate::tree::{ATTRIBUTE_ENCRYPTED, Content, Node, NodeId, Tree};
use crate::{Error, Result, Run};

/// What a container runs when nobody says.
const COMMAND: &str = "c:\\windows\\system32\\cmd.exe";

/// A planned OCI image: nothing has been written.
#[derive(Debug)]
pub struct LayerPlan {
    recipe: Recipe,
    source: WimSource,
    index: u32,
    time: FileTime,
    tree: Tree,
    items: Vec<Item>,
    map: ExtentMap,
    forms: Vec<Form>,
    beside: Beside,
    summary: LayerSummary,
}

/// What a planned OCI image amounts to.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The image that was chosen, from 1.
    pub image: u32,
    /// Its name, if it has one.
    pub image_name: Option<String>,
    /// What Windows it is.
    pub about: About,
    /// The version that hosts compare with their own.
    pub os_version: String,
    /// Members of the layer.
    pub entries: u64,
    /// Bytes of the layer's tar.
    pub layer_size: u64,
    /// Whether containers of it can run in virtual machines.
    pub utility_vm: bool,
    /// What was noticed or decided on the way, one sentence each.
    pub notes: Vec<String>,
}

/// A member of the layer.
#[derive(Debug)]
struct Item {
    path: String,
    node: NodeId,
    what: What,
    /// Where its header begins, in all headers one behind the other.
    header: u64,
}

#[derive(Debug)]
enum What {
    Directory,
    File,
    /// The stream of that number.
    Stream(usize),
    /// Another name of the item of that number.
    Link(usize),
    Symlink {
        target: String,
        junction: bool,
    },
}

impl LayerPlan {
    /// Reads the source's metadata and plans the layer.
    ///
    /// # Errors
    /// As for [`Plan::new`](crate::Plan::new).
    pub fn new(recipe: Recipe, run: Run<'_>) -> Result<Self> {
        package::check(recipe.format()?, &recipe.machine, &recipe.output, recipe.force)?;
        if recipe.compact.is_some() {
            return Err(Error::Recipe("compact-os is about disks; a layer has none".to_owned()));
        }
        let Chosen { source, index, edits, mut tree, time, spool } = Chosen::open(&recipe)?;
        let mut notes = std::mem::take(&mut tree.notes);
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
        notes.extend(customized.notes);
        notes.push("an OCI image is experimental: no Windows has taken one yet".to_owned());
        let about = customized.about;
        let os_version = os_version(&about).ok_or_else(|| {
            Error::Recipe(
                "the image does not say which build of Windows it is, which hosts want to know".to_owned(),
            )
        })?;
        let mut layer = Layer { tree: &tree, items: Vec::new(), notes: &mut notes };
        let utility_vm = layer.collect(&prepass)?;
        let mut items = layer.items;
        let mut map = ExtentMap::new();
        let mut headers = 0;
        for number in 0..items.len() {
            let len = header(&tree, &items, number)?.len() as u64;
            items[number].header = headers;
            map.push(len, Extent::Made { maker: 0, offset: headers }, Label::new("header"));
            headers += len;
            match content(&tree, &items[number]) {
                Content::Empty | Content::Missing { .. } => {}
                Content::Hole { len } => map.pad_to(map.len() + len),
                &Content::Blob { blob, len } => {
                    map.push(len, Extent::Blob { blob, offset: 0 }, Label::new("file data"));
                }
                Content::Bytes(bytes) => {
                    let extent = Extent::Bytes { bytes: bytes.clone(), offset: 0 };
                    map.push(bytes.len() as u64, extent, Label::new("file data"));
                }
            }
            map.pad_to(map.len().next_multiple_of(tar::BLOCK));
        }
        map.pad_to(map.len() + tar::END.len() as u64);
        let summary = LayerSummary {
            image: index,
            image_name: info.and_then(|image| image.name.clone()),
            about,
            os_version,
            entries: items.len() as u64,
            layer_size: map.len(),
            utility_vm,
            notes,
        };
        let forms = spool.forms();
        run.counters.total.store(map.len(), std::sync::atomic::Ordering::Relaxed);
        Ok(Self { source, index, time, items, map, forms, beside: customized.beside, summary, tree, recipe })
    }

    /// What the plan amounts to.
    pub fn summary(&self) -> &LayerSummary {
        &self.summary
    }

    /// Writes the image. On any failure nothing is left under the output's name.
    ///
    /// # Errors
    /// As for [`Plan::write`](crate::Plan::write).
    pub fn write(&self, run: Run<'_>) -> Result<()> {
        self.beside.check(self.recipe.force)?;
        let opened = Opened::open(&self.recipe.output, self.recipe.force)?;
        let (Some(file), crate::Output::File(path)) = (opened.file()?, &self.recipe.output) else {
            return Err(Error::Recipe("an OCI image goes to a file: its head is written last".to_owned()));
        };
        let named = |error: Error| error.at_output(path);
        self.beside.write_key()?;
        let threads = run.pool.current_num_threads();
        let archive =
            self.archive(file, threads).map_err(|source| Error::Appliance { path: path.clone(), source })?;
        let writer = BufWriter::with_capacity(1 << 20, archive.layer());
        let sink =
            packaged(Box::new(raw::stream(writer, self.map.len())), move || archive.finish().map(drop));
        let blobs = BuildBlobs::new(&self.source, self.index, &self.forms, true);
        let settings = Settings::within(run.memory, threads);
        self.source.wim().set_memory(run.memory.saturating_sub(2 * settings.in_flight()));
        let Run { pool, cancel, counters, profile, .. } = run;
        output::flush_meanwhile(opened.file()?, counters, || {
            pipeline::run(&self.map, &blobs, self, sink, pool, settings, cancel, counters, profile)
        })
        .map_err(named)?;
        opened.commit().map_err(named)?;
        self.beside.write_certificate(self.recipe.force)
    }

    fn archive(&self, file: File, threads: usize) -> appliance::Result<Archive<File>> {
        let image = Image {
            architecture: self.summary.about.guest().architecture,
            os_version: self.summary.os_version.clone(),
            tag: "latest".to_owned(),
            command: vec![COMMAND.to_owned()],
            created: self.time,
        };
        let level = match self.recipe.level {
            Level::Fast => gzip::Level::FAST,
            Level::Default => gzip::Level::DEFAULT,
            Level::Best => gzip::Level::BEST,
        };
        image.archive(file, level, threads)
    }
}

impl Maker for LayerPlan {
    fn render(&self, _: u32, mut offset: u64, mut buf: &mut [u8], _: &CheckedBlobs<'_>) -> Result<()> {
        let mut number = self.items.partition_point(|item| item.header <= offset) - 1;
        while !buf.is_empty() {
            let bytes = header(&self.tree, &self.items, number)?;
            let rest = &bytes[(offset - self.items[number].header) as usize..];
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            (buf, offset, number) = (&mut buf[len..], offset + len as u64, number + 1);
        }
        Ok(())
    }
}

/// `10.0.14393.2273`.
fn os_version(about: &About) -> Option<String> {
    let build = about.build?;
    let version = match build {
        10_000.. => "10.0",
        9_600.. => "6.3",
        9_200.. => "6.2",
        7_600.. => "6.1",
        _ => "6.0",
    };
    Some(format!("{version}.{build}.{}", about.revision.unwrap_or(0)))
}

/// What follows an item's header.
fn content<'t>(tree: &'t Tree, item: &Item) -> &'t Content {
    let node = &tree.nodes[item.node.0 as usize];
    match item.what {
        What::File => node.data.as_ref().unwrap_or(&Content::Empty),
        What::Stream(number) => &node.named[number].content,
        What::Directory | What::Link(_) | What::Symlink { .. } => &Content::Empty,
    }
}

fn header(tree: &Tree, items: &[Item], number: usize) -> Result<Vec<u8>> {
    let item = &items[number];
    let node = &tree.nodes[item.node.0 as usize];
    let size = content(tree, item).len();
    let kind = match &item.what {
        What::Directory => EntryKind::Directory,
        What::File => EntryKind::File { size },
        What::Stream(_) => EntryKind::Stream { size },
        What::Link(to) => EntryKind::HardLink { to: &items[*to].path },
        What::Symlink { target, junction } => EntryKind::Symlink { target, junction: *junction },
    };
    let extended =
        node.extended.iter().filter_map(|it| Some((std::str::from_utf8(&it.name).ok()?, &*it.value)));
    let entry = Entry {
        path: &item.path,
        kind,
        attributes: node.attributes,
        created: node.times.created,
        written: node.times.written,
        accessed: node.times.accessed,
        security: node.security.map(|id| &*tree.descriptors[id.0 as usize]),
        extended: extended.collect(),
    };
    entry.header().map_err(|source| Error::Appliance { path: item.path.clone().into(), source })
}

/// The members of a layer, being collected.
struct Layer<'a> {
    tree: &'a Tree,
    items: Vec<Item>,
    notes: &'a mut Vec<String>,
}

impl Layer<'_> {
    /// Directories first, the others in the order of their blobs, further names last. Whether there is a utility VM.
    fn collect(&mut self, prepass: &Prepass<'_>) -> Result<bool> {
        let tree = self.tree;
        let at_root = |wanted: &str| {
            let name = |name: &&crate::tree::Name| {
                name.parent == NodeId::ROOT
                    && String::from_utf16_lossy(&name.long).eq_ignore_ascii_case(wanted)
            };
            tree.names.iter().find(name).is_some_and(|name| tree.nodes[name.node.0 as usize].is_directory())
        };
        // An image that was captured from a layer is one already.
        let is_layer = at_root("Files") && !at_root("Windows");
        let mut paths: Vec<Option<String>> = vec![None; tree.nodes.len()];
        if is_layer {
            paths[0] = Some(String::new());
        } else {
            paths[0] = Some("Files".to_owned());
            self.push("Files".to_owned(), NodeId::ROOT, What::Directory);
        }
        let mut files: Vec<(Option<u32>, usize, String)> = Vec::new();
        let mut seen = vec![false; tree.nodes.len()];
        let mut links = Vec::new();
        for (number, name) in tree.names.iter().enumerate() {
            // What is left out takes with it what is below.
            let Some(parent) = &paths[name.parent.0 as usize] else { continue };
            let Ok(text) = String::from_utf16(&name.long) else {
                self.notes.push(format!("{parent}: a name that is no Unicode was left out"));
                continue;
            };
            let path = if parent.is_empty() { text.clone() } else { format!("{parent}/{text}") };
            let part_of_layer = |top: &str| path == top || path.starts_with(&format!("{top}/"));
            if is_layer && !part_of_layer("Files") && path != "UtilityVM" && !part_of_layer("UtilityVM/Files")
            {
                continue;
            }
            if text.starts_with(".wh.") {
                self.notes.push(format!("{path} was left out: in a layer such a name deletes a file"));
                continue;
            }
            let node = &tree.nodes[name.node.0 as usize];
            if node.is_directory() && node.reparse.is_none() {
                // As hcsshim does: what was thrown away has names that it stumbles over.
                if path.eq_ignore_ascii_case("Files/$Recycle.Bin") {
                    continue;
                }
                self.push(path.clone(), name.node, What::Directory);
                paths[name.node.0 as usize] = Some(path);
            } else if std::mem::replace(&mut seen[name.node.0 as usize], true) {
                links.push((name.node, path));
            } else {
                let blob = match node.data {
                    Some(Content::Blob { blob, .. }) => Some(blob),
                    _ => None,
                };
                files.push((blob, number, path));
            }
        }
        files.sort_by_key(|(blob, number, _)| (*blob, *number));
        // For each node the item that is its first name.
        let mut first: Vec<Option<usize>> = vec![None; tree.nodes.len()];
        for (_, number, path) in files {
            let id = tree.names[number].node;
            first[id.0 as usize] = self.file(path, id, prepass)?;
        }
        for (node, path) in links {
            if let Some(target) = first[node.0 as usize] {
                self.push(path, node, What::Link(target));
            }
        }
        Ok(self.items.iter().any(|item| item.path == "UtilityVM/Files"))
    }

    fn push(&mut self, path: String, node: NodeId, what: What) {
        self.items.push(Item { path, node, what, header: 0 });
    }

    /// A file or link with its streams; the number of its item, unless it was left out.
    fn file(&mut self, path: String, id: NodeId, prepass: &Prepass<'_>) -> Result<Option<usize>> {
        let node: &Node = &self.tree.nodes[id.0 as usize];
        if node.attributes & ATTRIBUTE_ENCRYPTED != 0 {
            self.notes.push(format!("{path} was left out: it is encrypted"));
            return Ok(None);
        }
        let what = match &node.reparse {
            None => What::File,
            Some(reparse) => {
                let data = prepass.read(&reparse.data, MAX_REPARSE)?;
                match print_name(reparse.tag, &data) {
                    Some(target) => What::Symlink { target, junction: reparse.tag == TAG_MOUNT_POINT },
                    None => {
                        let tag = reparse.tag;
                        self.notes.push(format!(
                            "{path} was left out: a layer cannot hold reparse points {tag:#010x}"
                        ));
                        return Ok(None);
                    }
                }
            }
        };
        let number = self.items.len();
        let streams = if matches!(what, What::File) { node.named.len() } else { 0 };
        self.push(path, id, what);
        for stream in 0..streams {
            let Ok(name) = String::from_utf16(&node.named[stream].name) else { continue };
            let path = format!("{}:{name}", self.items[number].path);
            self.push(path, id, What::Stream(stream));
        }
        Ok(Some(number))
    }
}
