//! `wimforge ls`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use image::tree::{Content, NodeId};
use image::{NameId, TreeIndex, WimSource};
use serde_json::json;

use crate::args::{Common, Ls};

pub fn run(args: &Ls, common: &Common) -> anyhow::Result<ExitCode> {
    let source = WimSource::open(&args.file)?;
    let tree = source.tree(source.choose(args.image.as_ref())?)?;
    let index = TreeIndex::new(&tree);
    let found = super::find(&index, &source, &args.path)?;

    let mut listed = Vec::new();
    // The names in what was asked for; the name itself when it is a file.
    match found {
        (Some(name), node) if !tree.nodes[node.0 as usize].is_directory() => listed.push(name),
        (_, node) => list(&index, node, args.recursive, &mut listed),
    }
    let mut out = BufWriter::new(io::stdout().lock());
    if common.json {
        let entries: Vec<_> = listed.iter().map(|&name| entry(&index, name)).collect();
        serde_json::to_writer_pretty(&mut out, &json!({ "schema": "wimforge.ls/1", "entries": entries }))?;
        writeln!(out)?;
    } else {
        for &name in &listed {
            let shown = if args.recursive { index.path(name) } else { index.text(name) };
            if args.long {
                let node = &tree.nodes[tree.names[name.0 as usize].node.0 as usize];
                let size = node.data.as_ref().map_or(0, Content::len);
                writeln!(out, "{} {size:>12} {} {shown}", attributes(node.attributes), node.times.written)?;
            } else {
                writeln!(out, "{shown}")?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
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

fn entry(index: &TreeIndex<'_>, name: NameId) -> serde_json::Value {
    let tree = index.tree();
    let of = &tree.names[name.0 as usize];
    let node = &tree.nodes[of.node.0 as usize];
    json!({
        "path": index.path(name),
        "short_name": of.short.as_deref().map(String::from_utf16_lossy),
        "attributes": node.attributes,
        "size": node.data.as_ref().map(Content::len),
        "created": node.times.created.to_string(),
        "written": node.times.written.to_string(),
        "accessed": node.times.accessed.to_string(),
        "links": index.names_of(of.node).len(),
        "reparse_tag": node.reparse.as_ref().map(|reparse| format!("{:#010x}", reparse.tag)),
        "streams": node.named.iter().map(|stream| json!({
            "name": String::from_utf16_lossy(&stream.name),
            "size": stream.content.len(),
        })).collect::<Vec<_>>(),
    })
}
