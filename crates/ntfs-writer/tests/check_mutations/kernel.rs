//! What Linux' `ntfs3` says of many volumes: one boot of an emulated machine, each volume a partition of its disk.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use testkit::{args, cache, tool};

use super::tools::{Outcome, hash};

/// Partitions begin at multiples of this.
const ALIGN: usize = 1 << 20;

/// An archive of files, as the kernel unpacks it at its start ("newc").
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.count += 1;
        let (len, name_len) = (data.len() as u32, name.len() as u32 + 1);
        write!(self.bytes, "070701").unwrap();
        for field in [self.count, mode, 0, 0, 1, 0, len, 0, 0, 0, 0, name_len, 0] {
            write!(self.bytes, "{field:08x}").unwrap();
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Mounts each, hashes every file, lists the rest, and writes down what the kernel said meanwhile.
const SCRIPT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin LC_ALL=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
insmod /virtio_blk.ko; insmod /ntfs3.ko
i=0
while [ -e /dev/vda$((i + 1)) ]; do
    i=$((i + 1))
    dmesg -c > /dev/null
    : > /tmp/errors; : > /tmp/list; refused=0
    if mount -t ntfs3 -o ro,iocharset=utf8 /dev/vda$i /mnt 2>> /tmp/errors; then
        cd /mnt
        find . -xdev -type f -print0 2>> /tmp/errors | xargs -0 sha1sum >> /tmp/list 2>> /tmp/errors
        find . -xdev ! -type f 2>> /tmp/errors >> /tmp/list
        cd /; umount /mnt
    else
        refused=1
    fi
    dmesg | grep ntfs3 | grep -v 'Mark volume as dirty due to NTFS errors' >> /tmp/errors
    echo "== $refused $(wc -l < /tmp/errors) $(sort /tmp/list | sha1sum | cut -c1-40) $(head -n 1 /tmp/errors)" >> /tmp/out
done
echo "== end" >> /tmp/out
cat /tmp/out > /dev/vdb
sync
poweroff -f
"#;

/// Asks the kernel; `None`, visibly, where there is none to ask.
pub fn ntfs3(volumes: &[Vec<u8>], scratch: &Path) -> Option<Vec<Outcome>> {
    let (qemu, busybox, sfdisk) = (tool("qemu-system-x86_64")?, tool("busybox")?, tool("sfdisk")?);
    let kernel = cache().join("ntfs3");
    if !kernel.join("vmlinuz").exists() {
        testkit::skip_here("needs a Linux kernel with ntfs3 (run crates/testkit/fetch-kernel.sh)");
        return None;
    }
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "proc", "sys", "mnt", "tmp"] {
        archive.add(directory, 0o040_755, &[]);
    }
    archive.add("bin/busybox", 0o100_755, &std::fs::read(busybox.path()).unwrap());
    for module in ["virtio_blk.ko", "ntfs3.ko"] {
        archive.add(module, 0o100_644, &std::fs::read(kernel.join(module)).unwrap());
    }
    archive.add("init", 0o100_755, SCRIPT.as_bytes());
    archive.add("TRAILER!!!", 0, &[]);
    let initrd = scratch.join("initrd");
    std::fs::write(&initrd, archive.bytes).unwrap();

    let (disk, result) = (scratch.join("disk.img"), scratch.join("result.img"));
    File::create(&result).unwrap().set_len(1 << 20).unwrap();
    let stride = volumes.iter().map(Vec::len).max()?.next_multiple_of(ALIGN);
    let file = File::create(&disk).unwrap();
    file.set_len((ALIGN * 2 + stride * volumes.len()) as u64).unwrap();
    let mut layout = String::from("label: gpt\ntable-length: 256\n");
    for (volume, number) in volumes.iter().zip(0..) {
        layout += &format!("start={}, size={}\n", (ALIGN + stride * number) / 512, volume.len() / 512);
    }
    let mut child = sfdisk
        .command()
        .args(args!["-q", &disk])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(layout.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    for (volume, number) in volumes.iter().zip(0..) {
        disk::WriteAt::write_all_at(&file, volume, (ALIGN + stride * number) as u64).unwrap();
    }

    let drive = |path: &Path| format!("file={},format=raw,if=virtio,cache=unsafe", path.display());
    qemu.run(args![
        "-machine",
        "q35",
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-m",
        "1024",
        "-nographic",
        "-nodefaults",
        "-no-reboot",
        "-serial",
        "stdio",
        "-kernel",
        &kernel.join("vmlinuz"),
        "-initrd",
        &initrd,
        "-append",
        "console=ttyS0 panic=-1 loglevel=1 mitigations=off no_timer_check",
        "-drive",
        &drive(&disk),
        "-drive",
        &drive(&result),
    ]);
    let mut bytes = Vec::new();
    File::open(&result).unwrap().read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (lines, _) = text.split_once("== end").expect("the machine came to its end");
    // (refused, complaints, hash of the listing)
    let said: Vec<(bool, u32, u64)> = lines
        .lines()
        .filter_map(|line| line.strip_prefix("== "))
        .map(|line| {
            let mut fields = line.split(' ');
            let mut field = || fields.next().unwrap_or_default();
            (field() == "1", field().parse().unwrap(), hash(field()))
        })
        .collect();
    // It may have something to say of the unchanged volume, too (reparse points that it does not know).
    let usual = said.first()?.1;
    let outcomes: Vec<Outcome> = said
        .into_iter()
        .map(|(refused, count, output)| Outcome { complained: refused || count > usual, refused, output })
        .collect();
    assert_eq!(outcomes.len(), volumes.len(), "{text}");
    Some(outcomes)
}
