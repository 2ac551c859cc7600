//! `wimforge build`

mod manifest;
mod oci;
mod report;
pub(crate) mod secrets;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Context;
use image::{Counters, Format, PartialFile, Plan, Profile, RecipeFile, Run, Summary};

use crate::args::{Build, Common};
use crate::report::say;
use crate::{progress, signal, source_date};

pub(crate) fn run(args: &Build, common: &Common) -> anyhow::Result<ExitCode> {
    let cancel = signal::cancel_flag()?;
    let file = recipe_file(args)?;
    let to_stdout = file.output.as_deref() == Some("-".as_ref());
    if to_stdout && !args.dry_run && io::stdout().is_terminal() {
        return Err(image::Error::Recipe(
            "a disk is not for a terminal; redirect standard output".to_owned(),
        )
        .into());
    }
    let beside = file.output.as_ref().is_none_or(|path| !path.exists() || path.is_file());
    if args.manifest && (to_stdout || !beside) {
        let problem = "--manifest is written beside the output, which has no place for it here";
        return Err(image::Error::Recipe(problem.to_owned()).into());
    }
    let mut recipe = file.clone().resolve(&mut secrets::reader())?;
    (recipe.time, recipe.force) = (source_date::from_environment()?, args.force);
    let counters = Counters::default();
    let pool = super::pool(&args.resources)?;
    let poll = poll(&counters);
    let profile = args.profile.then(Profile::new);
    let run = Run {
        pool: &pool,
        memory: args.resources.memory,
        cancel,
        counters: &counters,
        profile: profile.as_ref(),
    };
    if recipe.format()? == Format::Oci {
        oci::run(args, common, recipe, run)?;
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    if args.manifest {
        // Said before anything is written.
        as_json(&file)?;
    }
    // Not after hours.
    let manifest = args.manifest.then(|| manifest::path(&file));
    let beside = args.record.iter().chain(&manifest).filter(|_| !args.dry_run && !args.force);
    for path in beside {
        if path.symlink_metadata().is_ok() {
            return Err(image::Error::Exists { path: path.clone() }.into());
        }
    }
    let inputs = args.manifest.then(|| manifest::inputs(args, &file)).transpose()?;
    let plan = progress::during("planning", common.quiet, &poll, || Plan::new(recipe, run))?;
    if !common.quiet {
        for note in &plan.summary().notes {
            say(&format!("note: {note}"));
        }
    }
    if !args.dry_run {
        progress::during("building", common.quiet, &poll, || plan.write(run))?;
    }
    let summary = plan.summary();
    if let Some(path) = args.record.as_ref().filter(|_| !args.dry_run) {
        write_record(path, args.force, summary)?;
    }
    if let Some(inputs) = inputs.filter(|_| !args.dry_run) {
        manifest::write(&file, inputs, summary, args.force)?;
    }
    let done =
        report::Done { args, file: &file, summary, to_stdout, seconds: started.elapsed().as_secs_f64() };
    let report = if common.json { done.json(profile.as_ref())? } else { done.text() };
    if let Some(profile) = profile.as_ref().filter(|_| !common.json) {
        report::table(profile, done.seconds).lines().for_each(say);
    }
    if let Some(path) = args.log.as_ref().filter(|_| !args.dry_run) {
        let notes: String = summary.notes.iter().map(|note| format!("note: {note}\n")).collect();
        let log = notes + &done.text();
        std::fs::write(path, log).with_context(|| format!("writing {}", path.display()))?;
    }
    if to_stdout && !args.dry_run {
        if !common.quiet {
            report.lines().for_each(say);
        }
    } else {
        io::stdout().lock().write_all(report.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How far the work is.
pub(crate) fn poll(counters: &Counters) -> impl Fn() -> (u64, u64) + Sync + '_ {
    || (counters.rendered.load(Ordering::Relaxed), counters.total.load(Ordering::Relaxed))
}

/// The presets, the recipe over them, the command line over all.
pub(crate) fn recipe_file(args: &Build) -> anyhow::Result<RecipeFile> {
    let file = match &args.recipe {
        Some(path) => RecipeFile::read(path)?,
        None => RecipeFile::default(),
    };
    Ok(file.overlaid(args.to_recipe()?).with_presets()?)
}

/// The recipe as JSON, which cannot hold every path.
fn as_json(file: &RecipeFile) -> anyhow::Result<serde_json::Value> {
    let value = serde_json::to_value(file);
    Ok(value.map_err(|error| image::Error::Recipe(format!("the recipe cannot be written down: {error}")))?)
}

/// What `verify --against --record` takes as changed on purpose.
fn write_record(path: &Path, force: bool, summary: &Summary) -> anyhow::Result<()> {
    let value = serde_json::json!({ "schema": "wimforge.record/1", "changes": summary.changes });
    let text = serde_json::to_string_pretty(&value)? + "\n";
    let file = PartialFile::create(path, force)?;
    file.file()?.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    Ok(file.commit()?)
}
