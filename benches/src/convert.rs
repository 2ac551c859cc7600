//! Conversions against qemu-img: whole processes, in turn, sources and outputs in memory, every output compared.

use std::error::Error;
use std::path::Path;

use crate::measure::{Cost, machine, median, settle, shell};

/// From what to what: ours, what the peer does for it, and how to compare.
struct Way {
    name: &'static str,
    /// The source, `disk.raw` or `disk.vhd`, and qemu's name of its format.
    from: (&'static str, &'static str),
    /// Our options, and the peer's command with `{from}` and `{to}`.
    ours: &'static str,
    peer: &'static str,
    /// qemu's name of the target's format; `None` when both files are to be equal.
    to: Option<&'static str>,
}

const WAYS: [Way; 7] = [
    Way {
        name: "raw → VMDK streamOptimized",
        from: ("disk.raw", "raw"),
        ours: "--format vmdk",
        peer: "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized '{from}' '{to}'",
        to: Some("vmdk"),
    },
    Way {
        name: "VHD → VMDK streamOptimized",
        from: ("disk.vhd", "vpc"),
        ours: "--format vmdk",
        peer: "qemu-img convert -f vpc -O vmdk -o subformat=streamOptimized '{from}' '{to}'",
        to: Some("vmdk"),
    },
    Way {
        name: "raw → qcow2, compressed",
        from: ("disk.raw", "raw"),
        ours: "--format qcow2-compressed",
        peer: "qemu-img convert -f raw -O qcow2 -c '{from}' '{to}'",
        to: Some("qcow2"),
    },
    Way {
        name: "raw → qcow2",
        from: ("disk.raw", "raw"),
        ours: "--format qcow2",
        peer: "qemu-img convert -f raw -O qcow2 '{from}' '{to}'",
        to: Some("qcow2"),
    },
    Way {
        name: "VHD → VHDX",
        from: ("disk.vhd", "vpc"),
        ours: "--format vhdx",
        peer: "qemu-img convert -f vpc -O vhdx '{from}' '{to}'",
        to: Some("vhdx"),
    },
    Way {
        name: "VHD → VHDX, against cp of the VHD",
        from: ("disk.vhd", "vpc"),
        ours: "--format vhdx",
        peer: "cp --sparse=never --reflink=never '{from}' '{to}'",
        to: None,
    },
    Way {
        name: "VHD → raw",
        from: ("disk.vhd", "vpc"),
        ours: "--format raw",
        peer: "qemu-img convert -f vpc -O raw '{from}' '{to}'",
        to: Some("raw"),
    },
];

/// Converts a disk that is built from `wim`, in each way and with each number of threads, `runs` times in turn.
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
    let (ours, theirs) = (file("ours"), file("theirs"));
    let wimforge = wimforge.display();
    for disk in ["disk.raw", "disk.vhd"] {
        let line = format!("'{wimforge}' build '{}' -o '{}' --quiet", wim.display(), file(disk));
        shell(&line, scratch.path())?;
    }
    let size = |path: &str| -> Result<u64, Box<dyn Error>> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path)?;
        // What is allocated: a sparse file is as large as what it holds.
        Ok(metadata.len().min(metadata.blocks() * 512))
    };
    println!("{}\n{}: disk of {} bytes stored\n", machine(), wim.display(), size(&file("disk.raw"))?);
    println!("| conversion | threads | ours | peer | ratio | CPU | size |\n|---|---|---|---|---|---|---|");
    for way in &WAYS {
        let from = file(way.from.0);
        let peer_line = way.peer.replace("{from}", &from).replace("{to}", &theirs);
        for threads in threads {
            let our_line =
                format!("'{wimforge}' convert '{from}' '{ours}' {} --force --quiet -j {threads}", way.ours);
            let (mut our_costs, mut peer_costs): (Vec<Cost>, Vec<Cost>) = Default::default();
            for _ in 0..runs {
                for (line, costs, out) in
                    [(&our_line, &mut our_costs, &ours), (&peer_line, &mut peer_costs, &theirs)]
                {
                    let _ = std::fs::remove_file(out);
                    settle()?;
                    costs.push(shell(line, scratch.path())?);
                }
            }
            let (mine, peer) = (median(&our_costs), median(&peer_costs));
            println!(
                "| {} | {threads} | {:.2} s | {:.2} s | **{:.2}** | {:.2} | {:.4} |",
                way.name,
                mine.wall,
                peer.wall,
                peer.wall / mine.wall,
                peer.cpu / mine.cpu,
                size(&ours)? as f64 / size(&theirs)? as f64
            );
            if let Some(format) = way.to {
                for out in [&ours, &theirs] {
                    let line = format!("qemu-img compare -f {} -F {format} '{from}' '{out}'", way.from.1);
                    shell(&line, scratch.path())?;
                }
            }
        }
    }
    Ok(())
}
