//! The master boot record's own refusals.

use disk::WriteAt;
use testkit::asm::*;
use testkit::qemu::Machine;
use testkit::{asm, payload};

use crate::ours;
use crate::refused::said;
use crate::{report, stub};

const TABLE: u64 = 0x1BE;

/// Our disk, changed at `at`.
fn disk(directory: &tempfile::TempDir, at: u64, bytes: &[u8]) -> std::path::PathBuf {
    let path = directory.path().join("disk");
    ours::disk(&path, 2048, stub(1000));
    std::fs::File::options().write(true).open(&path).unwrap().write_all_at(bytes, at).unwrap();
    path
}

#[test]
fn tables_without_one_active_partition() {
    let directory = tempfile::tempdir().unwrap();
    // The partition is the second; the first becomes active, too, or has a status that is none.
    for status in [0x80, 0x81, 0x01] {
        let path = disk(&directory, TABLE, &[status]);
        if said(&path, "Invalid partition table").is_none() {
            return;
        }
    }
    // Nothing active: the BIOS is asked for the next device, and has none.
    let path = disk(&directory, TABLE + 16, &[0]);
    let machine = Machine { last_words: &["No bootable device"], screen: true, ..Machine::new(&path) };
    let Some(ended) = machine.run() else { return };
    assert!(ended.said_last_words && ended.text.contains("No active partition"), "{}", ended.text);
}

#[test]
fn partitions_that_are_not_bootable() {
    let directory = tempfile::tempdir().unwrap();
    let path = disk(&directory, 2048 * 512 + 0x1FE, &[0]);
    if said(&path, "The active partition has no boot sector").is_none() {
        return;
    }
    let path = disk(&directory, TABLE + 16 + 8, &[0xFF; 4]);
    said(&path, "Disk error reading the active partition");
}

/// A master boot record that turns the A20 line off, says on COM1 whether it is, and starts the boot sector at sector
/// 2048.
fn without_a20() -> Vec<u8> {
    const ORIGIN: u32 = 0x600;
    let mut a = Asm::default();
    asm! { a:
        xor ax, ax;
        mov ds, ax;
        mov es, ax;
        mov ss, ax;
        mov sp, 0x7C00;
        mov si, sp;
        mov di, ORIGIN as i32;
        mov cx, 256;
        cld;
        rep movsw;
        jmp u64::from(ORIGIN) + 0x40;
    }
    let mut bytes = a.finish(0x7C00).bytes;
    bytes.resize(0x40, 0x90);
    let mut a = Asm::default();
    asm! { a:
        mov dword_ptr(0x800), 0x0001_0010;
        mov dword_ptr(0x804), 0x7C00;
        mov dword_ptr(0x808), 2048;
        mov dword_ptr(0x80C), 0;
        mov si, 0x800;
        mov ah, 0x42;
        int 0x13;
        in_ al, 0x92;
        and al, 0xFDu32 as i32;
        out 0x92, al;
        mov ax, 0xFFFFu32 as i32;
        mov es, ax;
        inc dword_ptr(0x800);
        mov eax, dword_ptr(0x800);
        mov bl, b'+' as i32;
        cmp eax, dword_ptr(0x810).es();
        jne 'on;
        mov bl, b'-' as i32;
    'on:
        mov al, bl;
        mov cx, dx;
        mov dx, 0x3F8;
        out dx, al;
        mov dx, cx;
        jmp 0x7C00u64;
    }
    bytes.extend(a.finish(0x640).bytes);
    bytes
}

#[test]
fn the_a20_line_is_turned_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = disk(&directory, 0, &without_a20());
    let Some(ended) = Machine::new(&path).run() else { return };
    assert_eq!(ended.status, Some(payload::CONTENT), "{}", ended.text);
    // Off before, and on when BOOTMGR was entered.
    assert_eq!(ended.text, format!("-{}", report(2048, 1000)));
}
