//! The part of `info` that speaks of ISO images.

use std::io::Write;

use image::{IsoSource, IsoWim, WimChoice, WimSource};
use picture::{human, printable};
use serde_json::{Value, json};

use super::info::{image_table, wim_json};
use crate::args::{Common, Info};
use crate::report::say;

/// Which of its trees is read, what is in it, and the images of its WIMs.
pub(super) fn run(args: &Info, common: &Common, out: &mut dyn Write) -> anyhow::Result<()> {
    let source = IsoSource::open(&args.file)?;
    let info = source.info();
    if common.json {
        let wims: Vec<Value> = info.wims.iter().map(|wim| wim_as_json(&source, wim)).collect();
        let path = args.file.to_string_lossy();
        let report = json!({ "schema": "wimforge.info.iso/1", "path": path, "iso": info, "wims": wims });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{}: ISO image of {}", args.file.display(), human(info.size))?;
        writeln!(out, "label    {}", printable(&info.label))?;
        let version = if info.version.is_empty() { String::new() } else { format!(" {}", info.version) };
        writeln!(out, "tree     {}{version}, of {}: {}", info.tree, info.trees.join(", "), info.reason)?;
        writeln!(
            out,
            "holds    {} files, {} directories, {}",
            info.files,
            info.directories,
            human(info.bytes)
        )?;
        for wim in &info.wims {
            writeln!(out, "wim      {}, {}", printable(&wim.path), human(wim.size))?;
            match open(&source, wim) {
                Ok(opened) if wim.part == Some(1) => {
                    let mut table = Vec::new();
                    image_table(&opened, &mut table)?;
                    for line in String::from_utf8_lossy(&table).lines() {
                        writeln!(out, "           {line}")?;
                    }
                }
                Ok(_) => writeln!(out, "           part {} of the split set", wim.part.unwrap_or_default())?,
                Err(error) => {
                    writeln!(out, "           {}", printable(&format!("{:#}", anyhow::Error::new(error))))?
                }
            }
        }
    }
    if !common.quiet {
        info.damage.iter().for_each(|damage| say(&format!("damaged: {damage}")));
    }
    Ok(())
}

fn open(source: &IsoSource, wim: &IsoWim) -> Result<WimSource, image::Error> {
    source.wim(&WimChoice::Path(wim.path.clone()))
}

/// All parts of a split set have the same images; they are shown with the first.
fn wim_as_json(source: &IsoSource, wim: &IsoWim) -> Value {
    match open(source, wim) {
        Ok(opened) => json!({
            "path": wim.path,
            "size": wim.size,
            "part": wim.part,
            "parts": opened.wim().header().parts,
            "images": if wim.part == Some(1) { wim_json(&opened)["images"].take() } else { json!([]) },
        }),
        Err(error) => {
            json!({ "path": wim.path, "size": wim.size, "problem": format!("{:#}", anyhow::Error::new(error)) })
        }
    }
}
