//! One module per command: its arguments to a library call, the result to the screen.

pub(crate) mod against;
pub(crate) mod bcd;
mod boot_chain;
pub(crate) mod build;
pub(crate) mod cat;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod driver;
pub(crate) mod explain;
pub(crate) mod extract;
pub(crate) mod info;
mod iso_info;
pub(crate) mod ls;
pub(crate) mod map;
mod opened;
pub(crate) mod packaging;
pub(crate) mod preset;
pub(crate) mod reg;
pub(crate) mod verify;
mod volumes;

use anyhow::Context;

use image::tree::{Content, Node, NodeId};
use image::{NameId, TreeIndex};

use self::opened::Opened;
use crate::args::Resources;
use crate::report::say;

/// A path inside an image or volume.
fn find(
    index: &TreeIndex<'_>,
    source: &Opened,
    path: &str,
) -> Result<(Option<NameId>, NodeId), image::Error> {
    index.find(path).ok_or_else(|| {
        let meant = match meant(index, path) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => "`wimforge ls` shows what there is".to_owned(),
        };
        let what = format!("no {path:?} in the {}; {meant}", source.kind());
        image::Error::NotFound { path: source.file().to_owned(), what }
    })
}

/// The path that is most like one that leads nowhere: each name that is not there becomes the nearest one beside it.
fn meant(index: &TreeIndex<'_>, path: &str) -> Option<String> {
    // A path of a thousand names is nobody's slip, and each costs a look at a directory.
    const MOST: usize = 64;
    let names: Vec<&str> = path.split(['/', '\\']).filter(|name| !name.is_empty()).collect();
    if names.len() > MOST {
        return None;
    }
    let mut found = String::new();
    let mut guessed = false;
    for (depth, name) in names.iter().enumerate() {
        let (_, directory) = index.find(&found)?;
        let before = found.len();
        if !found.is_empty() {
            found.push('/');
        }
        let start = found.len();
        found.push_str(name);
        if index.find(&found).is_some() {
            continue;
        }
        let there: Vec<String> = index.children(directory).iter().map(|&child| index.text(child)).collect();
        let Some(near) = image::nearest(name, there.iter().map(String::as_str)) else {
            // What lies below a guess may not have been read: of a volume only the way that was asked for is.
            found.truncate(before);
            return guessed.then_some(found);
        };
        guessed = true;
        found.truncate(start);
        found.push_str(near);
        let rest = [&[&*found], &names[depth + 1..]].concat().join("/");
        if index.find(&rest).is_some() {
            return Some(rest);
        }
    }
    Some(found)
}

/// What a path inside an image or volume names, patterns included: at least one thing.
fn find_all(
    index: &TreeIndex<'_>,
    source: &Opened,
    path: &str,
) -> Result<Vec<(Option<NameId>, NodeId)>, image::Error> {
    let found = index.find_all(path);
    if found.is_empty() { find(index, source, path).map(|found| vec![found]) } else { Ok(found) }
}

/// Says which contents the WIM does not hold: what is listed or read may still be of use.
fn say_missing(index: &TreeIndex<'_>) {
    let tree = index.tree();
    let mut missing = 0;
    for (name, number) in tree.names.iter().zip((0..).map(NameId)) {
        for (stream, sha1) in gaps(&tree.nodes[name.node.0 as usize]) {
            missing += 1;
            if missing <= MOST_MISSING {
                let path = index.path(number) + &stream;
                say(&format!("warning: {path}: its content (SHA-1 {}) is not in the WIM", disk::hex(sha1)));
            }
        }
    }
    if missing > MOST_MISSING {
        say(&format!("warning: and {} more; `wimforge verify` tells all", missing - MOST_MISSING));
    }
}

/// How many missing contents are named.
const MOST_MISSING: usize = 20;

/// The streams of a file whose content is missing: what follows its name, and the SHA-1.
fn gaps(node: &Node) -> impl Iterator<Item = (String, &[u8; 20])> {
    let data = node.data.iter().map(|data| (String::new(), data));
    let reparse = node.reparse.iter().map(|reparse| (" (reparse point)".to_owned(), &reparse.data));
    let named = node
        .named
        .iter()
        .map(|stream| (format!(":{}", String::from_utf16_lossy(&stream.name)), &stream.content));
    data.chain(reparse).chain(named).filter_map(|(name, content)| match content {
        Content::Missing { sha1 } => Some((name, sha1)),
        _ => None,
    })
}

/// What a worker thread needs at the least: a unit of up to 3 MiB, its encoded form, a decoder, and compressed bytes.
const MEMORY_OF_A_THREAD: u64 = 8 << 20;

/// The worker threads of a command: as many as asked for, but no more than the memory allows.
fn pool(resources: &Resources) -> anyhow::Result<rayon::ThreadPool> {
    let wanted = match resources.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let afforded = usize::try_from(resources.memory / MEMORY_OF_A_THREAD).unwrap_or(usize::MAX);
    let threads = wanted.min(afforded).max(1);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting worker threads")
}
