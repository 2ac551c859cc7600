//! The commands that are made to fail, and what each may leave.

/// A command with its inputs.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// Files that are there, from `inputs`; `a=b` is the input `b` under the name `a`.
    pub(crate) inputs: &'static [&'static str],
    pub(crate) args: &'static [&'static str],
    pub(crate) leaves: Leaves,
    /// The input that is changed while it is read, if the command has one.
    pub(crate) victim: Option<&'static str>,
}

/// What a command that failed leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// What was there.
    Nothing,
    /// The old file or the new one.
    OldOrNew,
    /// A file of which each byte is old or new.
    Mixture,
    /// Some of the files of a folder, each of them whole.
    WholeFiles,
    /// The files that were asked for in this order, up to one of them, each of them whole.
    Prefix(&'static [&'static str]),
}

const fn scene(
    name: &'static str,
    inputs: &'static [&'static str],
    args: &'static [&'static str],
    leaves: Leaves,
) -> Scene {
    Scene { name, inputs, args, leaves, victim: None }
}

/// A build of the small tree; the first input is what it is built from.
macro_rules! build {
    ($name:ident, [$($input:literal),*], $out:literal $(, $arg:literal)*) => {
        pub(crate) const fn $name() -> Scene {
            const ARGS: &[&str] = &[
                "build", "tiny.wim", "-o", $out, "-j1", "-l", "mbr1", "--no-boot-files", $($arg),*
            ];
            let scene = scene(stringify!($name), &["tiny.wim" $(, $input)*], ARGS, Leaves::Nothing);
            Scene { victim: Some("tiny.wim"), ..scene }
        }
    };
}

build!(build_raw, [], "out.raw", "--size", "8MiB");
build!(build_raw_over, ["out.raw=old.raw"], "out.raw", "--size", "8MiB", "--force");
build!(build_vhd, [], "out.vhd", "--size", "8MiB");
build!(build_vhdx, [], "out.vhdx", "--size", "8MiB");
build!(build_vmdk, [], "out.vmdk", "--size", "8MiB");
build!(build_qcow2, [], "out.qcow2", "--size", "8MiB");
build!(build_box, [], "out.box", "--size", "8MiB");
build!(build_vmdk_split, [], "out.vmdk", "--size", "2100MiB", "-f", "vmdk-split");
build!(
    build_vmdk_split_over,
    ["out.vmdk=vendor.reg", "out-s001.vmdk=SYSTEM", "out-s002.vmdk=copied.bin"],
    "out.vmdk",
    "--size",
    "2100MiB",
    "-f",
    "vmdk-split",
    "--force"
);
build!(build_compact_os, [], "out.raw", "--size", "8MiB", "--compact-os=xpress4k", "--assume-wof");

build!(build_raw_there, ["out.raw=old.raw"], "out.raw", "--size", "8MiB");

pub(crate) const fn convert_there() -> Scene {
    let args = &["convert", "disk.vhdx", "out.vmdk", "-j1"];
    scene("convert_there", &["disk.vhdx", "out.vmdk=vendor.reg"], args, Leaves::Nothing)
}

pub(crate) const fn reg_export_there() -> Scene {
    let args = &["reg", "export", "SYSTEM", "-o", "out.reg"];
    scene("reg_export_there", &["SYSTEM", "out.reg=vendor.reg"], args, Leaves::Nothing)
}

/// Without a folder of its output, temporary files go where the system has them.
pub(crate) const fn build_stdout() -> Scene {
    let args = &[
        "build",
        "tiny.wim",
        "-o",
        "-",
        "-f",
        "raw",
        "-j1",
        "-l",
        "mbr1",
        "--no-boot-files",
        "--size",
        "8MiB",
        "--compact-os=xpress4k",
        "--assume-wof",
    ];
    Scene { victim: Some("tiny.wim"), ..scene("build_stdout", &["tiny.wim"], args, Leaves::Nothing) }
}

/// All kinds of inputs, and all that is written beside a disk. The key is there: a new one is made of chance.
pub(crate) const fn build_customised() -> Scene {
    scene(
        "build_customised",
        &["windows.wim", "vendor.reg", "copied.bin", "key.pem"],
        &[
            "build",
            "windows.wim",
            "-o",
            "out.vmdk",
            "-j1",
            "-l",
            "mbr1",
            "--size",
            "16MiB",
            "--reg",
            "vendor.reg",
            "--copy",
            "copied.bin=Vendor/copied.bin",
            "--computer-name",
            "FAULTS",
            "--winrm-https",
            "--winrm-key",
            "key.pem",
            "--record",
            "out.record",
            "--manifest",
        ],
        // What lies beside a disk comes after it.
        Leaves::Prefix(&["out.vmdk", "out.winrm.pem", "out.record", "out.vmdk.json"]),
    )
}

