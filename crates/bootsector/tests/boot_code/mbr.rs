//! The master boot record's code: finds the active partition and starts its boot sector.
//!
//! The contract is what BIOSes and boot sectors of the last decades expect of each other. Entered at 0:7C00 with the
//! drive in DL. Moves to 0:0600; reads the first sector of the active partition to 0:7C00 and jumps there with the drive
//! in DL, DH = 0, SI and BP pointing to the partition's entry, DS = ES = SS = 0, SP = 7C00, and the A20 line on. Without
//! an active partition it asks the BIOS for the next device (INT 18h).
//!
//! A BIOS without EDD (disk access by block number, 1998 and later) is told so: the boot record that follows has no use
//! for it either.

use testkit::asm;
use testkit::asm::*;

use crate::far_jump;

/// Where the BIOS puts a boot sector.
const LOADED: u16 = 0x7C00;
/// Where this code moves to, out of the way of the next one.
const ORIGIN: u16 = 0x0600;
/// The partition table, after the move.
const TABLE: i32 = 0x0600 + 0x1BE;
/// How often a read is tried.
const TRIES: i32 = 5;

/// The code, without what follows it in the sector.
pub fn assemble() -> Vec<u8> {
    let mut bytes = move_away();
    let origin = ORIGIN + bytes.len() as u16;
    bytes.extend(boot().finish(origin).bytes);
    bytes
}

fn move_away() -> Vec<u8> {
    let mut a = Asm::default();
    asm! { a:
        cli;
        xor ax, ax;
        mov ss, ax;
        mov sp, i32::from(LOADED);
        sti;
        cld;
        mov ds, ax;
        mov es, ax;
        mov si, sp;
        mov di, i32::from(ORIGIN);
        mov cx, 256;
        rep movsw;
    }
    far_jump(a.finish(LOADED).bytes, ORIGIN)
}

fn boot() -> Asm {
    let mut a = Asm::default();
    asm! { a:
        // Exactly one entry has status 0x80, all others 0.
        xor bp, bp;
        mov si, TABLE;
        mov cx, 4;
    'entry:
        cmp byte_ptr(si), 0x80;
        ja 'invalid;
        je 'active;
        cmp byte_ptr(si), 0;
        jne 'invalid;
        jmp 'next_entry;
    'active:
        test bp, bp;
        jnz 'invalid;
        mov bp, si;
    'next_entry:
        add si, 16;
        dec cx;
        jnz 'entry;
        test bp, bp;
        jz 'none;

        // EDD, installation check: CX bit 0 is access by packets.
    'drive:
        mov ah, 0x41;
        mov bx, 0x55AA;
        push dx;
        int 0x13;
        pop dx;
        jc 'no_edd;
        cmp bx, 0xAA55;
        jne 'no_edd;
        test cl, 1;
        jz 'no_edd;

        mov di, TRIES;
    'read:
        // The packet, from its end: block number, buffer 0:7C00, one sector, its own length.
        xor eax, eax;
        push eax;
        push dword_ptr(bp + 8);
        push ax;
        push i32::from(LOADED);
        push 1;
        push 16;
        mov si, sp;
        mov ah, 0x42;
        pusha;
        int 0x13;
        popa;
        // Not an addition: the carry flag is the answer.
        lea sp, ptr(esp + 16);
        jnc 'loaded;
        xor ah, ah;
        pusha;
        int 0x13;
        popa;
        dec di;
        jnz 'read;
        call_with 'stop, b"Disk error reading the active partition\0";

    'no_edd:
        // Some BIOSes say the wrong drive; the first hard disk is the best guess there is.
        cmp dl, 0x80;
        mov dl, 0x80;
        jne 'drive;
        call_with 'stop, b"This BIOS cannot read disks by block number (EDD)\0";
    'invalid:
        call_with 'stop, b"Invalid partition table\0";
    'none:
        call_with 'print, b"No active partition\r\n\0";
        int 0x18;
    'halt:
        sti;
        hlt;
        jmp 'halt;

    'loaded:
        cmp word_ptr(LOADED + 0x1FE), 0xAA55;
        jne 'not_bootable;
        // A20: by the BIOS, then by the system control port where that did not do it.
        mov ax, 0x2401;
        pusha;
        int 0x15;
        popa;
        in_ al, 0x92;
        test al, 2;
        jnz 'start;
        or al, 2;
        and al, 0xFEu32 as i32;
        out 0x92, al;
    'start:
        sti;
        mov si, bp;
        xor dh, dh;
        jmp u64::from(LOADED);
    'not_bootable:
        call_with 'stop, b"The active partition has no boot sector\0";

        // Print the text behind the call; 'stop stays.
    'stop:
        pop si;
        call 'print_si;
        jmp 'halt;
    'print:
        pop si;
        call 'print_si;
        jmp si;
    'print_si:
        lodsb;
        test al, al;
        jz 'printed;
        mov ah, 0x0E;
        mov bx, 7;
        int 0x10;
        jmp 'print_si;
    'printed:
        ret;
    }
    a
}
