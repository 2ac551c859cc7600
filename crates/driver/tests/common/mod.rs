//! What the tests share.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::PathBuf;

use wimforge_driver::{Architecture, CompiledDriver, Folders, Inf, ProductType, Target, compile};

pub(crate) fn nano() -> Target {
    Target::new(Architecture::Amd64, 14393, ProductType::Server)
}

pub(crate) fn drivers() -> Option<PathBuf> {
    Some(testkit::samples()?.join("drivers"))
}

/// A virtio source as its build makes an INF file of it: `stampinx` and the project's own replacements.
pub(crate) fn virtio(name: &str) -> Option<Inf> {
    let text = virtio_text(name)?;
    Some(Inf::parse(&name.replace(".inx", ".inf"), text.as_bytes()).expect("an INF file"))
}

pub(crate) fn virtio_text(name: &str) -> Option<String> {
    let path = drivers()?.join("inx").join(name);
    let text = std::fs::read_to_string(&path).expect("a sample");
    let replaced = [
        ("01/01/2008,0.0.0.1", "08/02/2019,1.3.15.0"),
        ("$ARCH$", "amd64"),
        ("$KMDFVERSION$", "1.15"),
        ("%INX_PLATFORM_DRIVERS_DIR%", "%12%"),
        ("INX_PLATFORM_DRIVERS_DIR", "12"),
        ("INX_BASE_ON_SYSTEM_ROOT_DRIVER_DIR", r"%%SystemRoot%%\System32\drivers"),
        ("_INX_SUBSYS_VENDOR_ID", "1AF4"),
        ("INX_COMPANY", "Red Hat, Inc."),
        ("INX_PREFIX_VENDOR", "Red Hat "),
        ("INX_PREFIX_VIRTIO", ""),
        ("INX_PREFIX_QEMU", ""),
    ];
    Some(replaced.iter().fold(text, |text, (from, to)| text.replace(from, to)))
}

/// N of `oemN.inf`.
pub(crate) fn oem_number(name: &str) -> u32 {
    name.trim_start_matches("oem").trim_end_matches(".inf").parse().expect("a number")
}

pub(crate) fn compiled(inf: &Inf, target: &Target) -> CompiledDriver {
    let folders = Folders::new(target, &format!("{}_amd64_0123456789abcdef", inf.name()));
    compile(inf, target, &folders, &()).expect("it compiles")
}

pub(crate) fn parse(text: &str) -> Inf {
    Inf::parse("test.inf", text.as_bytes()).expect("an INF file")
}
