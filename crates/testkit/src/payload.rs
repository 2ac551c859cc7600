//! Programs of our own that stand where `\bootmgr` would: what boot code starts, without a byte of Microsoft's.
//!
//! Both are entered as BOOTMGR is: the file lies at 2000:0000 and is entered there, DL is the BIOS drive, and the
//! partition's boot sector is at 0:7C00. Both have the shape by which loaders know a BOOTMGR (a near jump by 0x01xx bytes
//! at its start, no boot signature at 0x1FE).

use crate::asm;
use crate::asm::*;

/// The exit status of QEMU when a program was content: `isa-debug-exit` makes it of the byte 0x10.
pub const CONTENT: i32 = 0x10 << 1 | 1;
/// The exit status of QEMU when the stub found something wrong.
pub const DISCONTENT: i32 = 0x11 << 1 | 1;

/// The I/O port at which QEMU is given an `isa-debug-exit` device. Nothing listens there on a PC.
pub const EXIT_PORT: u16 = 0xF4;

/// Where a program lies in memory, as a segment.
const SEGMENT: u32 = 0x2000;
/// The shortest [`stub`]: it fits a file record of 1 KiB.
pub const SHORTEST_STUB: usize = 0x270;

/// Scratch memory at segment 0, which nobody uses once boot code has run.
mod low {
    pub(super) const DRIVE: u32 = 0x500;
    pub(super) const FAULTS: u32 = 0x501;
    pub(super) const ENTRY: u32 = 0x504;
    pub(super) const PACKET: u32 = 0x510;
    pub(super) const SECTOR: u32 = 0x600;
    /// The partition's boot sector.
    pub(super) const BOOT_SECTOR: u32 = 0x7C00;
}

