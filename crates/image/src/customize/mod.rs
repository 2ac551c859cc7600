//! Customising: what a build changes in the image on purpose, between the source and the plan.
//!
//! In this order, so that each sees what it builds on, and the user has the last word: hives that take the places of
//! others, packages, drivers, copied files, the first boot, values of the recipe, `.reg` files. What is to be done is
//! computed by crates that know nothing of images; here it is carried out, through one [`Session`].
//!
//! Without anything to do, nothing is opened: the hives of the disk are those of the image, byte for byte.

mod about;
mod copy;
mod first_boot;
mod https;
mod packages;
mod protection;
pub(crate) mod report;
mod session;

use disk::FileTime;

pub use self::about::About;
pub(crate) use self::https::Beside;
pub(crate) use self::protection::{Protection, inherited};
use self::report::CopyReport;
pub use self::report::Report;
pub(crate) use self::session::Session;
use crate::drivers::{DriverSource, inject};
use crate::edit::Change;
use crate::prepass::Prepass;
use crate::recipe::Recipe;
use crate::registry::RegistryEdits;
use crate::spool::Spool;
use crate::tree::Tree;
use crate::{Error, Result};

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Customized {
    /// Every file.
    pub(crate) changes: Vec<Change>,
    /// What was noticed, one sentence each.
    pub(crate) notes: Vec<String>,
    /// What Windows it is.
    pub(crate) about: About,
    /// What was done.
    pub(crate) report: Report,
    /// What is written beside the disk.
    pub(crate) beside: Beside,
}

/// What customising needs of a build.
pub(crate) struct Context<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) edits: &'a RegistryEdits,
    pub(crate) info: Option<&'a wim::ImageInfo>,
    pub(crate) prepass: &'a Prepass<'a>,
    pub(crate) spool: &'a Spool,
    /// The number of the partition that the tree becomes.
    pub(crate) partition: u32,
    pub(crate) time: FileTime,
}

/// Customises a tree.
pub(crate) fn apply(tree: &mut Tree, context: &Context<'_>) -> Result<Customized> {
    let Context { recipe, edits, info, prepass, spool, partition, time } = *context;
    let customize = &recipe.customize;
    if customize.is_empty() && edits.is_empty() {
        return Ok(Customized { about: About::of(info), ..Customized::default() });
    }
    let mut session = Session::new(tree, &recipe.source, prepass, spool, partition, time, recipe.time);
    session.put_hives(edits)?;
    let mut about = About::of(info);
    let (mut report, mut beside) = (Report::default(), Beside::default());
    if !customize.is_empty() {
        if customize.asks_about_windows() {
            about.look_into(&mut session)?;
        }
        let packages = packages::apply(&mut session, recipe, &about)?;
        report.packages = packages.reports;
        let mut sources = Vec::new();
        for it in packages.drivers {
            sources.push(DriverSource::package(&it.path, it.package, &it.drivers)?);
        }
        for path in &customize.drivers {
            sources.push(DriverSource::open(path)?);
        }
        if !sources.is_empty() {
            let Some(target) = about.target() else {
                let problem = "which drivers the image takes is not known: neither its description nor its registry says \
                               for which architecture and build it is";
                return Err(Error::Recipe(problem.to_owned()));
            };
            report.drivers = inject(&mut session, &sources, &target, customize.allow_unsigned)?;
        }
        for choice in &customize.copies {
            let copied = copy::apply(&mut session, choice)?;
            let (from, to) = (choice.from.display().to_string(), choice.to.clone());
            report.copies.push(CopyReport { from, to, files: copied.files, bytes: copied.bytes });
        }
        let mut https = None;
        if let Some(choice) = &customize.https {
            let made = https::make(choice, customize, time)?;
            session.notes.extend(made.notes);
            (https, beside) = (Some(made.https), made.beside);
            report.certificate = Some(made.report);
        }
        first_boot::apply(&mut session, customize, packages.staged, https, &about, &mut report)?;
        for value in &customize.values {
            session.registry("recipe", &[value.operation()?])?;
        }
    }
    session.apply_reg_files(edits)?;
    let (mut changes, notes) = session.finish(&mut report)?;
    // A password is guessed from the hash of a file whose other lines are known.
    for change in &mut changes {
        let path = change.path.trim_start_matches('\\');
        if report.secrets.iter().any(|secret| secret.path.eq_ignore_ascii_case(path)) {
            change.sha1 = None;
        }
    }
    Ok(Customized { changes, notes, about, report, beside })
}
