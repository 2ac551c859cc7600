//! BIOSes that are not as good as SeaBIOS: a master boot record of the tests changes what it does, and then starts the
//! boot record.

use testkit::asm::*;
use testkit::qemu::Machine;
use testkit::{asm, payload};

use crate::mbr::disk;
use crate::refused::{LAST_WORDS, said};
use crate::report;

/// Where what changes the BIOS stays, below everything that boot code and stub use.
const RESIDENT: u16 = 0x540;
/// There: where the BIOS' own function is (far pointer), and a counter.
const ORIGINAL: u32 = 0x5F0;
const COUNTER: u32 = 0x5F4;
/// The vector of the disk functions.
const DISK: u32 = 0x13;
const MEMORY: u32 = 0x12;

/// A master boot record that puts `handler` in the place of `interrupt`, runs `then`, and starts the boot sector at
/// sector 2048.
fn record(interrupt: u32, handler: impl FnOnce(&mut Asm), then: impl FnOnce(&mut Asm)) -> Vec<u8> {
    const MOVED: u16 = 0x600;
    const START: usize = 0x40;
    const HANDLER: usize = 0x140;
    let mut a = Asm::default();
    asm! { a:
        xor ax, ax;
        mov ds, ax;
        mov es, ax;
        mov ss, ax;
        mov sp, 0x7C00;
        mov si, sp;
        mov di, i32::from(MOVED);
        mov cx, 256;
        cld;
        rep movsw;
        jmp u64::from(MOVED) + START as u64;
    }
    let mut bytes = a.finish(0x7C00).bytes;
    bytes.resize(START, 0x90);

    let mut a = Asm::default();
    asm! { a:
        mov dword_ptr(0x800), 0x0001_0010;
        mov dword_ptr(0x804), 0x7C00;
        mov dword_ptr(0x808), 2048;
        mov dword_ptr(0x80C), 0;
        mov si, 0x800;
        mov ah, 0x42;
        int 0x13;
        mov si, i32::from(MOVED) + HANDLER as i32;
        mov di, i32::from(RESIDENT);
        mov cx, 0x80;
        rep movsb;
        mov eax, u32::from(RESIDENT);
        xchg dword_ptr(interrupt * 4), eax;
        mov dword_ptr(ORIGINAL), eax;
        mov byte_ptr(COUNTER), 40;
    }
    then(&mut a);
    asm! { a:
        jmp 0x7C00u64;
    }
    bytes.extend(a.finish(MOVED + START as u16).bytes);
    assert!(bytes.len() <= HANDLER, "{:#x}", bytes.len());
    bytes.resize(HANDLER, 0x90);

    let mut a = Asm::default();
    handler(&mut a);
    asm! { a:
    'original:
        jmp dword_ptr(ORIGINAL).cs();
        // With interrupts off, as some BIOSes return.
    'fail:
        mov ah, 4;
        stc;
        retf_1 2;
    }
    bytes.extend(a.finish(RESIDENT).bytes);
    assert!(bytes.len() <= 440, "{:#x}", bytes.len());
    bytes
}

fn nothing(_: &mut Asm) {}

/// What the stub, or the boot record, says of such a BIOS.
fn boots(record: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = disk(&directory, 0, record);
    let Some(ended) = Machine::new(&path).run() else { return };
    assert_eq!(ended.status, Some(payload::CONTENT), "{}", ended.text);
    assert_eq!(ended.text, report(2048, 400_000));
}

fn refuses(record: &[u8], message: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = disk(&directory, 0, record);
    let Some(text) = said(&path, LAST_WORDS) else { return };
    assert_eq!(text, message);
}

#[test]
fn disks_without_block_numbers() {
    let handler = |a: &mut Asm| {
        asm! { a:
            cmp ah, 0x41;
            je 'fail;
        }
    };
    refuses(&record(DISK, handler, nothing), "This BIOS cannot read disks by block number (EDD)");
}

#[test]
fn one_sector_at_a_time() {
    let handler = |a: &mut Asm| {
        asm! { a:
            cmp ah, 0x42;
            jne 'original;
            cmp word_ptr(si + 2), 1;
            ja 'fail;
        }
    };
    boots(&record(DISK, handler, nothing));
}

/// Of the first 40 reads every other one fails.
#[test]
fn errors_that_pass() {
    let handler = |a: &mut Asm| {
        asm! { a:
            cmp ah, 0x42;
            jne 'original;
            cmp byte_ptr(COUNTER).cs(), 0;
            je 'original;
            dec byte_ptr(COUNTER).cs();
            test byte_ptr(COUNTER).cs(), 1;
            jnz 'fail;
        }
    };
    boots(&record(DISK, handler, nothing));
}

/// An error that stays, with the BIOS' status and the sector of the volume: $MFT's first.
#[test]
fn errors_that_stay() {
    let handler = |a: &mut Asm| {
        asm! { a:
            cmp ah, 0x42;
            jne 'original;
            // The boot record's own sectors may be read.
            cmp dword_ptr(si + 8), 2048 + 16;
            jae 'fail;
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let path = disk(&directory, 0, &record(DISK, handler, nothing));
    let volume = crate::volume::Volume::open(&path, 2048 * 512);
    let sector = (volume.record(crate::volume::MFT) - volume.start) / 512;
    let Some(text) = said(&path, LAST_WORDS) else { return };
    assert_eq!(text, format!("Disk error 04 at sector {sector:016X}"));
}

#[test]
fn little_memory() {
    let with = |kib: i32| {
        move |a: &mut Asm| {
            asm! { a:
                mov ax, kib;
                iret;
            }
        }
    };
    refuses(&record(MEMORY, with(256), nothing), "Not enough memory below 640 KiB");
    refuses(&record(MEMORY, with(512), nothing), "BOOTMGR is too large for the memory below 640 KiB");
    boots(&record(MEMORY, with(520), nothing));
}

/// Off when the boot record is started, on when BOOTMGR is.
#[test]
fn the_a20_line() {
    let off = |a: &mut Asm| {
        asm! { a:
            in_ al, 0x92;
            and al, 0xFDu32 as i32;
            out 0x92, al;
            // Says on COM1 whether it is.
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
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let path = disk(&directory, 0, &record(DISK, nothing, off));
    let Some(ended) = Machine::new(&path).run() else { return };
    assert_eq!(ended.status, Some(payload::CONTENT), "{}", ended.text);
    assert_eq!(ended.text, format!("-{}", report(2048, 400_000)));
}
