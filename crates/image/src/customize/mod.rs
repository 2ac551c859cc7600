//! Customising: what a build changes in the image on purpose, between the source and the plan.

mod protection;
mod session;

use disk::FileTime;

pub(crate) use self::session::Session;
use crate::Result;
use crate::edit::Change;
use crate::prepass::Prepass;
use crate::recipe::Recipe;
use crate::registry::RegistryEdits;
use crate::spool::Spool;
use crate::tree::Tree;

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Customized {
    /// Every file.
    pub(crate) changes: Vec<Change>,
    /// What was noticed, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// Customises the tree of partition `partition`.
pub(crate) fn apply(
    tree: &mut Tree,
    recipe: &Recipe,
    edits: &RegistryEdits,
    prepass: &Prepass<'_>,
    spool: &Spool,
    partition: u32,
    time: FileTime,
) -> Result<Customized> {
    let mut session = Session::new(tree, &recipe.source, prepass, spool, partition, time, recipe.time);
    session.put_hives(edits)?;
    // Last, so that the user has the last word.
    session.apply_reg_files(edits)?;
    let (changes, notes) = session.finish()?;
    Ok(Customized { changes, notes })
}
