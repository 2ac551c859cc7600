//! `wimforge ls`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use image::pipeline::{BlobRead, BlobStore};
use image::tree::{Content, Node, NodeId, Reparse};
use image::{
    DiskFile, DiskVolume, NameId, Partitions, Scope, TreeIndex, VolumeOptions, copy_blob, reparse_target,
    sddl,
};
use picture::{human, printable};
use serde_json::{Value, json};

use super::opened::{Choice, Found};
use crate::args::{Common, Ls};
use crate::report;

pub(crate) fn run(args: &Ls, common: &Common) -> anyhow::Result<ExitCode> {
    let (image, wim) = (args.image.as_ref(), args.in_iso.choice());
    let choice = Choice { image, wim, parents: args.chain.parents() };
    let source = match Found::open(&args.file, &[&args.path], choice, args.raw)? {
        Found::Files(opened) => opened,
        Found::Several(disk, partitions) => return list_partitions(&disk, &partitions, common),
    };
    let path = &source.paths[0];
    // Where other names of a file lie, only the whole of a volume tells.
    let scope = match args.detailed || common.json {
        true => Scope::all(),
        false => Scope::paths([path.as_str()], args.recursive),
    };
    let (tree, blobs) = source.read(&scope)?;
    let index = TreeIndex::new(&tree);
    let found = super::find_all(&index, &source, path)?;

    // What is in a directory that was named; files that were named, and all that a pattern names, themselves.
    let mut listed = Vec::new();
    let single = found.len() == 1;
    for (name, node) in found {
        match name {
            Some(name) if !single || !holds_names(&tree.nodes[node.0 as usize]) => {
                listed.push(name);
                if args.recursive {
                    list(&index, node, true, &mut listed);
                }
            }
            _ => list(&index, node, args.recursive, &mut listed),
        }
    }
    if !common.quiet {
        super::say_missing(&index);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    // Listed in the order of the names, which is not that of the contents.
    blobs.keep(&tree.reparse_blobs());
    let view = View { index: &index, blobs: blobs.as_ref() };
    if common.json {
        let mut reader = blobs.reader();
        // One by one: a list with all its details is many times as large as the tree.
        write!(out, "{{\n  \"schema\": \"wimforge.ls/1\",\n  \"entries\": [")?;
        for (position, &name) in listed.iter().enumerate() {
            let entry = view.entry(name, reader.as_mut());
            write!(out, "{}\n    {entry}", if position == 0 { "" } else { "," })?;
        }
        writeln!(out, "\n  ]\n}}")?;
    } else if args.detailed {
        let mut reader = blobs.reader();
        for &name in &listed {
            view.detailed(name, reader.as_mut(), &mut out)?;
        }
    } else {
        for &name in &listed {
            let shown = if args.recursive || !single { index.path(name) } else { index.text(name) };
            let shown = printable(&shown);
            if args.long {
                let node = view.node(name);
                let size = size(node.data.as_ref());
                writeln!(out, "{} {size:>12} {} {shown}", attributes(node.attributes), node.times.written)?;
            } else {
                writeln!(out, "{shown}")?;
            }
        }
    }
    out.flush()?;
    let sound = !source.say_damage(&tree);
    report::verdict(sound, source.read_error())
}

/// The partitions of a disk with several volumes.
fn list_partitions(disk: &DiskFile, partitions: &Partitions, common: &Common) -> anyhow::Result<ExitCode> {
    let label =
        |partition| DiskVolume::open(disk, partition, VolumeOptions::default()).map(|volume| volume.label());
    let each = partitions.partitions.iter();
    let each = each.map(|found| (found, label(found).unwrap_or_default()));
    let mut out = io::stdout().lock();
    if common.json {
        let entries: Vec<Value> = each
            .map(|(partition, label)| {
                json!({
                    "number": partition.number,
                    "start": partition.start,
                    "size": partition.size,
                    "kind": partition.kind.to_string(),
                    "name": partition.name,
                    "file_system": partition.file_system,
                    "label": label,
                })
            })
            .collect();
        writeln!(out, "{:#}", json!({ "schema": "wimforge.ls.partitions/1", "partitions": entries }))?;
    } else {
        for (partition, label) in each {
            let system = partition.file_system.as_ref().map_or("-", |found| found.name);
            let name = if label.is_empty() { partition.name.clone().unwrap_or_default() } else { label };
            let line = format!(
                "{}  {system:<9} {:>10}  {}",
                partition.number,
                human(partition.size),
                printable(&name)
            );
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The length of a stream, if anybody knows.
fn size(content: Option<&Content>) -> String {
    match content {
        Some(Content::Missing { .. }) => "missing".to_owned(),
        Some(content) => content.len().to_string(),
        None => "0".to_owned(),
    }
}

fn known_len(content: &Content) -> Option<u64> {
    if let Content::Missing { .. } = content { None } else { Some(content.len()) }
}

/// A directory that leads elsewhere is shown itself, as a link is.
fn holds_names(node: &Node) -> bool {
    node.is_directory() && node.reparse.is_none()
}

fn list(index: &TreeIndex<'_>, directory: NodeId, recursive: bool, listed: &mut Vec<NameId>) {
    let tree = index.tree();
    let mut stack: Vec<NameId> = index.children(directory).iter().rev().copied().collect();
    while let Some(name) = stack.pop() {
        listed.push(name);
        if recursive {
            stack.extend(index.children(tree.names[name.0 as usize].node).iter().rev());
        }
    }
}

/// The attributes that people look for, one letter each, as `attrib` and PowerShell print them.
fn attributes(bits: u32) -> String {
    const LETTERS: [(u32, char); 10] = [
        (0x10, 'd'),
        (0x1, 'r'),
        (0x2, 'h'),
        (0x4, 's'),
        (0x20, 'a'),
        (0x400, 'l'),
        (0x200, 'p'),
        (0x800, 'c'),
        (0x4000, 'e'),
        (0x2000, 'n'),
    ];
    LETTERS.iter().map(|&(bit, letter)| if bits & bit != 0 { letter } else { '-' }).collect()
}

/// The largest reparse buffer there is ([MS-FSCC] 2.1.2).
const MAX_REPARSE: u64 = 16 * 1024;

/// The most names that a file can have on NTFS.
const MAX_LINKS: usize = 1024;

/// A tree, and the source of its contents.
struct View<'a> {
    index: &'a TreeIndex<'a>,
    blobs: &'a dyn BlobStore,
}

impl View<'_> {
    fn node(&self, name: NameId) -> &Node {
        let tree = self.index.tree();
        &tree.nodes[tree.names[name.0 as usize].node.0 as usize]
    }

    fn sha1(&self, content: &Content) -> Option<String> {
        match content {
            Content::Blob { blob, .. } => {
                self.blobs.states_sha1().then(|| disk::hex(&self.blobs.sha1(*blob)))
            }
            Content::Missing { sha1 } => Some(disk::hex(sha1)),
            Content::Empty | Content::Bytes(_) | Content::Hole { .. } => None,
        }
    }

    fn security(&self, node: &Node) -> Option<String> {
        let descriptor = &self.index.tree().descriptors[node.security?.0 as usize];
        // What SDDL cannot say is shown as it is.
        Some(sddl(descriptor).unwrap_or_else(|| disk::hex(descriptor)))
    }

    /// Where a reparse point leads, if it is a link and can be read; what is wrong with it otherwise.
    fn target(&self, reparse: &Reparse, reader: &mut dyn BlobRead) -> Result<Option<String>, String> {
        let mut data = Vec::new();
        match &reparse.data {
            &Content::Blob { blob, len } if len <= MAX_REPARSE => {
                copy_blob(self.blobs, reader, blob, &mut Vec::new(), &mut |part| {
                    data.extend_from_slice(part);
                    Ok(())
                })
                .map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
            }
            Content::Missing { .. } => return Err("its content is not in the WIM".to_owned()),
            Content::Bytes(bytes) => data.extend_from_slice(bytes),
            _ => return Ok(None),
        }
        Ok(reparse_target(reparse.tag, &data).map(|(target, _)| target))
    }

    /// The other names of a file: no more than NTFS allows, so that a list of links stays in proportion to their number.
    fn links(&self, name: NameId) -> Vec<String> {
        let node = self.index.tree().names[name.0 as usize].node;
        let others = self.index.names_of(node).iter().filter(|&&other| other != name);
        others.take(MAX_LINKS - 1).map(|&other| self.index.path(other)).collect()
    }

    fn entry(&self, name: NameId, reader: &mut dyn BlobRead) -> Value {
        let node = self.node(name);
        let reparse = match &node.reparse {
            Some(reparse) => {
                let target = self.target(reparse, reader);
                json!({
                    "tag": format!("{:#010x}", reparse.tag),
                    "target": target.as_ref().ok(),
                    "problem": target.as_ref().err(),
                    "size": known_len(&reparse.data),
                    "sha1": self.sha1(&reparse.data),
                })
            }
            None => Value::Null,
        };
        json!({
            "path": self.index.path(name),
            "short_name": self.short_name(name),
            "attributes": node.attributes,
            "size": node.data.as_ref().and_then(known_len),
            "missing": matches!(node.data, Some(Content::Missing { .. })),
            "sha1": node.data.as_ref().and_then(|data| self.sha1(data)),
            "created": node.times.created.to_string(),
            "written": node.times.written.to_string(),
            "accessed": node.times.accessed.to_string(),
            "security": self.security(node),
            "links": self.index.names_of(self.index.tree().names[name.0 as usize].node).len(),
            "other_links": self.links(name),
            "reparse": reparse,
            "object_id": node.object_id.as_ref().map(|object| disk::Guid(object.id).to_string()),
            "extended_attributes": node.extended.iter()
                .map(|ea| json!({ "name": String::from_utf8_lossy(&ea.name), "size": ea.value.len() }))
                .collect::<Vec<_>>(),
            "streams": node.named.iter().map(|stream| json!({
                "name": String::from_utf16_lossy(&stream.name),
                "size": known_len(&stream.content),
                "missing": matches!(stream.content, Content::Missing { .. }),
                "sha1": self.sha1(&stream.content),
            })).collect::<Vec<_>>(),
        })
    }

    fn short_name(&self, name: NameId) -> Option<String> {
        self.index.tree().names[name.0 as usize].short.as_deref().map(String::from_utf16_lossy)
    }

    fn detailed(&self, name: NameId, reader: &mut dyn BlobRead, out: &mut dyn Write) -> anyhow::Result<()> {
        let node = self.node(name);
        writeln!(out, "{}", printable(&self.index.path(name)))?;
        if let Some(short) = self.short_name(name) {
            writeln!(out, "  short name   {}", printable(&short))?;
        }
        writeln!(out, "  attributes   {} {:#x}", attributes(node.attributes), node.attributes)?;
        writeln!(out, "  created      {}", node.times.created)?;
        writeln!(out, "  written      {}", node.times.written)?;
        writeln!(out, "  accessed     {}", node.times.accessed)?;
        if let Some(security) = self.security(node) {
            writeln!(out, "  security     {security}")?;
        }
        let unnamed = node.data.iter().map(|data| ("(data)".to_owned(), data));
        let named =
            node.named.iter().map(|s| (format!(":{}", String::from_utf16_lossy(&s.name)), &s.content));
        for (stream, content) in unnamed.chain(named) {
            let sha1 = self.sha1(content).unwrap_or_else(|| "-".to_owned());
            let size = size(Some(content));
            writeln!(out, "  stream       {size:>12} {sha1:40} {}", printable(&stream))?;
        }
        if let Some(reparse) = &node.reparse {
            let target = match self.target(reparse, reader) {
                Ok(Some(target)) => target,
                Ok(None) => format!("{} bytes", size(Some(&reparse.data))),
                Err(problem) => format!("(cannot be read: {problem})"),
            };
            writeln!(out, "  reparse      tag {:#010x} {}", reparse.tag, printable(&target))?;
        }
        if let Some(object) = &node.object_id {
            writeln!(out, "  object id    {}", disk::Guid(object.id))?;
        }
        for ea in &node.extended {
            let name = String::from_utf8_lossy(&ea.name);
            writeln!(out, "  attribute    {} ({} bytes)", printable(&name), ea.value.len())?;
        }
        for link in self.links(name) {
            writeln!(out, "  also         {}", printable(&link))?;
        }
        Ok(())
    }
}
