//! `wimforge build`

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Context;
use disk::FileTime;
use image::{Boot, Compact, Counters, Output, PartialFile, Plan, Profile, Recipe, Run, Stage, Summary};

use crate::args::{Build, Common};
use crate::report::say;
use crate::size::human;
use crate::{progress, signal};

pub(crate) fn run(args: &Build, common: &Common) -> anyhow::Result<ExitCode> {
    let cancel = signal::cancel_flag()?;
    let to_stdout = args.output.as_os_str() == "-";
    if to_stdout && !args.dry_run && io::stdout().is_terminal() {
        return Err(image::Error::Recipe(
            "a disk is not for a terminal; redirect standard output".to_owned(),
        )
        .into());
    }
    let counters = Counters::default();
    let pool = super::pool(&args.resources)?;
    let poll = || (counters.rendered.load(Ordering::Relaxed), counters.total.load(Ordering::Relaxed));
    let profile = args.profile.then(Profile::new);
    let run = Run {
        pool: &pool,
        memory: args.resources.memory,
        cancel,
        counters: &counters,
        profile: profile.as_ref(),
    };
    let started = Instant::now();
    let recipe = recipe(args, to_stdout)?;
    let plan = progress::during("planning", common.quiet, &poll, || Plan::new(recipe, run))?;
    if !common.quiet {
        for note in &plan.summary().notes {
            say(&format!("note: {note}"));
        }
    }
    if !args.dry_run {
        progress::during("building", common.quiet, &poll, || plan.write(run))?;
    }
    if let Some(path) = args.record.as_ref().filter(|_| !args.dry_run) {
        write_record(path, args.force, plan.summary())?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let report = if common.json {
        json(args, plan.summary(), to_stdout, profile.as_ref())?
    } else {
        text(args, plan.summary(), seconds)
    };
    if let Some(profile) = profile.as_ref().filter(|_| !common.json) {
        table(profile, seconds).lines().for_each(say);
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

fn recipe(args: &Build, to_stdout: bool) -> anyhow::Result<Recipe> {
    let output = if to_stdout { Output::Stdout } else { Output::File(args.output.clone()) };
    let cluster_size = u32::try_from(args.cluster_size)
        .map_err(|_| image::Error::Recipe(format!("--cluster-size: {} is past 2MiB", args.cluster_size)))?;
    Ok(Recipe {
        wim: args.in_iso.choice(),
        image: args.image.clone(),
        format: args.format,
        layout: args.layout,
        size: args.size,
        system_size: args.system_size,
        recovery_size: args.recovery_size,
        cluster_size,
        short_names: args.short_names,
        compact: args.compact_os.map(|algorithm| Compact {
            algorithm,
            assume_driver: args.assume_wof,
            verify_source: !args.no_verify_source,
        }),
        registry: args.registry.clone(),
        hives: args.hives.clone(),
        boot: Boot {
            files: !args.no_boot_files,
            code: args.boot_code,
            device: args.bcd_device,
            ex: args.bootex,
            timeout: args.boot_timeout,
            menu: args.boot_menu,
            ems: args.ems,
            debug: args.debug.clone(),
            test_signing: args.test_signing,
        },
        seed: args.seed.clone(),
        time: source_date_epoch()?,
        level: args.level,
        force: args.force,
        ..Recipe::new(&args.source, output)
    })
}

/// The time that reproducible builds agree on (reproducible-builds.org), when the environment gives one.
pub(super) fn source_date_epoch() -> anyhow::Result<Option<FileTime>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let text = text.to_string_lossy();
    let seconds =
        text.parse().with_context(|| format!("SOURCE_DATE_EPOCH={text:?} is not a number of seconds"))?;
    Ok(Some(FileTime::from_unix_seconds(seconds)))
}

/// What `verify --against --record` takes as changed on purpose.
fn write_record(path: &Path, force: bool, summary: &Summary) -> anyhow::Result<()> {
    let value = serde_json::json!({ "schema": "wimforge.record/1", "changes": summary.changes });
    let text = serde_json::to_string_pretty(&value)? + "\n";
    let file = PartialFile::create(path, force)?;
    file.file()?.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    Ok(file.commit()?)
}

/// Where the time went: a line for each stage, a column for each thread.
fn table(profile: &Profile, seconds: f64) -> String {
    use std::fmt::Write;
    let threads = profile.threads();
    let mut stages: Vec<Stage> =
        threads.iter().flat_map(|thread| &thread.seconds).map(|(stage, _)| *stage).collect();
    stages.sort_unstable();
    stages.dedup();
    let mut out = format!("{:<16}", "seconds");
    // Writing to a string cannot fail.
    for thread in &threads {
        let _ = write!(out, "{:>9}", thread.thread);
    }
    out.push('\n');
    for stage in stages {
        let _ = write!(out, "{:<16}", stage.name());
        for thread in &threads {
            let spent = thread.seconds.iter().find(|(there, _)| *there == stage);
            let _ = match spent {
                Some((_, spent)) => write!(out, "{spent:>9.3}"),
                None => write!(out, "{:>9}", "-"),
            };
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{:<16}{seconds:>9.3}", "in all");
    out
}

fn json(
    args: &Build,
    summary: &Summary,
    to_stdout: bool,
    profile: Option<&Profile>,
) -> anyhow::Result<String> {
    let output_size = match std::fs::metadata(&args.output) {
        Ok(metadata) if !args.dry_run && !to_stdout && metadata.is_file() => Some(metadata.len()),
        _ => None,
    };
    let value = serde_json::json!({
        "schema": "wimforge.build/1",
        "output": args.output.to_string_lossy(),
        "dry_run": args.dry_run,
        "output_size": output_size,
        "build": summary,
        "profile": profile.map(Profile::threads),
    });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn text(args: &Build, summary: &Summary, seconds: f64) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let name = summary.image_name.as_deref().unwrap_or("(no name)");
    let verb = if args.dry_run { "would build" } else { "built" };
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{verb} {} ({}): disk of {}, {} stored",
        args.output.display(),
        summary.format,
        human(summary.disk_size),
        human(summary.stored)
    );
    let _ = writeln!(
        out,
        "image {} {name:?}: {} files and directories, {}",
        summary.image,
        summary.files,
        human(summary.stream_bytes)
    );
    if let Some(compact) = &summary.compact {
        let algorithm = compact.algorithm.map_or_else(String::new, |algorithm| format!(" ({algorithm})"));
        let _ = writeln!(
            out,
            "compressed on the disk{algorithm}: {} files, {} in {} ({} copied as they were); left alone: {} files \
             that start Windows, {}, and {} others, {}",
            compact.files,
            human(compact.bytes),
            human(compact.stored),
            human(compact.copied),
            compact.early_files,
            human(compact.early_bytes),
            compact.other_files,
            human(compact.other_bytes)
        );
    }
    for partition in &summary.partitions {
        let _ = writeln!(
            out,
            "partition {} {:<9} at {:>9}  size {:>10}  type {}{}",
            partition.number,
            partition.name,
            human(partition.start),
            human(partition.size),
            partition.kind,
            if partition.active { "  active" } else { "" }
        );
    }
    let boot = &summary.boot;
    if boot.starts {
        let _ = writeln!(
            out,
            "starts on {}: boot code {}, {} boot files, {}; entry {} in {}{}",
            if boot.firmware == "bios" { "BIOS" } else { "UEFI" },
            boot.code,
            boot.files,
            human(boot.bytes),
            boot.entry.as_deref().unwrap_or("none"),
            boot.store.unwrap_or("no store"),
            if boot.recovery { "; recovery environment on the Recovery partition" } else { "" }
        );
    } else {
        let why =
            if args.no_boot_files { "no boot files were asked for" } else { "the image has no boot manager" };
        let _ = writeln!(out, "does not start by itself: {why}");
    }
    if !args.dry_run {
        let speed = summary.stored as f64 / seconds.max(1e-9);
        let _ = writeln!(out, "{seconds:.1} s, {}/s", human(speed as u64));
    }
    out
}
