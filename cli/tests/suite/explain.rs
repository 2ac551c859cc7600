//! `explain`: what it says of plans and of disks has to be what others say of them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsStr;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::{args, tool};

use crate::support::{build, scratch, wimforge};

fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("testdata/nano-small.wim")
}

fn explained(file: &Path, options: &[&str]) -> Value {
    let all = args!["explain", file, "--json", "--quiet"].into_iter().chain(options.iter().map(OsStr::new));
    serde_json::from_slice(&wimforge(all).well().stdout).unwrap()
}

/// Sums that hold for every disk.
fn check_sums(value: &Value) {
    let number = |value: &Value| value.as_u64().unwrap();
    let places = value["places"].as_array().unwrap();
    let mut at = 0;
    for place in places {
        assert_eq!(number(&place["start"]), at, "{place}");
        at += number(&place["size"]);
    }
    assert_eq!(at, number(&value["disk_size"]));
    let stored: u64 = places.iter().map(|place| number(&place["stored"])).sum();
    assert_eq!(stored, number(&value["export"]["stored"]));
    for volume in value["volumes"].as_array().unwrap() {
        let bytes: u64 = volume["parts"].as_array().unwrap().iter().map(|part| number(&part["bytes"])).sum();
        assert_eq!(bytes, number(&volume["size"]), "{}", volume["label"]);
        let cells = volume["cells"]["cells"].as_array().unwrap();
        let used: u64 = cells.iter().map(|cell| number(&cell["used"])).sum();
        assert_eq!(used, number(&volume["used"]), "{}", volume["label"]);
        fn sum(item: &Value) -> u64 {
            item["items"]
                .as_array()
                .map_or(0, |items| items.iter().map(|item| item["bytes"].as_u64().unwrap()).sum())
        }
        assert_eq!(sum(&volume["tree"]), number(&volume["tree"]["bytes"]), "{}", volume["label"]);
    }
}

#[test]
fn a_plan_is_explained_as_the_disk_that_becomes_of_it() {
    let scratch = scratch();
    for layout in ["mbr3", "gpt"] {
        let disk = scratch.path().join(format!("{layout}.qcow2"));
        build(&small(), &disk, &["--layout", layout]).well();
        let planned = explained(&small(), &["--layout", layout, "-f", "qcow2", "-o", "/nowhere/x.qcow2"]);
        let built = explained(&disk, &[]);
        check_sums(&planned);
        check_sums(&built);
        assert_eq!(planned["schema"], "wimforge.explain/1");
        for same in ["disk_size", "chains"] {
            assert_eq!(planned[same], built[same], "{layout}: {same}");
        }
        for (planned, built) in
            planned["volumes"].as_array().unwrap().iter().zip(built["volumes"].as_array().unwrap())
        {
            for same in ["partition", "label", "used", "files", "resident", "directories", "extensions"] {
                if same == "extensions" {
                    // How they are compressed, only the WIM knows.
                    let sizes = |value: &Value| {
                        let all = value["extensions"].as_array().unwrap().iter();
                        all.map(|one| (one["name"].clone(), one["bytes"].clone())).collect::<Vec<_>>()
                    };
                    assert_eq!(sizes(planned), sizes(built));
                } else {
                    assert_eq!(planned[same], built[same], "{layout}: {same}");
                }
            }
        }
        assert!(planned["changes"]["files"].as_array().is_some_and(|files| !files.is_empty()));
        assert!(planned["volumes"].as_array().unwrap().iter().any(|volume| !volume["packing"].is_null()));
    }
}

#[test]
fn clusters_in_use_are_those_that_ntfs_3g_counts() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.raw");
    build(&small(), &disk, &["--layout", "mbr1"]).well();
    let value = explained(&disk, &[]);
    let volume = &value["volumes"][0];
    let part = scratch.path().join("volume");
    if testkit::disk::cut(&disk, Some(1), &part).is_none() {
        return;
    }
    let Some(ntfsinfo) = tool("ntfsinfo") else { return };
    let output = ntfsinfo.command().args(["-m", "-f"]).arg(&part).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.split(':').nth(1).unwrap().trim().split(' ').next().unwrap().parse().unwrap()
    };
    let (clusters, free) = (field("Volume Size in Clusters"), field("Free Clusters"));
    assert_eq!(volume["used"].as_u64().unwrap(), (clusters - free) * 4096);
}

#[test]
fn a_broken_start_is_shown_and_is_no_failure() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.raw");
    build(&small(), &disk, &[]).well();
    // No partition is active any more.
    let mut file = std::fs::OpenOptions::new().write(true).open(&disk).unwrap();
    for entry in 0..4 {
        file.seek(SeekFrom::Start(446 + 16 * entry)).unwrap();
        file.write_all(&[0]).unwrap();
    }
    drop(file);
    let value = explained(&disk, &[]);
    assert_eq!(value["chains"][0]["starts"], false);
    let shown = wimforge(args!["explain", &disk]).well().stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.is_ascii() && shown.contains("BROKEN"), "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 100), "{shown}");
}

#[test]
fn drawings_are_the_same_every_time_and_need_nothing() {
    let scratch = scratch();
    let (svg, html) = (scratch.path().join("a.svg"), scratch.path().join("a.html"));
    let source = small();
    let mut command = args!["explain", &source, "--svg", &svg, "--html", &html, "--quiet"].to_vec();
    command.extend(["--computer-name", "web1", "--preset", "quiet", "--sample"].map(OsStr::new));
    wimforge(&command).well();
    let first = (std::fs::read(&svg).unwrap(), std::fs::read_to_string(&html).unwrap());
    wimforge(&command).badly(&[1, 2]);
    command.push(OsStr::new("--force"));
    wimforge(&command).well();
    assert_eq!(first, (std::fs::read(&svg).unwrap(), std::fs::read_to_string(&html).unwrap()));
    let page = first.1;
    assert!(page.contains("default-src 'none'") && page.contains("unattend.xml"));
    for wrong in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    if let Some(xmllint) = tool("xmllint") {
        assert!(xmllint.command().arg("--noout").arg(&svg).status().unwrap().success());
    }
}

#[test]
fn the_drawing_in_the_documentation_is_true() {
    let scratch = scratch();
    let svg = scratch.path().join("explain.svg");
    wimforge(args!["explain", &small(), "--svg", &svg, "--quiet"]).well();
    let committed = small().parent().unwrap().parent().unwrap().join("docs/explain.svg");
    let same = std::fs::read(&svg).unwrap() == std::fs::read(committed).unwrap();
    assert!(same, "wimforge explain testdata/nano-small.wim --svg docs/explain.svg --force");
}

#[test]
fn what_cannot_be_explained_is_said() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.vhd");
    build(&small(), &disk, &[]).well();
    wimforge(args!["explain", &disk, "--layout", "gpt"]).badly(&[2]).says(&["is a disk"]);
    wimforge(args!["explain", &scratch.path().join("none.vhd")]).badly(&[1, 2]);
    let recipe = scratch.path().join("recipe.toml");
    std::fs::write(&recipe, format!("source = {:?}\nlayout = \"mbr1\"\n", small())).unwrap();
    let value = explained(&recipe, &[]);
    assert_eq!(value["volumes"].as_array().unwrap().len(), 1);
    let junk = scratch.path().join("junk");
    std::fs::write(&junk, [7; 4096]).unwrap();
    wimforge(args!["explain", &junk]).badly(&[4]);
}
