//! One module per command: its arguments to a library call, the result to the screen.

pub(crate) mod build;
pub(crate) mod cat;
pub(crate) mod extract;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod verify;

use std::borrow::Cow;

use anyhow::Context;

use image::tree::NodeId;
use image::{NameId, TreeIndex, WimSource};

use crate::args::Resources;

/// A path inside the image of a WIM.
fn find(
    index: &TreeIndex<'_>,
    source: &WimSource,
    path: &str,
) -> Result<(Option<NameId>, NodeId), image::Error> {
    index.find(path).ok_or_else(|| image::Error::NotFound {
        path: source.path().to_owned(),
        what: format!("no {path:?} in the image; `wimforge ls` shows what there is"),
    })
}

/// What a path inside the image names, patterns included: at least one thing.
fn find_all(
    index: &TreeIndex<'_>,
    source: &WimSource,
    path: &str,
) -> Result<Vec<(Option<NameId>, NodeId)>, image::Error> {
    let found = index.find_all(path);
    if found.is_empty() { find(index, source, path).map(|found| vec![found]) } else { Ok(found) }
}

/// A name as it can be shown: control characters, which could move a terminal's cursor or end the line, as escapes.
fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        text.chars().map(escaped).collect::<String>().into()
    } else {
        text.into()
    }
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
