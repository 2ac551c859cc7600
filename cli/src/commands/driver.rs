//! `wimforge driver`

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use image::drivers::{
    DriverFit, DriverInfo, DriverSource, Outcome, ProductType, Target, describe, fits, target_of,
};
use image::{Error, WimSource};
use picture::printable;
use serde_json::json;

use crate::args::Common;
use crate::args::driver::{Driver, DriverCheck, DriverCommand};
use crate::progress;
use crate::report;

/// How many of a list are printed; all of them are in the JSON.
const SHOWN: usize = 6;

pub(crate) fn run(args: &Driver, common: &Common) -> anyhow::Result<ExitCode> {
    match &args.command {
        DriverCommand::Info(args) => {
            let mut out = BufWriter::new(io::stdout().lock());
            info(&args.sources, common, &mut out)?;
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
        DriverCommand::Check(args) => check(args, common),
    }
}

/// Whether a file that is no disk is for [`info`]: an INF file by its name, or an archive.
pub(super) fn is_for_it(path: &Path) -> bool {
    let is_inf = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("inf"));
    is_inf || {
        let mut head = [0; 4];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
        read.is_ok() && matches!(&head, b"MSCF" | b"PK\x03\x04")
    }
}

/// Says what drivers there are in each of these.
pub(super) fn info(sources: &[PathBuf], common: &Common, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut values = Vec::new();
    for path in sources {
        let source = DriverSource::open(path)?;
        let drivers = progress::unmeasured("reading drivers", common.quiet, || describe(&source))?;
        if drivers.is_empty() {
            let what = "has no driver package in it: no INF file with [Version] and [Manufacturer]";
            return Err(Error::Unsupported { path: path.clone(), what: what.to_owned() }.into());
        }
        if common.json {
            values
                .push(json!({ "source": path.to_string_lossy(), "kind": source.kind(), "drivers": drivers }));
            continue;
        }
        for driver in &drivers {
            writeln!(out, "{}: {}", printable(&path.display().to_string()), printable(&driver.inf))?;
            describe_one(driver, out)?;
        }
    }
    if common.json {
        writeln!(out, "{:#}", json!({ "schema": "wimforge.driver.info/1", "sources": values }))?;
    }
    Ok(())
}

fn describe_one(driver: &DriverInfo, out: &mut dyn Write) -> io::Result<()> {
    let version = match &driver.date {
        Some(date) => format!("{} ({date})", driver.version),
        None => driver.version.clone(),
    };
    for (name, value) in [
        ("class", driver.class.clone()),
        ("provider", driver.provider.clone()),
        ("version", version),
        (
            "for",
            [driver.architectures.join(", "), list(&driver.systems)]
                .join("; ")
                .trim_matches([';', ' '])
                .to_owned(),
        ),
        ("devices", list(&driver.hardware_ids)),
        ("services", list(&driver.services)),
        ("files", list(&driver.files)),
        ("signature", driver.signature.clone()),
    ] {
        if !value.is_empty() {
            writeln!(out, "  {name:<10} {}", printable(&value))?;
        }
    }
    for problem in &driver.problems {
        writeln!(out, "  {:<10} {}", "problem", printable(problem))?;
    }
    for warning in driver.warnings.iter().take(SHOWN) {
        writeln!(out, "  {:<10} {}", "warning", printable(warning))?;
    }
    Ok(())
}

fn check(args: &DriverCheck, common: &Common) -> anyhow::Result<ExitCode> {
    let target = target(args)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut values = Vec::new();
    let mut refused = false;
    if !common.json {
        writeln!(out, "for {target}")?;
    }
    for path in &args.sources {
        let source = DriverSource::open(path)?;
        let fits = || fits(&source, &target, args.allow_unsigned);
        let found = progress::unmeasured("checking drivers", common.quiet, fits)?;
        let taken = found.iter().filter(|it| it.outcome == Outcome::Taken).count();
        refused |= found.iter().any(|it| it.outcome == Outcome::Refused);
        // A build that is told to take drivers from there has none to take.
        refused |= taken == 0;
        if common.json {
            values.push(json!({ "source": path.to_string_lossy(), "kind": source.kind(), "drivers": found }));
            continue;
        }
        for fit in &found {
            check_one(fit, &mut out)?;
        }
        if taken == 0 {
            writeln!(out, "nothing of {} would be taken", printable(&path.display().to_string()))?;
        }
    }
    if common.json {
        let target = json!({
            "architecture": target.architecture.name(),
            "version": format!("{}.{}.{}", target.major, target.minor, target.build),
            "server": target.product != ProductType::Workstation,
        });
        let schema = "wimforge.driver.check/1";
        writeln!(
            out,
            "{:#}",
            json!({ "schema": schema, "target": target, "good": !refused, "sources": values })
        )?;
    }
    out.flush()?;
    Ok(if refused { report::VERIFICATION.into() } else { ExitCode::SUCCESS })
}

fn check_one(fit: &DriverFit, out: &mut dyn Write) -> io::Result<()> {
    let driver = &fit.driver;
    let word = match fit.outcome {
        Outcome::Taken => "taken",
        Outcome::PassedOver => "passed over",
        Outcome::Refused => "REFUSED",
    };
    let about = match driver.class.as_str() {
        "" => String::new(),
        class => format!(" ({class}, {} {})", driver.provider, driver.version),
    };
    writeln!(out, "{word:<11} {}{}", printable(&driver.inf), printable(&about))?;
    for reason in &fit.reasons {
        writeln!(out, "            {}", printable(reason))?;
    }
    if fit.outcome != Outcome::PassedOver && !driver.class.is_empty() {
        let when = if driver.boot_critical { "; Windows can start from them" } else { "" };
        writeln!(out, "            devices: {}{when}", printable(&list(&driver.hardware_ids)))?;
        if fit.outcome == Outcome::Taken {
            writeln!(out, "            {}", printable(&driver.signature))?;
        }
        for warning in driver.warnings.iter().take(SHOWN) {
            writeln!(out, "            warning: {}", printable(warning))?;
        }
    }
    Ok(())
}

/// The Windows that is asked about.
fn target(args: &DriverCheck) -> Result<Target, Error> {
    let Some(file) = &args.image_file else {
        let product = if args.server { ProductType::Server } else { ProductType::Workstation };
        // Without a file, clap asks for it.
        return Ok(Target::new(args.arch.into(), args.build.unwrap_or_default(), product));
    };
    let source = WimSource::open_choice(file, args.in_iso.choice().as_ref())?;
    let image = source.choose(args.image.as_ref())?;
    target_of(&source, image).ok_or_else(|| {
        let what = format!(
            "does not say of image {image} for which architecture and build it is; use --arch, --build and --server"
        );
        Error::Unsupported { path: file.clone(), what }
    })
}

/// The first of a list, and how many more there are.
fn list(texts: &[String]) -> String {
    let shown = texts.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}
