//! What a build ends with: what was done, for people and for programs. Nothing of it is secret.

use std::fmt::Write;

use image::{About, Profile, RecipeFile, Report, Stage, Summary};
use picture::human;

use crate::args::Build;

/// A build that is done, or planned.
pub(super) struct Done<'a> {
    pub(super) args: &'a Build,
    pub(super) file: &'a RecipeFile,
    pub(super) summary: &'a Summary,
    pub(super) to_stdout: bool,
    pub(super) seconds: f64,
}

impl Done<'_> {
    /// Bytes of the file that was written.
    fn output_size(&self) -> Option<u64> {
        let path = self.file.output.as_ref().filter(|_| !self.args.dry_run && !self.to_stdout)?;
        let metadata = std::fs::metadata(path).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    pub(super) fn json(&self, profile: Option<&Profile>) -> anyhow::Result<String> {
        let output = self.file.output.clone().unwrap_or_default();
        let value = serde_json::json!({
            "schema": "wimforge.build/1",
            "output": output.to_string_lossy(),
            "dry_run": self.args.dry_run,
            "output_size": self.output_size(),
            "recipe": self.args.dry_run.then(|| super::as_json(self.file)).transpose()?,
            "build": self.summary,
            "profile": profile.map(Profile::threads),
        });
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }

    pub(super) fn text(&self) -> String {
        let (summary, seconds) = (self.summary, self.seconds);
        let output = self.file.output.clone().unwrap_or_default();
        let mut out = String::new();
        if self.args.dry_run {
            let _ = writeln!(out, "# the recipe, resolved\n{}", self.file.to_toml());
        }
        let name = summary.image_name.as_deref().unwrap_or("(no name)");
        let verb = if self.args.dry_run { "would build" } else { "built" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{verb} {} ({}): disk of {}, {} stored",
            output.display(),
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
        windows(&summary.about, &mut out);
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
            let why = if self.file.no_boot_files {
                "no boot files were asked for"
            } else {
                "the image has no boot manager"
            };
            let _ = writeln!(out, "does not start by itself: {why}");
        }
        customized(&summary.customized, &mut out);
        if let Some(size) = self.output_size() {
            let _ = writeln!(out, "{}: {}", output.display(), human(size));
        }
        if !self.args.dry_run {
            let speed = summary.stored as f64 / seconds.max(1e-9);
            let _ = writeln!(out, "{seconds:.1} s, {}/s", human(speed as u64));
        }
        out
    }
}

/// What Windows it is.
fn windows(about: &About, out: &mut String) {
    let build = about.build.map(|build| match about.revision {
        Some(revision) => format!("build {build}.{revision}"),
        None => format!("build {build}"),
    });
    let parts = [
        about.product.clone(),
        about.edition.clone().map(|edition| format!("edition {edition}")),
        about.installation.clone(),
        build,
        about.architecture.map(str::to_owned),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        let _ = writeln!(out, "windows: {}", parts.join(", "));
    }
}

/// What was changed in the image.
fn customized(report: &Report, out: &mut String) {
    for package in &report.packages {
        let name = package.identity.as_deref().unwrap_or(&package.path);
        let _ = write!(out, "package {name}: {}", package.way);
        if package.files > 0 {
            let _ = write!(out, ", {} files", package.files);
        }
        if let Some(why) = package.why.first() {
            let more = if package.why.len() > 1 { ", and more" } else { "" };
            let _ = write!(out, " ({why}{more})");
        }
        out.push('\n');
        for detail in &package.details {
            let _ = writeln!(out, "  {detail}");
        }
    }
    for driver in &report.drivers {
        let when = if driver.boot_critical {
            "Windows starts from it"
        } else {
            "installed when Windows finds the device"
        };
        let _ = writeln!(
            out,
            "driver {}: {} {} ({}), {}; {}",
            driver.published, driver.inf, driver.version, driver.class, when, driver.signature
        );
        let shown = driver.devices.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        let more = driver.devices.len().saturating_sub(4);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(out, "  for {shown}{more}");
        for warning in driver.warnings.iter().take(5) {
            let _ = writeln!(out, "  {warning}");
        }
    }
    for copy in &report.copies {
        let _ =
            writeln!(out, "copied {} to {}: {} files, {}", copy.from, copy.to, copy.files, human(copy.bytes));
    }
    for line in &report.first_boot {
        let _ = writeln!(out, "first boot: {line}");
    }
    for hive in &report.registry {
        let mut counts = Vec::new();
        for (count, what) in [
            (hive.keys_created, "keys made"),
            (hive.keys_deleted, "keys deleted"),
            (hive.values_set, "values set"),
            (hive.values_deleted, "values deleted"),
        ] {
            if count > 0 {
                counts.push(format!("{count} {what}"));
            }
        }
        let _ = writeln!(out, "registry {}: {} (by {})", hive.hive, counts.join(", "), hive.by.join(", "));
    }
    for secret in &report.secrets {
        let _ = writeln!(out, "secret in the image: {} ({}), {}", secret.path, secret.what, secret.until);
    }
    if let Some(made) = &report.certificate {
        let _ = writeln!(
            out,
            "certificate for {}: {} (key {}{}), SHA-1 {}",
            made.subject,
            made.certificate,
            made.key,
            if made.new_key { ", made now" } else { "" },
            made.thumbprint
        );
    }
}

/// Where the time went: a line for each stage, a column for each thread.
pub(super) fn table(profile: &Profile, seconds: f64) -> String {
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
