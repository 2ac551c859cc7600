//! Another PC: the processor, the devices and the BIOS of Bochs. With the whole matrix only, because Debian's Bochs comes
//! with a desktop's libraries (apt install bochs bochs-term bochsbios vgabios).

use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::tool;

use crate::{ours, report, stub, whole_matrix};

#[test]
fn another_bios_and_another_emulator() {
    if !whole_matrix() {
        return;
    }
    let Some(bochs) = tool("bochs") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut volume = stub(400_000);
    volume.others = 500;
    ours::disk(&directory.path().join("disk"), 2048, volume);
    let config = "megs: 64\n\
        romimage: file=/usr/share/bochs/BIOS-bochs-latest\n\
        vgaromimage: file=/usr/share/vgabios/vgabios.bin\n\
        ata0-master: type=disk, path=disk, mode=flat\n\
        boot: disk\n\
        com1: enabled=1, mode=file, dev=com1\n\
        display_library: rfb, options=\"timeout=0\"\n\
        log: log\n\
        panic: action=fatal\n";
    std::fs::write(directory.path().join("config"), config).unwrap();
    // Debian's stops in its debugger at first.
    std::fs::write(directory.path().join("commands"), "c\n").unwrap();
    let mut command = bochs.command();
    command.current_dir(directory.path()).args(["-q", "-f", "config", "-rc", "commands"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let mut text = String::new();
    while start.elapsed() < Duration::from_secs(180) && !text.ends_with("pass\n") && !text.ends_with("fail\n")
    {
        std::thread::sleep(Duration::from_millis(100));
        let bytes = std::fs::read(directory.path().join("com1")).unwrap_or_default();
        text = String::from_utf8_lossy(&bytes).replace('\r', "");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    println!("Bochs: {:?}", start.elapsed());
    let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
    assert_eq!(text, report(2048, 400_000), "{log}");
}
