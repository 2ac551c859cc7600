//! GRUB on both sides: it starts the stub, as a loader that is not ours; and it is started, as a BOOTMGR that is not ours.

use std::path::{Path, PathBuf};

use testkit::payload;
use testkit::qemu::Machine;
use testkit::{args, tool};

use crate::ours::{self, Volume};
use crate::{reached, stub};

/// A GRUB whose configuration is in it, behind `head`, one of GRUB's images for loaders. `None`, visibly, without GRUB.
fn grub(directory: &Path, head: &str, modules: &[&str], config: &str) -> Option<PathBuf> {
    let mkimage = tool("grub-mkimage")?;
    let images = Path::new("/usr/lib/grub/i386-pc");
    if !images.join(head).exists() {
        testkit::skip("needs GRUB for BIOS (apt install grub-pc-bin)");
        return None;
    }
    let (config_path, core) = (directory.join("grub.cfg"), directory.join("core.img"));
    let prologue = "serial --unit=0 --speed=115200\nterminal_output serial\n";
    std::fs::write(&config_path, format!("{prologue}{config}")).unwrap();
    let mut command = mkimage.command();
    command.args(args!["-O", "i386-pc", "-p", "/", "-c", &config_path, "-o", &core]);
    let status =
        command.args(["biosdisk", "part_msdos", "ntfs", "serial", "terminal", "echo"]).args(modules).status();
    assert!(status.unwrap().success());
    let mut whole = std::fs::read(images.join(head)).unwrap();
    whole.extend(std::fs::read(core).unwrap());
    let path = directory.join("grub");
    std::fs::write(&path, whole).unwrap();
    Some(path)
}

/// The stub says the same, byte for byte, of our boot code and of GRUB's `ntldr`.
#[test]
fn grub_starts_the_same_stub() {
    let directory = tempfile::tempdir().unwrap();
    let config = "set root=(hd0,msdos2)\nntldr /bootmgr\nboot\n";
    let Some(grub) = grub(directory.path(), "lnxboot.img", &["ntldr", "boot"], config) else { return };
    let path = directory.path().join("disk");
    ours::disk(&path, 2048, stub(400_000));
    if !reached(&Machine::new(&path), 2048, 400_000, "our boot code") {
        return;
    }
    let grub = grub.display().to_string();
    let ended = Machine { more: &["-kernel", &grub], ..Machine::new(&path) }.run().unwrap();
    assert_eq!(ended.status, Some(payload::CONTENT), "{}", ended.text);
    assert!(ended.text.ends_with(&crate::report(2048, 400_000)), "{}", ended.text);
}

/// GRUB, as the file that a loader of Windows starts, runs when ours starts it, and reads the volume that it came from.
#[test]
fn grub_is_started_as_bootmgr() {
    let directory = tempfile::tempdir().unwrap();
    let config = "echo alive\nset root=(hd0,msdos2)\ncat /hello.txt\noutb 0xf4 0x10\n";
    let Some(grub) = grub(directory.path(), "g2hdr.img", &["cat", "iorw"], config) else { return };
    let path = directory.path().join("disk");
    let mut volume = Volume::new(std::fs::read(grub).unwrap());
    volume.more.push(("hello.txt", b"hello from the volume\n".repeat(100)));
    ours::disk(&path, 2048, volume);
    let Some(ended) = Machine::new(&path).run() else { return };
    assert_eq!(ended.status, Some(payload::CONTENT), "{}", ended.text);
    assert!(ended.text.contains("alive\n"), "{}", ended.text);
    assert_eq!(ended.text.matches("hello from the volume").count(), 100, "{}", ended.text);
}