/// A BOOTMGR of `len` bytes that checks how it was entered and whether all of it arrived, writes what it found on COM1,
/// and ends the machine with [`CONTENT`] or [`DISCONTENT`].
///
/// Its report says nothing that two loaders may do differently.
///
/// # Panics
/// When `len` is less than [`SHORTEST_STUB`].
pub fn stub(len: usize) -> Vec<u8> {
    let mut tools = Asm::default();
    print(&mut tools, false);
    print_hex(&mut tools);
    find_active(&mut tools);
    crc(&mut tools);
    let tools = tools.finish(TOOLS);

    let mut a = Asm::new(tools.labels.clone());
    enter(&mut a);
    asm! { a:
        // Eight bits: not every BIOS leaves the port so.
        mov dx, COM1 + 3;
        mov al, 3;
        out dx, al;
        call_with 'print, b"wimforge stub BOOTMGR\r\nentry \0";
        mov eax, dword_ptr(low::ENTRY).es();
        call 'hex;
        cmp eax, SEGMENT << 16;
        call_with 'judge, b"\r\ndrive \0";
        movzx eax, byte_ptr(low::DRIVE).es();
        call 'hex;
        test al, 0x80;
        setnz al;
        cmp al, 1;
        call_with 'judge, b"\r\noem\0";
        cmp dword_ptr(low::BOOT_SECTOR + 3).es(), u32::from_le_bytes(*b"NTFS");
        call_with 'judge, b"\r\nhidden sectors \0";
        mov eax, dword_ptr(low::BOOT_SECTOR + 0x1C).es();
        call 'hex;
        call_with 'print, b"\r\nactive partition \0";
        call 'active;
        call 'hex;
        cmp eax, dword_ptr(low::BOOT_SECTOR + 0x1C).es();
        call_with 'judge, b"\r\na20\0";
        // Two addresses 1 MiB apart are one if the line is off.
        mov ax, 0xFFFF;
        mov fs, ax;
        inc dword_ptr(low::SECTOR).es();
        mov eax, dword_ptr(low::SECTOR).es();
        cmp eax, dword_ptr(low::SECTOR + 0x10).fs();
        setnz al;
        cmp al, 1;
        call_with 'judge, b"\r\nsize \0";
        mov eax, dword_ptr(SIZE);
        call 'hex;
        call_with 'print, b"\r\ncrc\0";
        call 'crc;
        cmp eax, RESIDUE;
        call_with 'judge, b"\r\n\0";
        mov al, byte_ptr(low::FAULTS).es();
        test al, al;
        jnz 'discontent;
        call_with 'print, b"pass\r\n\0";
        mov al, 0x10;
        out EXIT_PORT as i32, al;
    'stop:
        hlt;
        jmp 'stop;
    'discontent:
        call_with 'print, b"fail\r\n\0";
        mov al, 0x11;
        out EXIT_PORT as i32, al;
        jmp 'stop;

        // Says whether the comparison before the call was equal, then what follows the call.
    'judge:
        push ax;
        je 'good;
        inc byte_ptr(low::FAULTS).es();
        call_with 'print, b" BAD\0";
        jmp 'judged;
    'good:
        call_with 'print, b" ok\0";
    'judged:
        pop ax;
        jmp 'print;
    }
    let mut bytes = whole(a, tools, len);
    assert!(
        len >= SHORTEST_STUB && len - 4 >= bytes.len(),
        "{len} bytes, the code alone has {}",
        bytes.len()
    );
    pad(&mut bytes, len - 4);
    let crc = crc32(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// The BOOTMGR of the project's own small image: it says on the screen and on COM1 that it was reached and what it is,
/// and stops; a QEMU that has the exit device ends with [`CONTENT`].
pub fn greeter() -> Vec<u8> {
    let mut tools = Asm::default();
    print(&mut tools, true);
    print_hex(&mut tools);
    let tools = tools.finish(TOOLS);

    let mut a = Asm::new(tools.labels.clone());
    enter(&mut a);
    asm! { a:
        // 9600 8N1, as every terminal program begins. Without a serial port the BIOS does nothing.
        mov ax, 0x00E3;
        xor dx, dx;
        int 0x14;
        call_with 'print, b"\r\nwimforge: BOOTMGR stand-in\r\n\r\n\
            Your image reached its boot manager. A real Windows image would start here.\r\n\
            BIOS drive 0x\0";
        movzx eax, byte_ptr(low::DRIVE).es();
        shl eax, 24;
        mov cx, 2;
        call 'hex_digit;
        call_with 'print, b", partition at sector \0";
        mov eax, dword_ptr(low::BOOT_SECTOR + 0x1C).es();
        call 'decimal;
        call_with 'print, b", this file has \0";
        mov eax, dword_ptr(SIZE);
        call 'decimal;
        call_with 'print, b" bytes.\r\n\0";
        mov al, 0x10;
        out EXIT_PORT as i32, al;
    'stop:
        hlt;
        jmp 'stop;

        // Prints EAX without leading zeros.
    'decimal:
        mov ebx, 10;
        xor cx, cx;
    'decimal_divide:
        xor edx, edx;
        div ebx;
        push dx;
        inc cx;
        test eax, eax;
        jnz 'decimal_divide;
    'decimal_digit:
        pop ax;
        add al, b'0' as i32;
        call 'char;
        dec cx;
        jnz 'decimal_digit;
        ret;
    }
    let mut bytes = whole(a, tools, GREETER_LEN);
    assert!(bytes.len() <= GREETER_LEN);
    bytes.resize(GREETER_LEN, 0);
    bytes
}

/// More than what fits a file record: boot code has to follow a run to it.
const GREETER_LEN: usize = 8192;

/// Offset of the file's size in it.
const SIZE: u32 = 4;
/// Where the subroutines begin, which fill what the jump at the start jumps over.
const TOOLS: u16 = 8;
/// Where a program's code begins, so that this jump has the length that loaders look for.
const CODE: u16 = 0x103;
/// What the CRC register holds after data and its CRC.
const RESIDUE: u32 = 0xDEBB_20E3;

/// The common begin: ES is 0, DS the program's own segment; how it was entered is in [`low`].
fn enter(a: &mut Asm) {
    asm! { a:
        // The return address is the offset of what follows in whatever segment this is.
        call 'here;
    'here:
        pop ax;
        sub ax, i32::from(CODE) + 3;
        xor cx, cx;
        mov es, cx;
        mov word_ptr(low::ENTRY).es(), ax;
        mov word_ptr(low::ENTRY + 2).es(), cs;
        mov byte_ptr(low::DRIVE).es(), dl;
        mov byte_ptr(low::FAULTS).es(), 0;
        push cs;
        pop ds;
        cld;
        sti;
    }
}

/// `'active`: EAX becomes the first sector of the active partition, by the master boot record.
fn find_active(a: &mut Asm) {
    asm! { a:
    'active:
        push ds;
        push es;
        pop ds;
        mov dword_ptr(low::PACKET), 0x0001_0010;
        mov dword_ptr(low::PACKET + 4), low::SECTOR;
        xor eax, eax;
        mov dword_ptr(low::PACKET + 8), eax;
        mov dword_ptr(low::PACKET + 12), eax;
        mov si, low::PACKET as i32;
        mov dl, byte_ptr(low::DRIVE);
        mov ah, 0x42;
        int 0x13;
        mov si, (low::SECTOR + 0x1BE) as i32;
        mov cx, 4;
    'active_entry:
        cmp byte_ptr(si), 0x80;
        je 'active_found;
        add si, 16;
        dec cx;
        jnz 'active_entry;
    'active_found:
        mov eax, dword_ptr(si + 8);
        pop ds;
        ret;
    }
}

/// `'crc`: EAX becomes the CRC-32 of the whole file, without its final inversion.
fn crc(a: &mut Asm) {
    asm! { a:
    'crc:
        push ds;
        mov ecx, dword_ptr(SIZE);
        xor eax, eax;
        dec eax;
        xor si, si;
    'crc_byte:
        xor al, byte_ptr(si);
        mov bx, 8;
    'crc_bit:
        shr eax, 1;
        jnc 'crc_even;
        xor eax, 0xEDB8_8320u32;
    'crc_even:
        dec bx;
        jnz 'crc_bit;
        inc si;
        jnz 'crc_next;
        mov dx, ds;
        add dh, 0x10;
        mov ds, dx;
    'crc_next:
        dec ecx;
        jnz 'crc_byte;
        pop ds;
        ret;
    }
}

/// `'hex`: prints EAX as eight digits, and keeps it. `'hex_digit`: only the upper CX of them.
fn print_hex(a: &mut Asm) {
    asm! { a:
    'hex:
        mov cx, 8;
    'hex_digit:
        rol eax, 4;
        push eax;
        and al, 15;
        add al, b'0' as i32;
        cmp al, b'9' as i32;
        jbe 'hex_print;
        add al, (b'A' - b'9' - 1) as i32;
    'hex_print:
        call 'char;
        pop eax;
        dec cx;
        jnz 'hex_digit;
        ret;
    }
}

/// `'print`: prints the text behind the call. `'char`: prints AL, on COM1 and where wanted on the screen.
fn print(a: &mut Asm, screen: bool) {
    asm! { a:
    'print:
        pop si;
    'print_next:
        lodsb;
        test al, al;
        jz 'print_done;
        call 'char;
        jmp 'print_next;
    'print_done:
        jmp si;

    'char:
    }
    if screen {
        asm! { a:
            pushad;
            mov bx, 7;
            mov ah, 0x0E;
            int 0x10;
            popad;
        }
    }
    asm! { a:
        push dx;
        push cx;
        push ax;
        // A port that is never ready, or not there, costs a moment and not the machine.
        xor cx, cx;
        mov dx, COM1_STATUS;
    'char_wait:
        in_ al, dx;
        test al, 0x20;
        jnz 'char_ready;
        dec cx;
        jnz 'char_wait;
    'char_ready:
        pop ax;
        mov dx, COM1;
        out dx, al;
        pop cx;
        pop dx;
        ret;
    }
}

const COM1: i32 = 0x3F8;
const COM1_STATUS: i32 = COM1 + 5;

/// The program: a jump over the file's size and the tools, then its own code.
fn whole(a: Asm, tools: Program, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xE9];
    bytes.extend((CODE - 3).to_le_bytes());
    bytes.resize(SIZE as usize, 0);
    bytes.extend(u32::try_from(len).expect("loaded below 1 MiB").to_le_bytes());
    bytes.extend(tools.bytes);
    assert!(bytes.len() <= usize::from(CODE), "the tools end at {:#x}", bytes.len());
    bytes.resize(usize::from(CODE), 0);
    bytes.extend(a.finish(CODE).bytes);
    assert!(bytes[0x1FE..0x200] != [0x55, 0xAA]);
    bytes
}

/// Fills up to `len` bytes so that every sector differs from every other.
fn pad(bytes: &mut Vec<u8>, len: usize) {
    let mut state = 1u32;
    while bytes.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push((state >> 24) as u8);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xEDB8_8320))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_of_a_bootmgr() {
        for file in [stub(SHORTEST_STUB), stub(400_000), greeter()] {
            let first = u32::from_le_bytes([file[0], file[1], file[2], file[3]]);
            assert_eq!(first & 0x00FF_00FF, 0x0001_00E9);
            assert_ne!(file[0x1FE..0x200], [0x55, 0xAA]);
            assert_eq!(file[4..8], u32::try_from(file.len()).unwrap().to_le_bytes());
        }
        assert_eq!(stub(400_000).len(), 400_000);
        assert_eq!(!crc32(&stub(400_000)), RESIDUE);
    }
}
