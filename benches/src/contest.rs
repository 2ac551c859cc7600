//! `wimforge build` against `mkntfs` + `wimlib-imagex apply` + `qemu-img convert`, side by side in one run.

use std::error::Error;
use std::path::{Path, PathBuf};

use testkit::disk::{self, Format};
use testkit::tree::Tree;

use crate::measure::{self, Cost};

struct Output {
    name: &'static str,
    format: Format,
    extension: &'static str,
    /// The peer's last step.
    convert: Option<&'static str>,
}

/// `subformat` and options give the peer the same kind of container; see BIAS.md.
const OUTPUTS: [Output; 3] = [
    Output { name: "raw", format: Format::Raw, extension: "raw", convert: None },
    Output {
        name: "VHD (dynamic)",
        format: Format::Vpc,
        extension: "vhd",
        convert: Some("-O vpc -o subformat=dynamic,force_size=on"),
    },
    Output {
        name: "VMDK (streamOptimized)",
        format: Format::Vmdk,
        extension: "vmdk",
        convert: Some("-O vmdk -o subformat=streamOptimized"),
    },
];

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn run(wimforge: &Path, wim: &Path, image: u32, runs: usize) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir_in(testkit::cache())?;
    let place = |name: &str| scratch.path().join(name);
    println!("machine   {}", measure::machine());
    println!("wimforge  {}", measure::version(&wimforge.display().to_string(), &["--version"]));
    println!("peers     {}", measure::version("wimlib-imagex", &["--version"]));
    println!("          {}", measure::version("mkntfs", &["--version"]));
    println!("          {}", measure::version("qemu-img", &["--version"]));
    println!("source    {} ({} bytes), image {image}", wim.display(), wim.metadata()?.len());
    println!("runs      {runs} of each, interleaved; medians; memory is the largest process of the run\n");
    // Both find the WIM in the page cache.
    std::io::copy(&mut std::fs::File::open(wim)?, &mut std::io::sink())?;

    let mut size = 0;
    for output in &OUTPUTS {
        let ours = place(&format!("ours.{}", output.extension));
        let (volume, theirs) = (place("volume.img"), place(&format!("theirs.{}", output.extension)));
        let our_line = format!(
            "{} build {} --image {image} -o {} --force --quiet",
            quote(wimforge),
            quote(wim),
            quote(&ours)
        );
        if size == 0 {
            // The disk is as large as wimforge makes it; the peer's volume is as large as that disk.
            measure::shell(&our_line, scratch.path())?;
            size = std::fs::metadata(&ours)?.len();
        }
        let mut their_line = format!(
            "rm -f {volume}; truncate -s {size} {volume}; \
             mkntfs --quick --force -T -s 512 -p 2048 -H 255 -S 63 {volume} > /dev/null 2>&1; \
             wimlib-imagex apply --quiet {wim} {image} {volume}",
            volume = quote(&volume),
            wim = quote(wim),
        );
        if let Some(convert) = output.convert {
            their_line +=
                &format!("; qemu-img convert -f raw {convert} {} {}", quote(&volume), quote(&theirs));
        }

        let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
        for round in 0..runs {
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    our_costs.push(measure::shell(&our_line, scratch.path())?);
                } else {
                    their_costs.push(measure::shell(&their_line, scratch.path())?);
                }
            }
        }
        check(wim, image, output, &ours, &place("raw.check"), &volume, scratch.path())?;

        let (our_cost, their_cost) = (measure::median(&our_costs), measure::median(&their_costs));
        let their_file = if output.convert.is_some() { &theirs } else { &volume };
        println!("{}", output.name);
        line("wimforge", our_cost, &ours)?;
        line("mkntfs + wimapply", their_cost, their_file)?;
        println!(
            "  ratio: {:.1} × faster by the clock, {:.1} × less processor time, {:.2} × the memory\n",
            their_cost.wall / our_cost.wall,
            their_cost.cpu / our_cost.cpu,
            our_cost.memory / their_cost.memory
        );
        for path in [&ours, &theirs, &volume] {
            if path != &place("ours.raw") {
                let _ = std::fs::remove_file(path);
            }
        }
    }
    println!(
        "outputs checked: both volumes captured again by wimlib and compared with the source, path by path;"
    );
    println!("the containers compared with the raw disk by qemu-img");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn line(who: &str, cost: Cost, file: &Path) -> Result<(), Box<dyn Error>> {
    let (metadata, allocated) = (file.metadata()?, allocated(file)?);
    println!(
        "  {who:<18} {:>7.2} s  (processors {:>6.2} s)  {:>6.0} MiB memory  {:>6.1} MB stored of {:.1} MB",
        cost.wall,
        cost.cpu,
        cost.memory / 1024.0,
        allocated as f64 / 1e6,
        metadata.len() as f64 / 1e6
    );
    Ok(())
}

fn allocated(file: &Path) -> Result<u64, Box<dyn Error>> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.blocks() * 512)
}

/// What was timed was also right.
fn check(
    wim: &Path,
    image: u32,
    output: &Output,
    ours: &Path,
    cut: &Path,
    theirs: &Path,
    scratch: &Path,
) -> Result<(), Box<dyn Error>> {
    if output.format != Format::Raw {
        disk::same(&scratch.join("ours.raw"), Format::Raw, ours, output.format);
        return Ok(());
    }
    let meant = Tree::of_wim(wim, image).ok_or("wimlib is missing")?;
    let captured: PathBuf = scratch.join("captured.wim");
    disk::cut(ours, None, cut).ok_or("sfdisk or qemu-img is missing")?;
    for volume in [cut, theirs] {
        disk::capture(volume, &captured).ok_or("wimlib is missing")?;
        meant.compare(&Tree::of_wim(&captured, 1).ok_or("wimlib is missing")?).assert_none();
        std::fs::remove_file(&captured)?;
    }
    std::fs::remove_file(cut)?;
    Ok(())
}

fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
