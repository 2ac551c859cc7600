//! UEFI firmware for the emulated PC, and third-party EFI programs to run on it.

use std::path::{Path, PathBuf};

use crate::qemu::{Ended, Machine};
use crate::{args, skip, tool};

/// Where distributions put the firmware for x64, variables and all in one file.
const PLACES: &[&str] =
    &["/usr/share/ovmf/OVMF.fd", "/usr/share/OVMF/OVMF.fd", "/usr/share/edk2/x64/OVMF.4m.fd"];
/// Where distributions put GRUB for x64 firmware.
const GRUB: &[&str] =
    &["/usr/lib/grub/x86_64-efi", "/usr/lib/grub2/x86_64-efi", "/usr/share/grub2/x86_64-efi"];

fn place(places: &[&str], package: &str) -> Option<PathBuf> {
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    if found.is_none() {
        skip(&format!("needs {} (apt install {package})", places[0]));
    }
    found
}

impl Machine<'_> {
    /// Runs it with UEFI firmware instead of a BIOS. `None`, visibly, without QEMU or the firmware.
    ///
    /// # Panics
    /// When QEMU does not start.
    pub fn run_uefi(&self) -> Option<Ended> {
        let firmware = place(PLACES, "ovmf")?.display().to_string();
        let mut more = vec!["-bios", &firmware, "-m", "256"];
        more.extend(self.more);
        Machine { more: &more, ..self.clone() }.run()
    }
}

/// Makes an EFI program of GRUB that runs `script` and nothing else. `None`, visibly, without GRUB.
///
/// # Panics
/// When it cannot be made.
pub fn grub(script: &str, folder: &Path) -> Option<Vec<u8>> {
    const MODULES: &[&str] = &[
        "part_gpt",
        "part_msdos",
        "fat",
        "ntfs",
        "hashsum",
        "gcry_sha1",
        "gcry_sha256",
        "search",
        "serial",
        "terminal",
    ];
    let (mkimage, modules) = (tool("grub-mkimage")?, place(GRUB, "grub-efi-amd64-bin")?);
    let (config, program) = (folder.join("grub.cfg"), folder.join("grub.efi"));
    std::fs::write(&config, script).expect("the temporary directory has room");
    let mut all =
        args!["-O", "x86_64-efi", "-d", &modules, "-p", "/", "-c", &config, "-o", &program].to_vec();
    all.extend(["normal", "echo", "halt", "cat", "ls", "test"].map(std::ffi::OsStr::new));
    all.extend(MODULES.iter().map(std::ffi::OsStr::new));
    mkimage.run(all);
    Some(std::fs::read(program).expect("just made"))
}
