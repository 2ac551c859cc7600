//! `wimforge`: Windows images to bootable disks, offline. Arguments, progress, reports and exit codes live here; what
//! they stand for lives in the library crates.

// What documents an argument is its help on a terminal, where `[,BAUD]` is an optional part and no link.
#[allow(rustdoc::broken_intra_doc_links)]
mod args;
mod commands;
mod progress;
mod report;
mod signal;
mod size;
mod source_date;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // `--help` and `--version` arrive as errors too, and go to standard output. A closed pipe is no failure.
            let _ = error.print();
            if let Some(tip) = tip(&error) {
                report::say_lines(&tip);
            }
            return if error.use_stderr() { report::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let result = match &args.command {
        args::Command::Build(build) => commands::build::run(build, &args.common),
        args::Command::Info(info) => commands::info::run(info, &args.common),
        args::Command::Ls(ls) => commands::ls::run(ls, &args.common),
        args::Command::Cat(cat) => commands::cat::run(cat),
        args::Command::Extract(extract) => commands::extract::run(extract, &args.common),
        args::Command::Verify(verify) => commands::verify::run(verify, &args.common),
        args::Command::Check(check) => commands::check::run(check, &args.common),
        args::Command::Compact(compact) => commands::compact::run(compact, &args.common),
        args::Command::Convert(convert) => commands::convert::run(convert, &args.common),
        args::Command::Compare(compare) => commands::compare::run(compare, &args.common),
        args::Command::Map(map) => commands::map::run(map, &args.common),
        args::Command::Explain(explain) => commands::explain::run(explain, &args.common),
        args::Command::Reg(reg) => commands::reg::run(reg, &args.common),
        args::Command::Bcd(bcd) => commands::bcd::run(bcd, &args.common),
        args::Command::Preset(preset) => commands::preset::run(preset, &args.common),
        args::Command::Driver(driver) => commands::driver::run(driver, &args.common),
        args::Command::Completions(completions) => commands::packaging::completions(completions),
        args::Command::Man(man) => commands::packaging::man(man),
    };
    match result {
        Ok(code) => code,
        Err(error) => report::failure(&error),
    }
}

/// What may have been meant where the parser has no idea.
fn tip(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            if std::path::Path::new(&word).is_file() {
                return Some(format!(
                    "\n  tip: a command comes first; `wimforge info {word}` says what the file is"
                ));
            }
            // `help` knows the commands and makes nothing of that.
            let program = <args::Args as clap::CommandFactory>::command();
            let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
            let meant = image::nearest(&word, names)
                .filter(|_| error.get(ContextKind::SuggestedSubcommand).is_none());
            meant.map(|name| format!("\n  tip: a similar command exists: '{name}'"))
        }
        ErrorKind::MissingRequiredArgument => {
            let usage = error.to_string();
            let compact = usage.contains("Usage: wimforge compact");
            compact.then(|| {
                "\n  tip: --in-place changes DISK itself, --dry-run only says what is unused".to_owned()
            })
        }
        _ => None,
    }
}
