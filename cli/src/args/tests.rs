//! Help is part of the program: every command has some, with an example; it is no wider than a terminal; and every command
//! line that help, messages or documents show is one that the program takes.

use std::path::{Path, PathBuf};

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory};

use super::Args;

/// Columns of a line of help.
const WIDTH: usize = 100;

fn walk(command: &Command, path: &str, visit: &mut dyn FnMut(&Command, &str)) {
    visit(command, path);
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        walk(below, &format!("{path} {}", below.get_name()), visit);
    }
}

fn each_command(mut visit: impl FnMut(&Command, &str)) {
    let mut program = Args::command();
    // Options of every command get to the commands only now.
    program.build();
    walk(&program, "wimforge", &mut visit);
}

fn after_help(command: &Command) -> String {
    command.get_after_help().map(StyledStr::to_string).unwrap_or_default()
}

#[test]
fn every_command_is_described_and_has_an_example() {
    each_command(|command, path| {
        let about = command.get_about().map(StyledStr::to_string).unwrap_or_default();
        assert!(about.starts_with(char::is_uppercase) && !about.ends_with('.'), "{path}: {about:?}");
        let text = after_help(command);
        assert!(text.contains("Examples:\n  wimforge "), "{path} has no examples");
        let mine = text.lines().filter(|line| line.trim_start().starts_with(path));
        assert!(mine.count() > 0, "{path}: its examples are of other commands");
    });
}

#[test]
fn every_option_is_described() {
    each_command(|command, path| {
        for arg in command.get_arguments() {
            let help = arg.get_help().map(StyledStr::to_string).unwrap_or_default();
            assert!(help.starts_with(char::is_uppercase), "{path} {}: {help:?}", arg.get_id());
            assert!(!help.ends_with('.'), "{path} {}: {help:?}", arg.get_id());
        }
    });
}

/// What is wrapped by hand fits, so that it is not wrapped again; the rest the parser's own layout wraps.
#[test]
fn no_line_of_help_is_too_wide() {
    each_command(|command, path| {
        for line in after_help(command).lines() {
            assert!(line.chars().count() <= WIDTH, "{path}: {} columns: {line}", line.chars().count());
        }
        let help = command.clone().term_width(WIDTH).render_long_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= WIDTH, "{path}: {} columns: {line}", line.chars().count());
        }
    });
}

#[test]
fn every_example_of_help_is_taken() {
    let mut seen = 0;
    each_command(|command, path| {
        for line in commands_in(&after_help(command).replace("\\\n", " ")) {
            seen += 1;
            takes(&line, false).unwrap_or_else(|why| panic!("{path}: {line}\n{why}"));
        }
    });
    assert!(seen > 80, "{seen}");
}

/// Documents: whole lines in blocks of code, and what is named in the middle of a sentence.
#[test]
fn every_command_line_of_the_documents_is_taken() {
    let mut seen = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).expect("a document");
        let text = text.replace("\\\n", " ");
        let blocks = text.split("```").skip(1).step_by(2);
        let prose: String = text.split("```").step_by(2).collect();
        for block in blocks {
            for line in block.lines().map(|line| line.trim_start().trim_start_matches("$ ")) {
                if line.starts_with("wimforge ") {
                    seen += 1;
                    takes(line, false).unwrap_or_else(|why| panic!("{}: {line}\n{why}", path.display()));
                }
            }
        }
        seen += spans_are_taken(&prose, &path);
    }
    assert!(seen > 60, "{seen}");
}

/// What messages advise to do.
#[test]
fn every_command_line_of_a_message_is_taken() {
    let mut seen = 0;
    for path in sources(&root().join("crates")).into_iter().chain(sources(&root().join("cli/src"))) {
        let text = std::fs::read_to_string(&path).expect("a source file");
        // A message goes on in the next line behind a backslash.
        let text = text.replace("\\\n", "");
        for line in text.lines().filter(|line| line.contains("`wimforge ")) {
            seen += spans_are_taken(line, &path);
        }
    }
    assert!(seen > 20, "{seen}");
}

/// `wimforge ...` between backquotes: words in capitals are placeholders, and what is left out is not missed.
fn spans_are_taken(text: &str, path: &Path) -> usize {
    let spans = text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("wimforge "));
    let mut seen = 0;
    for span in spans.filter(|span| !span.contains(['{', '…', '\n']) && !span.contains("...")) {
        seen += 1;
        let span = span.replace("\\\\", "\\");
        takes(&span, true).unwrap_or_else(|why| panic!("{}: {span}\n{why}", path.display()));
    }
    seen
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    for folder in ["docs", "examples"] {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    found.sort();
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The command lines in help: indented, with what they mean two spaces behind.
fn commands_in(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    lines.filter(|line| line.starts_with("wimforge ")).map(str::to_owned).collect()
}

/// Whether the program takes a command line, read as a shell does. `partly`: words may be missing.
fn takes(line: &str, partly: bool) -> Result<(), String> {
    let words = words(line);
    let Err(error) = Args::command().try_get_matches_from(&words) else { return Ok(()) };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if partly =>
        {
            Ok(())
        }
        // An option is named, not used: its value is left out.
        ErrorKind::InvalidValue if partly && words.last().is_some_and(|word| word.starts_with('-')) => Ok(()),
        _ => Err(format!("{words:?}: {error}")),
    }
}

/// The words of one command of a shell, up to a pipe, a redirection, a comment, or two spaces outside quotes, behind which
/// help says what the command does.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => {
                words.extend(word.take());
                // A line that goes on in the next one has been joined with its indentation.
                if rest.peek() == Some(&' ')
                    && !line.contains("wimforge bcd create")
                    && !line.contains("     --")
                {
                    break;
                }
            }
            (None, '|' | '>' | ';' | '#' | '&') if word.is_none() => break,
            (None, ';') => break,
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn lines_are_read_as_a_shell_reads_them() {
    assert_eq!(words("wimforge ls 'a b' \"c\" | less"), ["wimforge", "ls", "a b", "c"]);
    assert_eq!(
        words("wimforge reg set X K '' 'd e'  says what"),
        ["wimforge", "reg", "set", "X", "K", "", "d e"]
    );
    assert!(takes("wimforge ls", false).is_err());
    assert!(takes("wimforge ls", true).is_ok());
    assert!(takes("wimforge ls FILE --logn", true).is_err());
    assert!(takes("wimforge build a.wim -o b --format vdhx", false).is_err());
}

#[test]
fn the_definition_is_sound() {
    Args::command().debug_assert();
}
