//! `wimforge completions` and `wimforge man`: both made from the description of the command line, so that they cannot say
//! anything else than the program does.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;
use image::Error;

use crate::args::{Args, Completions, Man};

const NAME: &str = "wimforge";

/// The date that pages bear: of this version, not of today, so that the same program writes the same pages.
const DATE: &str = "2026-11-22";

pub(crate) fn completions(args: &Completions) -> anyhow::Result<ExitCode> {
    // The generator panics when its writer fails, as a pipe may.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), NAME, &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(args: &Man) -> anyhow::Result<ExitCode> {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    if let Some(folder) = &args.out {
        let failed = |source| Error::Write { path: folder.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        write_all(&program, NAME, folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = &program;
    let mut name = NAME.to_owned();
    for wanted in &args.command {
        let found = command.find_subcommand(wanted);
        command = found.ok_or_else(|| {
            let meant = image::did_you_mean(wanted, command.get_subcommands().map(Command::get_name));
            Error::Recipe(format!("{} has no command {wanted:?}{meant}", name.replace('-', " ")))
        })?;
        name = format!("{name}-{}", command.get_name());
    }
    io::stdout().lock().write_all(&page(command, &name)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and those of the commands below it.
fn write_all(command: &Command, name: &str, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?).map_err(|source| Error::Write { path, source })?;
    command.get_subcommands().try_for_each(|below| {
        let name = format!("{name}-{}", below.get_name());
        write_all(below, &name, folder)
    })
}

/// The page, in roff. What comes after the options are examples: their lines must stay lines.
fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let page = Page::new(command.clone());
    let mut roff = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    writeln!(roff, ".TH {} 1 {DATE} \"wimforge {version}\" wimforge", escaped(&name.to_uppercase()))?;
    writeln!(roff, ".SH NAME\n{} \\- {}", escaped(name), escaped(&about(command)))?;
    page.render_synopsis_section(&mut roff)?;
    page.render_description_section(&mut roff)?;
    let mut options = Vec::new();
    page.render_options_section(&mut options)?;
    // The generator breaks lines around empty ones, which readers of manual pages complain of.
    let options = String::from_utf8_lossy(&options).replace(".br\n\n.br\n", ".br\n");
    roff.extend_from_slice(options.as_bytes());
    if command.has_subcommands() {
        writeln!(roff, ".SH COMMANDS")?;
        for below in command.get_subcommands() {
            let (title, about) = (format!("{name}-{}", below.get_name()), about(below));
            writeln!(roff, ".TP\n\\fB{}\\fR(1)\n{}", escaped(&title), escaped(&about))?;
        }
    }
    if let Some(text) = command.get_after_help() {
        after(&text.to_string(), &mut roff)?;
    }
    if name != NAME {
        writeln!(roff, ".SH SEE ALSO\n\\fB{NAME}\\fR(1)")?;
    }
    Ok(roff)
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// Examples and exit codes get headings of their own, what follows them is notes, and what is indented stays as it is.
fn after(text: &str, roff: &mut Vec<u8>) -> io::Result<()> {
    let (mut indented, mut headed) = (false, false);
    let (mut after_heading, mut after_blank) = (false, false);
    for line in text.lines() {
        if line.is_empty() {
            after_blank = true;
            continue;
        }
        if line.starts_with("  ") != indented {
            indented = !indented;
            // A heading begins a paragraph by itself.
            let begin = if after_heading { ".nf" } else { ".PP\n.nf" };
            writeln!(roff, "{}", if indented { begin } else { ".fi" })?;
        }
        after_heading = false;
        match line.strip_suffix(':') {
            Some(heading) if matches!(heading, "Examples" | "Exit codes") => {
                (headed, after_heading) = (true, true);
                writeln!(roff, ".SH {}", heading.to_uppercase())?;
            }
            _ => {
                if after_blank && !indented {
                    writeln!(roff, "{}", if headed { ".SH NOTES" } else { ".PP" })?;
                    headed = false;
                }
                writeln!(roff, "{}", escaped(line))?;
            }
        }
        after_blank = false;
    }
    if indented { writeln!(roff, ".fi") } else { Ok(()) }
}

/// Text in which roff sees nothing but text.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
