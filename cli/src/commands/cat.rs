//! `wimforge cat`

use std::io::{self, Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use image::tree::{ATTRIBUTE_ENCRYPTED, Content, NamedStream};
use image::{Error, Scope, TreeIndex, copy_blob};

use super::opened::{Choice, Found};
use crate::args::Cat;
use crate::report::say;

pub(crate) fn run(args: &Cat) -> anyhow::Result<ExitCode> {
    let asked = args.path.as_deref().unwrap_or_default();
    let (image, wim) = (args.image.as_ref(), args.in_iso.choice());
    let choice = Choice { image, wim, parents: args.chain.parents() };
    let source = Found::open(&args.file, &[asked], choice, args.raw)?.files()?;
    let asked = source.paths.first().map_or("", String::as_str);
    if asked.is_empty() {
        return Err(Error::Recipe(format!("{}: which file? Give its path", args.file.display())).into());
    }
    let (tree, blobs) = source.read(&Scope::paths([asked], false))?;
    let index = TreeIndex::new(&tree);
    let missing = |what: String| Error::NotFound { path: source.file().to_owned(), what };

    let (path, stream) = match index.find(asked) {
        // No file system of Windows has a name with a colon, but a WIM can say anything.
        Some(_) => (asked, None),
        None => split(asked),
    };
    let (name, node) = super::find(&index, &source, path)?;
    let node = &tree.nodes[node.0 as usize];
    let content = match stream {
        Some(wanted) => {
            let name = |units: &[u16]| String::from_utf16_lossy(units);
            let named = &node.named;
            let exact = named.iter().find(|stream| name(&stream.name) == wanted);
            let found = exact.or_else(|| named.iter().find(|s| name(&s.name).eq_ignore_ascii_case(wanted)));
            let what = || missing(format!("{path:?} has no stream {wanted:?}; {}", streams(named)));
            &found.ok_or_else(what)?.content
        }
        _ => node.data.as_ref().ok_or_else(|| {
            missing(format!(
                "{path:?} is a directory; `wimforge ls` lists it, `wimforge extract` extracts it"
            ))
        })?,
    };
    // A WIM has what its keys can make a file of again, a volume has only what it holds; reading that is refused.
    if stream.is_none() && node.attributes & ATTRIBUTE_ENCRYPTED != 0 && source.is_wim() {
        say(&format!("note: {path:?} is encrypted; this is its form for backups, which needs the keys"));
    }
    let mut out = io::stdout().lock();
    match content {
        Content::Empty => {}
        Content::Bytes(bytes) => out.write_all(bytes)?,
        Content::Missing { sha1 } => {
            let name = name.map_or_else(|| "/".to_owned(), |name| index.path(name));
            let name = stream.map_or_else(|| name.clone(), |stream| format!("{name}:{stream}"));
            return Err(Error::MissingBlob { path: args.file.clone(), name, sha1: disk::hex(sha1) }.into());
        }
        &Content::Hole { len } => {
            io::copy(&mut io::repeat(0).take(len), &mut out)?;
        }
        &Content::Blob { blob, .. } => {
            let output = |source| Error::Write { path: "standard output".into(), source };
            copy_blob(blobs.as_ref(), blobs.reader().as_mut(), blob, &mut Vec::new(), &mut |part| {
                out.write_all(part).map_err(output)
            })?;
        }
    }
    out.flush().context("writing standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// The file and the stream of `file`, `file:stream`, `file::$DATA` or `file:stream:$DATA`.
fn split(path: &str) -> (&str, Option<&str>) {
    let end = path.len().saturating_sub(DATA.len());
    let path = match path.split_at_checked(end) {
        Some((path, kind)) if kind.eq_ignore_ascii_case(DATA) => path,
        _ => path,
    };
    match path.rsplit_once(':') {
        Some((path, "")) => (path, None),
        Some((path, stream)) => (path, Some(stream)),
        None => (path, None),
    }
}

/// What kind of attribute all these streams are, as Windows spells it.
const DATA: &str = ":$DATA";

/// What there is instead.
fn streams(named: &[NamedStream]) -> String {
    match named {
        [] => "it has no named streams".to_owned(),
        _ => {
            let names = named.iter().map(|stream| format!("{:?}", String::from_utf16_lossy(&stream.name)));
            format!("it has {}", names.collect::<Vec<_>>().join(", "))
        }
    }
}
