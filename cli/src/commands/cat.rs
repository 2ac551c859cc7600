//! `wimforge cat`

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use image::pipeline::BlobStore;
use image::tree::Content;
use image::{Error, TreeIndex, WimSource, copy_blob};

use crate::args::Cat;

pub(crate) fn run(args: &Cat) -> anyhow::Result<ExitCode> {
    let source = WimSource::open(&args.file)?;
    let image = source.choose(args.image.as_ref())?;
    let tree = source.tree(image)?;
    let index = TreeIndex::new(&tree);
    let missing = |what: String| Error::NotFound { path: args.file.clone(), what };

    // A colon cannot be part of a file name, so what follows one is a stream.
    let (path, stream) = match args.path.rsplit_once(':') {
        Some((path, stream)) => (path, Some(stream)),
        None => (args.path.as_str(), None),
    };
    let (_, node) = super::find(&index, &source, path)?;
    let node = &tree.nodes[node.0 as usize];
    let content = match stream {
        Some(wanted) if !wanted.is_empty() => {
            let name = |units: &[u16]| String::from_utf16_lossy(units);
            let named = &node.named;
            let exact = named.iter().find(|stream| name(&stream.name) == wanted);
            let found = exact.or_else(|| named.iter().find(|s| name(&s.name).eq_ignore_ascii_case(wanted)));
            &found.ok_or_else(|| missing(format!("{path} has no stream {wanted:?}")))?.content
        }
        _ => node.data.as_ref().ok_or_else(|| {
            missing(format!("{path} is a directory; `wimforge ls` lists it, `wimforge extract` extracts it"))
        })?,
    };
    let mut out = io::stdout().lock();
    match content {
        Content::Empty => {}
        Content::Bytes(bytes) => out.write_all(bytes)?,
        &Content::Blob { blob, .. } => {
            let blobs = source.blobs(image);
            let output = |source| Error::Write { path: "standard output".into(), source };
            copy_blob(&blobs, blobs.reader().as_mut(), blob, &mut Vec::new(), &mut |part| {
                out.write_all(part).map_err(output)
            })?;
        }
    }
    out.flush().context("writing standard output")?;
    Ok(ExitCode::SUCCESS)
}
