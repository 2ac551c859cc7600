//! A disk built by us, read by everybody else: the proof on WIMs that are too large for the tests.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use testkit::disk::{self, Format};
use testkit::reader;
use testkit::tree::Tree;

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
pub(crate) fn run(wimforge: &Path, wim: &Path, image: u32) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir_in(testkit::cache())?;
    let start = Instant::now();
    let say = |what: &str| println!("{:>7.1} s  {what}", start.elapsed().as_secs_f64());
    let build = |name: &str, format: &str| -> Result<_, Box<dyn Error>> {
        let out = scratch.path().join(name);
        let mut command = Command::new(wimforge);
        command.args(["build", "--quiet", "--format", format, "--image"]).arg(image.to_string());
        if !command.arg(wim).arg("-o").arg(&out).stdout(Stdio::null()).status()?.success() {
            return Err(format!("building {name} failed").into());
        }
        say(&format!("built {name}"));
        Ok(out)
    };

    let raw = build("disk.raw", "raw")?;
    for (name, format, theirs) in [
        ("disk.vhd", "vhd", Format::Vpc),
        ("disk-fixed.vhd", "vhd-fixed", Format::Vpc),
        ("disk.vmdk", "vmdk", Format::Vmdk),
        ("disk-sparse.vmdk", "vmdk-sparse", Format::Vmdk),
    ] {
        let container = build(name, format)?;
        if disk::same(&raw, Format::Raw, &container, theirs) {
            say(&format!("qemu-img: {name} holds the same disk"));
        }
        if reader::seven_zip(&container) {
            say(&format!("7zz: {name} is in order"));
        }
        std::fs::remove_file(container)?;
    }

    let volume = scratch.path().join("volume.img");
    disk::cut(&raw, None, &volume).ok_or("sfdisk or qemu-img is missing")?;
    say("sfdisk: no errors");
    std::fs::remove_file(&raw)?;
    let again = scratch.path().join("again.wim");
    disk::capture(&volume, &again).ok_or("wimlib is missing")?;
    let meant = Tree::of_wim(wim, image).ok_or("wimlib is missing")?;
    let differences = meant.compare(&Tree::of_wim(&again, 1).ok_or("wimlib is missing")?);
    for line in &differences.shown {
        println!("           {line}");
    }
    say(&format!("captured by wimlib: {} paths, {} differences", meant.nodes.len(), differences.total));
    std::fs::remove_file(&again)?;
    reader::all(&volume, &meant, true, &mut |what| say(&format!("{what}: content")));
    if differences.total > 0 { Err("the volume is not what the WIM says".into()) } else { Ok(()) }
}
