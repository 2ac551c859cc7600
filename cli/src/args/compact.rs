//! Arguments of `compact`.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::{Chain, ContainerOptions, Resources};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge compact disk.vhd small.vmdk                a copy without what is unused
  wimforge compact disk.raw --in-place                holes, or zeros, for what is unused
  wimforge compact disk.vhd --dry-run                 what would be gained or refused
  wimforge compact disk.vhd small.vhdx --drop-pagefile --drop-swapfile
  wimforge compact disk.raw:2 --in-place              only the volume in partition 2

Unused is what no reader ever looks at: free clusters, what lies behind the ends of files,
records and index blocks that were given back, room between partitions. Files, names, times and
everything else stay as they are.

A volume that is dirty, encrypted, damaged, or part of a session that sleeps (hibernation, fast
startup) is refused: what is free on it cannot be told. Exit code 4 says so. Shut Windows down
properly (`shutdown /s /t 0`), let `chkdsk` repair the volume, or leave it as it is with
--skip-unsound.

--in-place takes raw disks, fixed VHDs and block devices, and nobody else may have them open. It
can be interrupted at any moment, and started again.")]
pub(crate) struct Compact {
    /// The disk image, or with `:N` only the volume in its partition N
    #[arg(value_name = "DISK")]
    pub(crate) source: PathBuf,
    /// The disk image to write; `-` is standard output, a block device is overwritten in place
    #[arg(value_name = "OUT", required_unless_present_any = ["in_place", "dry_run", "out"])]
    output: Option<PathBuf>,
    /// The same, as `build` takes it
    #[arg(short = 'o', long = "output", value_name = "OUT", conflicts_with_all = ["output", "in_place"], hide = true)]
    out: Option<PathBuf>,
    /// Make what is unused zero in DISK itself
    #[arg(long, conflicts_with = "output")]
    pub(crate) in_place: bool,
    /// Only say what is unused
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Empty \pagefile.sys, too; Windows fills it anew
    #[arg(long)]
    pub(crate) drop_pagefile: bool,
    /// Empty \swapfile.sys, too
    #[arg(long)]
    pub(crate) drop_swapfile: bool,
    /// Empty \hiberfil.sys, too: a session that sleeps in it is lost, as if the power had failed
    #[arg(long)]
    pub(crate) drop_hiberfil: bool,
    /// Leave volumes as they are that are dirty, asleep, encrypted or damaged, and go on with the others
    #[arg(long)]
    pub(crate) skip_unsound: bool,
    #[command(flatten)]
    pub(crate) chain: Chain,
    #[command(flatten)]
    pub(crate) container: ContainerOptions,
    #[command(flatten)]
    pub(crate) resources: Resources,
}

impl Compact {
    /// The disk image to write; none when it is changed in place.
    pub(crate) fn output(&self) -> Option<&Path> {
        self.output.as_deref().or(self.out.as_deref())
    }
}
