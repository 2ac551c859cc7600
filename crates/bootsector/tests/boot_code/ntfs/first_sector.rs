//! The first sector: loads the others, or says why not.

use super::*;

/// Bytes before the code: the jump over them, and the volume's own fields.
const HEAD: u16 = 0x54;
const TRIES: i32 = 3;

pub struct FirstSector {
    pub bytes: Vec<u8>,
    pub labels: BTreeMap<&'static str, u16>,
}

pub fn assemble() -> FirstSector {
    let mut start = Asm::default();
    asm! { start:
        cli;
        xor ax, ax;
        mov ss, ax;
        mov sp, i32::from(LOADED);
        sti;
        cld;
        mov ds, ax;
        mov es, ax;
    }
    // Some BIOSes enter at 07C0:0000.
    let start = crate::far_jump(start.finish(LOADED + HEAD).bytes, LOADED + HEAD);

    let mut a = Asm::default();
    load(&mut a);
    say(&mut a);
    let program = a.finish(LOADED + HEAD + start.len() as u16);

    let mut bytes = b"\xEB\x52\x90NTFS    ".to_vec();
    bytes.resize(usize::from(HEAD), 0);
    bytes.extend(start);
    bytes.extend(program.bytes);
    println!("the first sector has {} bytes to spare", 510 - bytes.len() as i64);
    assert!(bytes.len() <= 510, "the first sector has {} bytes", bytes.len());
    bytes.resize(510, 0);
    bytes.extend([0x55, 0xAA]);
    FirstSector { bytes, labels: program.labels }
}

fn load(a: &mut Asm) {
    asm! { a:
        mov byte_ptr(at::DRIVE), dl;
        // The field that loaders keep up to date for BOOTMGR.
        mov byte_ptr(bpb::DRIVE), dl;
        mov ah, 0x41;
        mov bx, 0x55AA;
        int 0x13;
        jc 'no_edd;
        cmp bx, 0xAA55;
        jne 'no_edd;
        test cl, 1;
        jz 'no_edd;

        // One sector at a time, which every BIOS can.
        mov si, at::PACKET as i32;
        mov dword_ptr(si + 4), u32::from(SECOND) << 12;
        mov eax, dword_ptr(bpb::HIDDEN);
        mov dword_ptr(si + 8), eax;
        mov dword_ptr(si + 12), 0;
        mov di, 15;
    'load_next:
        mov cx, TRIES;
        // Behind the first sector.
        inc dword_ptr(si + 8);
    'load_again:
        mov dword_ptr(si), 0x0001_0010;
        mov ah, 0x42;
        call 'disk;
        jnc 'load_done;
        xor ah, ah;
        call 'disk;
        dec cx;
        jnz 'load_again;
        call_with 'fail, b"Disk error reading this boot record\0";
    'load_done:
        add word_ptr(si + 6), 0x20;
        dec di;
        jnz 'load_next;
        cmp dword_ptr(u32::from(LOADED) + NTFS_BOOT_RECORD_LEN as u32 - 4), END_MARK;
        je 'loaded;
        call_with 'fail, b"This boot record is incomplete\0";
    'loaded:
        jmp u64::from(MAIN);
    'no_edd:
        call_with 'fail, b"This BIOS cannot read disks by block number (EDD)\0";

        // BIOS function AH of the drive, with SI; the carry flag and STATUS say how it went. Keeps all registers.
    'disk:
        pushad;
        mov dl, byte_ptr(at::DRIVE);
        int 0x13;
        mov byte_ptr(at::STATUS), ah;
        popad;
        ret;
    }
}

fn say(a: &mut Asm) {
    asm! { a:
        // Says what is behind the call, and stops.
    'fail:
        call_with 'say, b"\r\n\0";
        pop si;
        call 'say_text;
    'stop:
        call_with 'say, b"\r\nPress Ctrl+Alt+Del to restart\r\n\0";
    'halt:
        sti;
        hlt;
        jmp 'halt;

        // Says what is behind the call.
    'say:
        pop si;
        call 'say_text;
        jmp si;

        // Says what SI points to, which then points behind it.
    'say_next:
        call 'say_char;
    'say_text:
        lodsb;
        test al, al;
        jnz 'say_next;
        ret;

    'say_char:
        mov ah, 0x0E;
        mov bx, 7;
        int 0x10;
        ret;
    }
}
