//! A Vagrant box for VirtualBox, against the chain that people use: mkntfs and wimlib-imagex make the disk, qemu-img the
//! VMDK, and `bsdtar -czf` the box, as `vagrant package` does. Whole processes, in turn, in memory.
//!
//! The disk is made once and is not on the peer's clock: what is compared is the way from a disk to a box (`convert`), and
//! beside it ours from the WIM to the box, which has no disk between.

use std::error::Error;
use std::path::Path;

use crate::measure::{Cost, machine, median, settle, shell};

/// Makes boxes of the disk of `wim`, with each number of threads, `runs` times in turn.
#[expect(clippy::print_stdout, reason = "a command")]
pub(crate) fn run(
    wimforge: &Path,
    wim: &Path,
    place: &Path,
    threads: &[usize],
    runs: usize,
) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir_in(place)?;
    let file = |name: &str| scratch.path().join(name).display().to_string();
    let (disk, ours, theirs, whole) =
        (file("disk.raw"), file("ours.box"), file("theirs.box"), file("whole.box"));
    let (wimforge, wim_path) = (wimforge.display(), wim.display());
    shell(&format!("'{wimforge}' build '{wim_path}' -o '{disk}' --quiet"), scratch.path())?;
    // What stands beside the disk is ours on both sides: it is a few kilobytes.
    let folder = file("box");
    let beside = format!(
        "'{wimforge}' convert '{disk}' '{ours}' --quiet && mkdir '{folder}' && bsdtar -xf '{ours}' -C '{folder}'"
    );
    shell(&beside, scratch.path())?;
    let peer_line = format!(
        "cd '{folder}' && qemu-img convert -f raw -O vmdk -o subformat=streamOptimized '{disk}' box-disk001.vmdk && bsdtar \
         -czf '{theirs}' metadata.json Vagrantfile box.ovf box-disk001.vmdk"
    );
    println!("{}\n{wim_path}\n", machine());
    println!("| box | threads | ours | peer | ratio | CPU | size |\n|---|---|---|---|---|---|---|");
    for threads in threads {
        let convert = format!("'{wimforge}' convert '{disk}' '{ours}' --force --quiet -j {threads}");
        let build = format!("'{wimforge}' build '{wim_path}' -o '{whole}' --force --quiet -j {threads}");
        let mut costs: [Vec<Cost>; 3] = Default::default();
        for _ in 0..runs {
            let outputs = [&ours, &theirs, &whole];
            for ((line, costs), out) in
                [&convert, &peer_line, &build].into_iter().zip(&mut costs).zip(outputs)
            {
                let _ = std::fs::remove_file(out);
                settle()?;
                costs.push(shell(line, scratch.path())?);
            }
        }
        let [mine, peer, from_wim] = costs.each_ref().map(|costs| median(costs));
        let size = |path: &str| std::fs::metadata(path).map(|metadata| metadata.len() as f64);
        for (name, cost, out) in [("disk → box", &mine, &ours), ("WIM → box", &from_wim, &whole)] {
            println!(
                "| {name} | {threads} | {:.2} s | {:.2} s | **{:.2}** | {:.2} | {:.4} |",
                cost.wall,
                peer.wall,
                peer.wall / cost.wall,
                peer.cpu / cost.cpu,
                size(out)? / size(&theirs)?
            );
        }
        for out in [&ours, &theirs, &whole] {
            let check = format!(
                "rm -rf check && mkdir check && bsdtar -xf '{out}' -C check && qemu-img compare -f raw -F vmdk '{disk}' \
                 check/box-disk001.vmdk && rm -r check"
            );
            shell(&check, scratch.path())?;
        }
    }
    Ok(())
}