pub(crate) const fn convert() -> Scene {
    let args = &["convert", "disk.vhdx", "out.vmdk", "-j1"];
    Scene { victim: Some("disk.vhdx"), ..scene("convert", &["disk.vhdx"], args, Leaves::Nothing) }
}

pub(crate) const fn convert_split() -> Scene {
    scene(
        "convert_split",
        &["split.vmdk", "split-s001.vmdk", "split-s002.vmdk"],
        &["convert", "split.vmdk", "out.qcow2", "-j1"],
        Leaves::Nothing,
    )
}

pub(crate) const fn convert_size() -> Scene {
    let args = &["convert", "disk.raw", "out.vhd", "--size", "12MiB", "-j1"];
    Scene { victim: Some("disk.raw"), ..scene("convert_size", &["disk.raw"], args, Leaves::Nothing) }
}

pub(crate) const fn compact_copy() -> Scene {
    let args = &["compact", "rubbish.raw", "out.vhd", "-j1"];
    Scene { victim: Some("rubbish.raw"), ..scene("compact_copy", &["rubbish.raw"], args, Leaves::Nothing) }
}

pub(crate) const fn compact_in_place() -> Scene {
    scene(
        "compact_in_place",
        &["rubbish.raw"],
        &["compact", "rubbish.raw", "--in-place", "-j1"],
        Leaves::Mixture,
    )
}

pub(crate) const fn reg_set() -> Scene {
    let args = &["reg", "set", "SYSTEM", r"ControlSet001\Services\Vendor", "Start", "-k", "dword", "4"];
    scene("reg_set", &["SYSTEM"], args, Leaves::OldOrNew)
}

pub(crate) const fn reg_import() -> Scene {
    scene(
        "reg_import",
        &["SYSTEM", "vendor.reg"],
        &["reg", "import", "SYSTEM", "vendor.reg"],
        Leaves::OldOrNew,
    )
}

pub(crate) const fn reg_export() -> Scene {
    scene("reg_export", &["SYSTEM"], &["reg", "export", "SYSTEM", "-o", "out.reg"], Leaves::Nothing)
}

pub(crate) const fn bcd_set() -> Scene {
    scene("bcd_set", &["BCD"], &["bcd", "set", "BCD", "{bootmgr}", "timeout", "7"], Leaves::OldOrNew)
}

pub(crate) const fn bcd_create() -> Scene {
    scene("bcd_create", &[], &["bcd", "create", "--firmware", "bios", "out.bcd"], Leaves::Nothing)
}

pub(crate) const fn extract() -> Scene {
    let args = &["extract", "tiny.wim", "-C", "out", "-j1"];
    Scene { victim: Some("tiny.wim"), ..scene("extract", &["tiny.wim"], args, Leaves::WholeFiles) }
}

pub(crate) const fn extract_disk() -> Scene {
    scene("extract_disk", &["disk.vhdx"], &["extract", "disk.vhdx", "-C", "out", "-j1"], Leaves::WholeFiles)
}

/// A package, and the catalog beside it.
pub(crate) const fn convert_catalog() -> Scene {
    let args = &["convert", "disk.vhdx", "out.box", "-j1", "--catalog", "https://example.org/out.box"];
    scene("convert_catalog", &["disk.vhdx"], args, Leaves::Prefix(&["out.box", "out.catalog.json"]))
}

pub(crate) const fn cat() -> Scene {
    let args = &["cat", "tiny.wim", "noise.bin"];
    Scene { victim: Some("tiny.wim"), ..scene("cat", &["tiny.wim"], args, Leaves::Nothing) }
}

pub(crate) const fn verify() -> Scene {
    scene("verify", &["tiny.wim"], &["verify", "tiny.wim", "-j1"], Leaves::Nothing)
}

pub(crate) const fn check() -> Scene {
    scene("check", &["disk.vhdx"], &["check", "disk.vhdx", "--no-boot"], Leaves::Nothing)
}
