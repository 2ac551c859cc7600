//! One module per command: its arguments to a library call, the result to the screen.

pub(crate) mod build;
pub(crate) mod cat;
pub(crate) mod extract;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod verify;

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

/// The worker threads of a command.
fn pool(resources: &Resources) -> anyhow::Result<rayon::ThreadPool> {
    let threads = match resources.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting worker threads")
}
