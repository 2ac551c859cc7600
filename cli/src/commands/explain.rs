//! `wimforge explain`

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use image::{
    Counters, DiskFile, Error, ExplainOptions, FileKind, Format, PartialFile, Plan, RecipeFile, Run, explain,
    explain_plan,
};
use picture::{Explained, TextStyle, html, svg, text};

use super::build::{poll, recipe_file, secrets};
use super::opened;
use crate::args::{Common, Explain};
use crate::{progress, signal, source_date};

pub(crate) fn run(args: &Explain, common: &Common) -> anyhow::Result<ExitCode> {
    let cancel = signal::cancel_flag()?;
    // What cannot be written is said before the work.
    let open = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| PartialFile::create(path, args.build.force)).transpose()
    };
    let (svg_file, html_file) = (open(&args.svg)?, open(&args.html)?);
    let explained = match subject(args)? {
        Subject::Disk(path) => of_disk(args, common, &path)?,
        Subject::Plan(file) => of_plan(args, common, *file, cancel)?,
    };
    signal::check()?;
    if let Some(file) = svg_file {
        write(file, &svg(&explained))?;
    }
    if let Some(file) = html_file {
        write(file, &html(&explained))?;
    }
    let mut out = io::stdout().lock();
    if common.json {
        let mut value = serde_json::to_value(&explained)?;
        value["schema"] = "wimforge.explain/1".into();
        writeln!(out, "{value:#}")?;
    } else {
        out.write_all(text(&explained, &style()).as_bytes())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write(file: PartialFile, drawn: &str) -> anyhow::Result<()> {
    file.file()?.write_all(drawn.as_bytes()).context("writing the drawing")?;
    Ok(file.commit()?)
}

/// What is to be explained.
enum Subject {
    Disk(PathBuf),
    Plan(Box<RecipeFile>),
}

fn subject(args: &Explain) -> anyhow::Result<Subject> {
    let mut file = recipe_file(&args.build)?;
    let is_recipe = |path: &Path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    if let Some(path) = file.source.clone().filter(|path| is_recipe(path)) {
        file.source = None;
        file = RecipeFile::read(&path)?.overlaid(file).with_presets()?;
    }
    let Some(source) = file.source.clone() else {
        return Err(
            Error::Recipe("there is no source: give a WIM, an ISO, a disk or a recipe".to_owned()).into()
        );
    };
    // Directories, and what is not there, get the words of whoever opens WIMs.
    let kind = if source.is_dir() { FileKind::Wim } else { opened::kind(&source)? };
    if matches!(kind, FileKind::Wim | FileKind::Iso) {
        if file.output.is_none() {
            // A name, and not standard output: what lies beside a disk has names by it.
            file.output = Some(source.with_extension("disk"));
            if file.format.is_none() && file.r#for.is_none() {
                file.format = Some("raw".parse().map_err(Error::Recipe)?);
            }
        }
        return Ok(Subject::Plan(Box::new(file)));
    }
    let only = RecipeFile { source: Some(source.clone()), ..RecipeFile::default() };
    if file != only {
        let what =
            "is a disk, which is explained as it is; options of `build` are for a WIM, an ISO or a recipe";
        return Err(Error::Recipe(format!("{} {what}", source.display())).into());
    }
    Ok(Subject::Disk(source))
}

fn of_disk(args: &Explain, common: &Common, path: &Path) -> anyhow::Result<Explained> {
    let counters = Counters::default();
    let options = ExplainOptions { sample: args.sample, counters: Some(&counters) };
    let disk = DiskFile::open_with(path, &args.chain.parents())?;
    Ok(progress::during("reading", common.quiet, &poll(&counters), || explain(&disk, options))?)
}

fn of_plan(
    args: &Explain,
    common: &Common,
    file: RecipeFile,
    cancel: &AtomicBool,
) -> anyhow::Result<Explained> {
    let mut recipe = file.resolve(&mut secrets::reader())?;
    recipe.time = source_date::from_environment()?;
    // Nothing is written: what exists under the output's name is in nobody's way.
    recipe.force = true;
    if recipe.format()? == Format::Oci {
        let what =
            "an OCI layer is no disk; `wimforge build --format oci --dry-run` says what would be in it";
        return Err(Error::Recipe(what.to_owned()).into());
    }
    let counters = Counters::default();
    let pool = super::pool(&args.build.resources)?;
    let memory = args.build.resources.memory;
    let run = Run { pool: &pool, memory, cancel, counters: &counters, profile: None };
    let plan = progress::during("planning", common.quiet, &poll(&counters), || Plan::new(recipe, run))?;
    let counters = Counters::default();
    let options = ExplainOptions { sample: args.sample, counters: Some(&counters) };
    Ok(progress::during("reading", common.quiet, &poll(&counters), || explain_plan(plan, options))?)
}

/// What standard output can show. (no-color.org; a locale that is UTF-8.)
fn style() -> TextStyle {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let terminal = io::stdout().is_terminal();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    let utf8 = cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8");
    let dumb = set("TERM").is_some_and(|term| term == "dumb");
    let columns = terminal_size::terminal_size_of(io::stdout()).map_or(0, |(width, _)| usize::from(width.0));
    TextStyle {
        unicode: terminal && utf8 && !dumb,
        color: terminal && set("NO_COLOR").is_none() && !dumb,
        columns,
    }
}
