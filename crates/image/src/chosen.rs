//! The image that a recipe names, opened: what every way of planning begins with.

use disk::FileTime;

use crate::Result;
use crate::output;
use crate::recipe::Recipe;
use crate::registry::RegistryEdits;
use crate::source::WimSource;
use crate::spool::Spool;
use crate::tree::{Tree, as_u32};

/// An image, and what is needed to change it.
pub(crate) struct Chosen {
    /// Where it is.
    pub(crate) source: WimSource,
    /// Its number, from 1.
    pub(crate) index: u32,
    /// What is done to its registry.
    pub(crate) edits: RegistryEdits,
    /// Its files.
    pub(crate) tree: Tree,
    /// The time of what has none of its own.
    pub(crate) time: FileTime,
    /// What is put into it.
    pub(crate) spool: Spool,
}

impl Chosen {
    /// Reads the metadata of the source.
    pub(crate) fn open(recipe: &Recipe) -> Result<Self> {
        let source = WimSource::open_choice(&recipe.source, recipe.wim.as_ref())?;
        for part in source.parts() {
            output::refuse_source(part, &recipe.output)?;
        }
        let index = source.choose(recipe.image.as_ref())?;
        let edits = RegistryEdits::read(&recipe.registry, &recipe.hives)?;
        let tree = source.tree(index)?;
        let time = recipe.time.unwrap_or(tree.nodes[0].times.written);
        let spool = Spool::new(as_u32(source.wim().blobs().len()), &recipe.output);
        Ok(Self { source, index, edits, tree, time, spool })
    }
}
