//! `wimforge extract`

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use image::{ExtractOptions, Extracted, NameId, Scope, TreeIndex, tree::NodeId};
use picture::{human, printable};

use super::opened::{Choice, Found};
use crate::args::{Common, Extract};
use crate::report::{self, say};
use crate::{progress, signal};

pub(crate) fn run(args: &Extract, common: &Common) -> anyhow::Result<ExitCode> {
    let cancel = signal::cancel_flag()?;
    let asked: Vec<&str> = match &args.paths[..] {
        [] => vec![""],
        paths => paths.iter().map(String::as_str).collect(),
    };
    let (image, wim) = (args.image.as_ref(), args.in_iso.choice());
    let choice = Choice { image, wim, parents: args.chain.parents() };
    let source = Found::open(&args.file, &asked, choice, args.raw)?.files()?;
    let everything = source.paths.iter().all(|path| path.is_empty());
    let scope = Scope::paths(source.paths.iter().map(String::as_str), true);
    let (tree, blobs) = source.read(&scope)?;
    let index = TreeIndex::new(&tree);
    let roots: Vec<(Option<NameId>, NodeId)> = if everything {
        vec![(None, NodeId::ROOT)]
    } else {
        let mut roots = Vec::new();
        for path in &source.paths {
            roots.extend(super::find_all(&index, &source, path)?);
        }
        roots
    };
    source.set_memory(args.resources.memory);
    let pool = super::pool(&args.resources)?;
    let written = AtomicU64::new(0);
    let total = if everything { tree.stream_bytes() } else { 0 };
    let poll = || (written.load(Ordering::Relaxed), total);
    let options = ExtractOptions {
        destination: &args.directory,
        force: args.force,
        pool: &pool,
        cancel,
        written: &written,
    };
    let extracted = progress::during("extracting", common.quiet, &poll, || {
        image::extract(&index, blobs.as_ref(), &roots, &options)
    })?;
    // What a volume that is damaged hides is not among what was to be extracted.
    let sound = !source.say_damage(&tree);
    let read_error = source.read_error().filter(|_| !sound || !extracted.failed.is_empty());
    if common.json && read_error.is_none() {
        let report = serde_json::json!({ "schema": "wimforge.extract/1", "path": args.file.to_string_lossy(), "extracted": extracted });
        writeln!(io::stdout().lock(), "{report:#}")?;
    } else if !common.json {
        if !common.quiet {
            left_out(&extracted);
        }
        writeln!(
            io::stdout().lock(),
            "extracted {} files, {} directories, {} hard links, {} symbolic links: {}",
            extracted.files,
            extracted.directories,
            extracted.hard_links + extracted.copied_links,
            extracted.symbolic_links,
            human(extracted.bytes)
        )?;
    }
    if extracted.failed.is_empty() {
        if !sound && read_error.is_none() {
            say(&format!("error: {}: is damaged, some of it could not be extracted", args.file.display()));
        }
        return report::verdict(sound, read_error);
    }
    for (path, problem) in &extracted.failed {
        say(&format!("failed: {path}: {problem}"));
    }
    let (file, them) = if extracted.failed.len() == 1 {
        ("1 file", "it")
    } else {
        (&*format!("{} files", extracted.failed.len()), "them")
    };
    if let Some(error) = read_error {
        let what = format!("{file} could not be extracted; all others are there");
        return Err(anyhow::Error::from(error).context(what));
    }
    say(&format!(
        "error: {}: {file} could not be extracted, the content is damaged or missing; all others are there{}",
        args.file.display(),
        source
            .checker()
            .map_or_else(String::new, |more| format!(". `wimforge {more}` tells more about {them}"))
    ));
    Ok(report::VERIFICATION.into())
}

/// What the host's file system cannot hold.
fn left_out(extracted: &Extracted) {
    for (count, what) in [
        (extracted.named_streams, "named streams"),
        (extracted.short_names, "8.3 names"),
        (extracted.security_descriptors, "security descriptors"),
        (extracted.attributes, "files' Windows attributes"),
        (extracted.object_ids_and_eas, "object ids and extended attributes"),
    ] {
        if count > 0 {
            say(&format!("note: {count} {what} left out, this file system has no place for them"));
        }
    }
    if extracted.copied_links > 0 {
        let count = extracted.copied_links;
        say(&format!("note: {count} hard links became copies, this file system has no links, or no more"));
    }
    for path in &extracted.encrypted {
        say(&format!("note: {}: encrypted, left out", printable(path)));
    }
    for path in &extracted.reparse_points {
        let path = printable(path);
        say(&format!(
            "note: {path}: reparse point left out, it is no link that leads to a place in the image"
        ));
    }
    for (path, written) in &extracted.renamed {
        say(&format!("note: {}: written as {written:?}, the name cannot be had here", printable(path)));
    }
}
