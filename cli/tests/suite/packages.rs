//! Vagrant boxes, OVA and OCI images: what is in them is the disk, or the image, by other people's readers.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::disk::{Format, same};
use testkit::windows_image::WindowsImage;
use testkit::{args, tool};

use crate::support::{build, names, scratch, wimforge};

/// A package, the disk in it, and what qemu calls that.
const PACKAGES: [(&str, &str, &str, Format); 5] = [
    ("box-virtualbox", "x.box", "box-disk001.vmdk", Format::Vmdk),
    ("box-hyperv", "x.box", "Virtual Hard Disks/disk.vhdx", Format::Vhdx),
    ("box-libvirt", "x.box", "box.img", Format::Qcow2),
    ("box-vmware", "x.box", "disk.vmdk", Format::Vmdk),
    ("ova", "x.ova", "x-disk1.vmdk", Format::Vmdk),
];

/// An image of Nano Server in miniature.
fn nano(folder: &Path) -> Option<PathBuf> {
    let wim = folder.join("nano.wim");
    WindowsImage::nano().save(&wim)?;
    Some(wim)
}

#[test]
fn builds_and_conversions_pack_the_same_disk() {
    let scratch = scratch();
    let (Some(wim), Some(bsdtar)) = (nano(scratch.path()), tool("bsdtar")) else { return };
    let raw = scratch.path().join("disk.raw");
    build(&wim, &raw, &["--layout", "gpt", "--quiet"]).well();
    for (format, name, disk, theirs) in PACKAGES {
        let folder = scratch.path().join(format);
        fs::create_dir(&folder).expect("a folder");
        let built = folder.join(name);
        build(&wim, &built, &["--layout", "gpt", "--format", format, "--quiet", "-j", "1"]).well();
        let first = fs::read(&built).expect("the package");
        build(&wim, &built, &["--layout", "gpt", "--format", format, "--quiet", "-j", "4", "--force"]).well();
        assert!(fs::read(&built).expect("the package") == first, "{format}: threads show");
        let converted = folder.join("converted").join(name);
        fs::create_dir(folder.join("converted")).expect("a folder");
        wimforge(args!["convert", &raw, &converted, "--format", format, "--quiet"]).well();
        for package in [&built, &converted] {
            let out = folder.join("out");
            fs::create_dir(&out).expect("a folder");
            bsdtar.run(args!["-xf", package, "-C", &out]);
            if !same(&raw, Format::Raw, &out.join(disk), theirs) {
                return;
            }
            // A GPT disk wants a machine with UEFI firmware. A build knows its Windows by the WIM, a conversion by the
            // registry on the disk, which is another one's here.
            let says = |file: &str, word: &str| {
                let text = fs::read_to_string(out.join(file)).expect("a description");
                assert!(text.contains(word), "{format}: no {word:?} in {text}");
            };
            match format {
                "box-virtualbox" => says("box.ovf", "<Firmware type=\"EFI\"/>"),
                "box-hyperv" => says("Virtual Machines/box.xml", "<subtype type=\"integer\">1</subtype>"),
                "box-libvirt" => says("Vagrantfile", "p.machine_type = 'q35'"),
                _ if package == &converted => {}
                "box-vmware" => says("box.vmx", "guestOS = \"windows9srv-64\""),
                _ => says("x.ovf", "vmw:osType=\"windows9Server64Guest\""),
            }
            fs::remove_dir_all(out).expect("removed");
        }
    }
}

#[test]
fn a_catalog_lies_beside_its_box() {
    let scratch = scratch();
    let (Some(wim), Some(sha256sum)) = (nano(scratch.path()), tool("sha256sum")) else { return };
    let path = scratch.path().join("nano.box");
    let url = "https://example.org/nano.box";
    build(&wim, &path, &["--catalog", url, "--box-version", "2.1", "--machine-name", "nano 16", "--quiet"])
        .well();
    assert_eq!(names(scratch.path()), ["nano.box", "nano.catalog.json", "nano.wim"]);
    let text = fs::read(scratch.path().join("nano.catalog.json")).expect("the catalog");
    let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let provider = &value["versions"][0]["providers"][0];
    assert_eq!((&value["name"], &value["versions"][0]["version"]), (&"nano-16".into(), &"2.1".into()));
    assert_eq!(provider["checksum"], sha256sum.text(args![&path])[..64]);
    assert_eq!(provider["url"], url);
    // It is in the way like a disk would be.
    fs::remove_file(&path).expect("removed");
    build(&wim, &path, &["--catalog", url, "--quiet"]).badly(&[2]).says(&["nano.catalog.json"]);
}

#[test]
fn options_that_say_nothing_are_refused() {
    let scratch = scratch();
    let Some(wim) = nano(scratch.path()) else { return };
    for (name, options) in [
        ("a.vhd", &["--machine-name", "x"][..]),
        ("a.vhd", &["--catalog", "https://x"]),
        ("a.ova", &["--catalog", "https://x"]),
        ("a.box", &["--box-version", "1"]),
        ("a.box", &["--machine-memory", "63MiB"]),
        ("a.box", &["--machine-name", "a,b"]),
        ("a.box", &["--machine-cpus", "0"]),
        ("a.tar", &["--format", "oci", "--compact-os"]),
    ] {
        build(&wim, &scratch.path().join(name), options).badly(&[2]);
    }
    let wim_disk = scratch.path().join("disk.raw");
    build(&wim, &wim_disk, &["--quiet"]).well();
    wimforge(args!["convert", &wim_disk, &scratch.path().join("a.tar"), "--format", "oci"]).badly(&[2]);
    assert_eq!(names(scratch.path()), ["disk.raw", "nano.wim"]);
}

/// The layer holds the files of the image, as wimlib extracts them.
#[test]
fn a_container_image_holds_the_image() {
    let scratch = scratch();
    let (Some(wim), Some(bsdtar)) = (nano(scratch.path()), tool("bsdtar")) else { return };
    let (Some(wimlib), Some(diff), Some(skopeo)) = (tool("wimlib-imagex"), tool("diff"), tool("skopeo"))
    else {
        return;
    };
    let path = scratch.path().join("nano.tar");
    build(&wim, &path, &["--format", "oci", "--quiet", "-j", "1"]).well();
    let first = fs::read(&path).expect("the image");
    build(&wim, &path, &["--format", "oci", "--quiet", "-j", "4", "--force"]).well();
    assert!(fs::read(&path).expect("the image") == first, "threads show");
    let reference = format!("oci-archive:{}:latest", path.display());
    let text = skopeo.text(["--insecure-policy", "--override-os", "windows", "inspect", &reference]);
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let digest = value["Layers"][0].as_str().expect("a layer").replace(':', "/");
    let [layout, files, theirs] = ["layout", "files", "theirs"].map(|name| scratch.path().join(name));
    for folder in [&layout, &files] {
        fs::create_dir(folder).expect("a folder");
    }
    bsdtar.run(args!["-xf", &path, "-C", &layout]);
    bsdtar.run(args!["-xf", &layout.join("blobs").join(digest), "-C", &files, "--no-same-owner"]);
    wimlib.run(args!["apply", &wim, "1", &theirs]);
    diff.run(args!["-r", "--no-dereference", &files.join("Files"), &theirs]);
}
