//! The arguments of `completions` and `man`, by which whoever packages the program makes what belongs to it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};
use clap_complete::Shell;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge completions bash > ~/.local/share/bash-completion/completions/wimforge
  wimforge completions zsh > _wimforge                a folder of $fpath is the place for it
  wimforge completions fish > ~/.config/fish/completions/wimforge.fish
  wimforge completions powershell >> $PROFILE
  wimforge completions elvish >> ~/.config/elvish/rc.elv")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge man | man -l -                     read the page of the program
  wimforge man reg set | man -l -             that of a command
  wimforge man --out /usr/share/man/man1      write all pages: wimforge.1, wimforge-build.1, ...")]
pub(crate) struct Man {
    /// The command whose page is printed [default: the program]
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub(crate) command: Vec<String>,
    /// The folder to write all pages to; made if missing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
}
