//! `wimforge explain`: the options of `build`, for the disk that it would make, and where to draw.

use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, Args as ClapArgs, Id};

use super::{Build, Chain};

#[derive(Debug, ClapArgs)]
#[command(mut_args(adapted))]
#[command(after_help = "\
Examples:
  wimforge explain disk.vhdx                             what lies where, and how it starts
  wimforge explain disk.vmdk --html disk.html            as a page with drawings, for a browser
  wimforge explain nano.wim --layout gpt --svg plan.svg  the disk that `build` would make of it
  wimforge explain server.iso --nano -i 1 --preset winrm --html plan.html
  wimforge explain --recipe nano.toml --json             all numbers, for programs
  wimforge explain child.avhdx --parent base.vhdx        a differencing disk
  wimforge explain nano.wim -f vmdk --sample             how small the compressed disk will be

Of a WIM, an ISO or a recipe it is the plan that is explained, with all options of `build`
(`--help` lists them, `-h` does not), and nothing is built. Nothing that files hold is read, unless
--sample asks for it; only the boot chain is followed, as `check --boot` does.")]
pub(crate) struct Explain {
    /// Draw to an SVG file
    #[arg(long, value_name = "FILE", display_order = 0)]
    pub(crate) svg: Option<PathBuf>,
    /// Draw to an HTML page that needs no other file
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub(crate) html: Option<PathBuf>,
    /// Compress pieces of the disk to see how small it gets
    #[arg(long, display_order = 2)]
    pub(crate) sample: bool,
    #[command(flatten)]
    pub(crate) chain: Chain,
    #[command(flatten)]
    pub(crate) build: Build,
}

/// Options of `build` that say how a build runs: nothing runs here.
const OF_RUNS: [&str; 5] = ["dry_run", "manifest", "log", "record", "profile"];

/// The options of `build` as they are here.
fn adapted(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "svg" | "html" | "sample" | "parent" | "recipe" | "json" | "quiet" => arg,
        "source" => arg
            .value_name("SOURCE|DISK|RECIPE")
            .help("A WIM or an ISO, for the disk that `build` would make; a disk image; or a recipe (.toml)"),
        "output" => arg
            .required_unless_present(Resettable::<Id>::Reset)
            .help("Where `build` would write; its extension says the container [default: none, as raw]")
            .hide_short_help(true),
        "force" => arg.help("Replace the files of --svg and --html if they exist"),
        id if OF_RUNS.contains(&id) => arg.hide(true),
        _ => arg.hide_short_help(true),
    }
}
