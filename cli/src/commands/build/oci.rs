//! `wimforge build --format oci`: an image for containers instead of a disk.

use std::io::{self, Write};
use std::time::Instant;

use image::{LayerPlan, Output, Recipe, Run};
use picture::human;

use crate::args::{Build, Common};
use crate::report::say;

pub(super) fn run(args: &Build, common: &Common, recipe: Recipe, run: Run<'_>) -> anyhow::Result<()> {
    for (option, given) in [("--record", args.record.is_some()), ("--manifest", args.manifest)] {
        if given {
            let problem = format!("{option} describes a disk; --format oci makes none");
            return Err(image::Error::Recipe(problem).into());
        }
    }
    let started = Instant::now();
    let output = recipe.output.clone();
    let poll = super::poll(run.counters);
    let plan = crate::progress::during("planning", common.quiet, &poll, || LayerPlan::new(recipe, run))?;
    let summary = plan.summary();
    if !common.quiet {
        for note in &summary.notes {
            say(&format!("note: {note}"));
        }
    }
    if !args.dry_run {
        crate::progress::during("building", common.quiet, &poll, || plan.write(run))?;
    }
    let report = if common.json {
        let value = serde_json::json!({
            "schema": "wimforge.build-oci/1",
            "output": match &output {
                Output::File(path) => path.to_string_lossy(),
                Output::Stdout => "-".into(),
            },
            "dry_run": args.dry_run,
            "summary": summary,
        });
        format!("{value:#}\n")
    } else {
        let name = summary.image_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        format!(
            "image {}{name}, Windows {}\nlayer: {} members, {}{}\n{:.1} s\n",
            summary.image,
            summary.os_version,
            summary.entries,
            human(summary.layer_size),
            if summary.utility_vm { ", with a utility VM" } else { "" },
            started.elapsed().as_secs_f64()
        )
    };
    io::stdout().lock().write_all(report.as_bytes())?;
    Ok(())
}
