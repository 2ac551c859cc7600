//! ISO images made by genisoimage and xorriso: what `info`, `ls`, `cat` and `extract` say of them, and that what is built
//! from a WIM inside is what is built from the WIM.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use testkit::{args, fixture, testdata, tool};

use crate::support::{Ended, build, names, scratch, wimforge};

/// A folder like that of a Windows medium, and where the image of it goes.
struct Medium {
    scratch: TempDir,
    tree: PathBuf,
    image: PathBuf,
    nano: PathBuf,
}

const NANO: &str = "nano-small.wim";

impl Medium {
    /// With `sources/install.wim` (two images), `NanoServer/NanoServer.wim` (one) and some small files.
    fn new() -> Self {
        let scratch = scratch();
        let tree = scratch.path().join("tree");
        for directory in ["sources", "NanoServer", "support/logging/en-us"] {
            fs::create_dir_all(tree.join(directory)).expect("a directory");
        }
        fs::write(tree.join("README.TXT"), "the tree of ISO 9660").expect("a file");
        fs::write(tree.join("sources/idwbinfo.txt"), "[BUILDINFO]\r\nBuildArch=amd64\r\n").expect("a file");
        fs::write(tree.join("support/logging/en-us/Über uns.txt"), "text").expect("a file");
        fs::write(tree.join("sources/empty.txt"), "").expect("a file");
        fixture::two_images().save(&tree.join("sources/install.wim"));
        let nano = tree.join("NanoServer/NanoServer.wim");
        fs::copy(testdata(NANO), &nano).expect("a copy");
        Self { image: scratch.path().join("server.iso"), tree, nano, scratch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// As Windows media are: all in UDF, and in ISO 9660 a text alone. `None`, visibly, without genisoimage.
    fn udf(&self) -> Option<()> {
        let genisoimage = tool("genisoimage")?;
        let options = "-quiet -udf -iso-level 3 -input-charset utf-8 -V SSS_X64FRE -hide-joliet README.TXT";
        let hidden = ["sources", "NanoServer", "support"].into_iter().flat_map(|name| ["-hide", name]);
        let all = options.split(' ').chain(hidden).map(OsStr::new);
        genisoimage.run(all.chain(args!["-o", &self.image, &self.tree]));
        Some(())
    }

    /// As tools for remastering make them: Joliet and Rock Ridge, no UDF.
    fn joliet(&self) -> Option<()> {
        let xorriso = tool("xorriso")?;
        let options = "-as mkisofs -quiet -J -joliet-long -iso-level 3 -V REMASTERED";
        let all = options.split(' ').map(OsStr::new);
        xorriso.run(all.chain(args!["-o", &self.image, &self.tree]));
        Some(())
    }
}

fn text(ended: Ended) -> String {
    String::from_utf8(ended.well().stdout).expect("UTF-8")
}

fn json(ended: Ended) -> Value {
    serde_json::from_slice(&ended.well().stdout).expect("JSON")
}

/// The disks are the same, bit by bit.
#[track_caller]
fn same_disk(image: &Path, options: &[&str], wim: &Path, wim_options: &[&str], scratch: &Path) {
    let (ours, meant) = (scratch.join("ours.vhd"), scratch.join("meant.vhd"));
    build(image, &ours, &[options, &["--force"]].concat()).well();
    build(wim, &meant, &[wim_options, &["--force"]].concat()).well();
    tool("cmp").expect("cmp is everywhere").run(args![&ours, &meant]);
    for place in [ours, meant] {
        fs::remove_file(place).expect("was just made");
    }
}

#[test]
fn builds_from_udf_are_those_from_the_wim() {
    let medium = Medium::new();
    fixture::many(20).save(&medium.tree.join("sources/other.esd"));
    if medium.udf().is_none() {
        return;
    }
    let install = medium.tree.join("sources/install.wim");
    let (image, nano, folder) = (&medium.image, &medium.nano, medium.scratch.path());
    same_disk(image, &["--nano"], nano, &[], folder);
    same_disk(image, &["-i", "2"], &install, &["-i", "2"], folder);
    same_disk(image, &["--wim", "NANOSERVER\\nanoserver.WIM"], nano, &[], folder);

    // Several images: the error names the WIM in its place.
    let disk = medium.path("disk.vhd");
    build(image, &disk, &[]).badly(&[2]).says(&["server.iso:sources/install.wim: holds 2 images"]);
    build(image, &disk, &["--wim", "sources/other.wim"]).badly(&[1]).says(&[
        "has no sources/other.wim",
        "NanoServer/NanoServer.wim, sources/install.wim, sources/other.esd",
    ]);
    build(image, &disk, &["--wim", "x", "--nano"]).badly(&[2]);
    build(nano, &disk, &["--nano"]).badly(&[2]).says(&["is no ISO image"]);
    build(image, image, &["--nano", "--format", "raw", "--force"]).badly(&[2]).says(&["is the source"]);
    assert!(!disk.exists());

    build(image, &disk, &["--nano"]).well();
    wimforge(args!["verify", &disk, "--against", image, "--nano"]).well();
    let other = wimforge(args!["verify", &disk, "--against", image, "--wim", "sources/other.esd"]);
    assert_eq!(other.code, Some(3), "{}", other.stderr);
    assert!(text(wimforge(args!["verify", image, "--nano"])).starts_with("intact: "));
}

#[test]
fn the_tree_of_an_iso() {
    let medium = Medium::new();
    if medium.udf().is_none() {
        return;
    }
    let image = &medium.image;
    let all = text(wimforge(args!["ls", image, "-R"]));
    assert_eq!(
        all.lines().collect::<Vec<_>>(),
        [
            "/NanoServer",
            "/NanoServer/NanoServer.wim",
            "/sources",
            "/sources/empty.txt",
            "/sources/idwbinfo.txt",
            "/sources/install.wim",
            "/support",
            "/support/logging",
            "/support/logging/en-us",
            "/support/logging/en-us/Über uns.txt",
        ]
    );
    assert_eq!(
        text(wimforge(args!["ls", image, "SOURCES\\*.txt"])),
        "/sources/empty.txt\n/sources/idwbinfo.txt\n"
    );
    let long = text(wimforge(args!["ls", image, "sources", "-l"]));
    let size = fs::metadata(medium.tree.join("sources/install.wim")).expect("it is there").len();
    assert!(
        long.lines().any(|line| line.contains(&format!(" {size} ")) && line.ends_with(" install.wim")),
        "{long}"
    );
    assert_eq!(
        wimforge(args!["cat", image, "sources/IDWBINFO.txt"]).well().stdout,
        b"[BUILDINFO]\r\nBuildArch=amd64\r\n"
    );
    wimforge(args!["cat", image, "README.TXT"]).badly(&[1]).says(&["in the ISO"]);
    wimforge(args!["check", image]).badly(&[4]).says(&["is an ISO image"]);

    let out = medium.path("out");
    wimforge(args!["extract", image, "-C", &out]).well();
    fs::remove_file(medium.tree.join("README.TXT")).expect("was there");
    tool("diff").expect("diff is everywhere").run(args!["-r", &medium.tree, &out]);
    let some = medium.path("some");
    wimforge(args!["extract", image, "support/logging", "-C", &some]).well();
    assert_eq!(names(&some), ["support"]);
    if let Some(zip) = tool("7zz") {
        let theirs = medium.path("theirs");
        let mut option = std::ffi::OsString::from("-o");
        option.push(&theirs);
        zip.run(args!["x", "-y", &option, image]);
        tool("diff").expect("diff is everywhere").run(args!["-r", &theirs, &out]);
    }
}

/// With --image, --wim or --nano, the commands look into the WIM, as if it lay outside.
#[test]
fn wims_inside_are_looked_into() {
    let medium = Medium::new();
    if medium.udf().is_none() {
        return;
    }
    let (image, install) = (&medium.image, medium.tree.join("sources/install.wim"));
    for (inside, outside) in [
        (&args![image, "--nano"][..], &args![&medium.nano][..]),
        (&args![image, "-i", "1"], &args![&install, "-i", "1"]),
        (&args![image, "-i", "2"], &args![&install, "-i", "2"]),
        (&args![image, "--wim", "sources/install.wim", "-i", "2"], &args![&install, "-i", "2"]),
    ] {
        let list = |place: &[&OsStr]| {
            let all = [&args!["ls", "-R", "--json"][..], place].concat();
            text(wimforge(all))
        };
        assert_eq!(list(inside), list(outside));
    }
    let mut place = image.clone().into_os_string();
    place.push(":2");
    assert_eq!(
        text(wimforge(args!["ls", &place, "-R"])),
        text(wimforge(args!["ls", &install, "-R", "-i", "2"]))
    );
    let inside = json(wimforge(args!["info", image, "--wim", "sources/install.wim", "--json"]));
    let outside = json(wimforge(args!["info", &install, "--json"]));
    assert_eq!(inside["images"], outside["images"]);
    assert_eq!(inside["path"], format!("{}:sources/install.wim", image.display()));
    wimforge(args!["ls", image, "-i", "3"])
        .badly(&[2])
        .says(&["server.iso:sources/install.wim: has no image 3"]);
    wimforge(args!["info", image, "--xml", "--nano"]).well();

    let info = json(wimforge(args!["info", image, "--json"]));
    assert_eq!(info["schema"], "wimforge.info.iso/1");
    assert_eq!((&info["iso"]["tree"], &info["iso"]["version"]), (&"UDF".into(), &"1.02".into()));
    assert_eq!((&info["iso"]["label"], &info["iso"]["files"]), (&"SSS_X64FRE".into(), &5.into()));
    let wims = info["wims"].as_array().expect("a list");
    assert_eq!(
        wims.iter().map(|wim| &wim["path"]).collect::<Vec<_>>(),
        ["NanoServer/NanoServer.wim", "sources/install.wim"]
    );
    assert_eq!(wims[1]["images"], outside["images"]);
    let shown = text(wimforge(args!["info", image]));
    assert!(
        shown.contains("UDF 1.02, of UDF, Joliet, ISO 9660: Windows reads UDF before all else"),
        "{shown}"
    );
}

/// A split set and an ESD are found by their usual names, too.
#[test]
fn split_sets_and_esd() {
    let (Some(wimlib), medium) = (tool("wimlib-imagex"), Medium::new()) else { return };
    let install = medium.tree.join("sources/install.wim");
    fs::remove_file(&install).expect("was there");
    let sources = medium.tree.join("sources");
    wimlib.run(args!["split", "--quiet", &medium.nano, &sources.join("install.swm"), "0.1"]);
    let parts = names(&sources).iter().filter(|name| name.ends_with(".swm")).count();
    assert!(parts > 2, "{parts}");
    if medium.udf().is_none() {
        return;
    }
    let set = sources.join("install.swm");
    same_disk(&medium.image, &[], &set, &[], medium.scratch.path());
    same_disk(&medium.image, &["--wim", "sources/install2.swm"], &set, &[], medium.scratch.path());
    let shown = text(wimforge(args!["info", &medium.image]));
    assert!(shown.contains("part 2 of the split set"), "{shown}");

    fs::remove_file(sources.join("install2.swm")).expect("was there");
    medium.udf();
    let disk = medium.path("disk.vhd");
    build(&medium.image, &disk, &[])
        .badly(&[1])
        .says(&["server.iso:sources/install.swm: is part 1 of a split set", "not in its directory: part 2"]);

    // An ESD comes before a split set.
    wimlib.run(args!["export", "--quiet", "--solid", &medium.nano, "1", &sources.join("install.esd")]);
    medium.udf();
    same_disk(&medium.image, &[], &sources.join("install.esd"), &[], medium.scratch.path());
}

#[test]
fn remastered_images() {
    let medium = Medium::new();
    if medium.joliet().is_none() {
        return;
    }
    let install = medium.tree.join("sources/install.wim");
    same_disk(&medium.image, &["-i", "2"], &install, &["-i", "2"], medium.scratch.path());
    let info = json(wimforge(args!["info", &medium.image, "--json"]));
    assert_eq!(info["iso"]["tree"], "Joliet");
    let out = medium.path("out");
    wimforge(args!["extract", &medium.image, "-C", &out]).well();
    tool("diff").expect("diff is everywhere").run(args!["-r", &medium.tree, &out]);
}

#[test]
fn images_that_cannot_be_built_from() {
    let medium = Medium::new();
    if medium.udf().is_none() {
        return;
    }
    let (disk, image) = (medium.path("disk.vhd"), &medium.image);
    let bytes = fs::read(image).expect("the image");
    // A download that stopped: the metadata is there, the last file is not.
    let cut = medium.path("cut.iso");
    fs::write(&cut, &bytes[..bytes.len() - (600 << 10)]).expect("written");
    build(&cut, &disk, &["-i", "1"])
        .badly(&[3])
        .says(&["cut.iso:sources/install.wim", "past the end of the image"]);
    let out = medium.path("out");
    wimforge(args!["extract", &cut, "-C", &out]).badly(&[3]).says(&["install.wim", "past the end"]);
    assert!(out.join("NanoServer/NanoServer.wim").exists(), "what is there is extracted");
    // A damaged file entry: what else the tree has is listed.
    fs::write(&cut, &bytes[..200_000]).expect("written");
    wimforge(args!["ls", &cut]).badly(&[1, 3]);

    fs::remove_dir_all(medium.tree.join("NanoServer")).expect("was there");
    fs::remove_file(medium.tree.join("sources/install.wim")).expect("was there");
    fs::create_dir(medium.tree.join("NanoServer")).expect("a directory");
    medium.udf();
    build(image, &disk, &[]).badly(&[1]).says(&["has no sources/install.wim or", "there is no WIM in it"]);
    build(image, &disk, &["--wim", "sources"]).badly(&[1]).says(&["is a directory"]);
    build(image, &disk, &["--wim", "sources/idwbinfo.txt"])
        .badly(&[1, 3])
        .says(&["server.iso:sources/idwbinfo.txt"]);
    assert!(!disk.exists());
}
