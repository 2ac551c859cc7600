//! Reading the disk, and numbers for messages.

use super::*;

/// Most sectors in one read. EDD allows 127, and 64 are 32 KiB, which DMA of old never minds.
pub const BATCH: i32 = 64;
const TRIES: i32 = 3;

pub fn assemble(a: &mut Asm) {
    read(a);
    digits(a);
}

/// `'read`: EDX:EAX = sector, ECX = how many (at least one), EDI = linear address, a multiple of 512.
fn read(a: &mut Asm) {
    asm! { a:
    'read:
        mov byte_ptr(at::TRIES), TRIES;
    'read_again:
        // EBX sectors: not more than are left, than a read takes, and than are before the next 64 KiB, which the
        // buffer of one read must not lie across.
        movzx ebx, word_ptr(at::BATCH);
        cmp ebx, ecx;
        jbe 'read_room;
        mov ebx, ecx;
    'read_room:
        mov si, di;
        neg si;
        shr si, 9;
        jz 'read_packet;
        cmp bx, si;
        jbe 'read_packet;
        mov bx, si;
    'read_packet:
        pushad;
        add eax, dword_ptr(bpb::HIDDEN);
        adc edx, 0;
        mov si, at::PACKET as i32;
        mov word_ptr(si), 16;
        mov word_ptr(si + 2), bx;
        // The address as segment:0.
        shl edi, 12;
        mov dword_ptr(si + 4), edi;
        mov dword_ptr(si + 8), eax;
        mov dword_ptr(si + 12), edx;
        mov ah, 0x42;
        call 'disk;
        popad;
        jc 'read_failed;
        add eax, ebx;
        adc edx, 0;
        sub ecx, ebx;
        // Keeps the flags of the subtraction until the end of the loop.
        pushf;
        shl ebx, 9;
        add edi, ebx;
        popf;
        jnz 'read;
        ret;

    'read_failed:
        push ax;
        push word_ptr(at::STATUS);
        xor ah, ah;
        call 'disk;
        pop word_ptr(at::STATUS);
        pop ax;
        dec byte_ptr(at::TRIES);
        jnz 'read_again;
        // Not every BIOS takes as many sectors at once as it should: from now on one, unless it was one already.
        dec word_ptr(at::BATCH);
        mov word_ptr(at::BATCH), 1;
        jnz 'read;
        push eax;
        push edx;
        call_with 'say, b"\r\nDisk error \0";
        mov al, byte_ptr(at::STATUS);
        shl eax, 24;
        mov cl, 2;
        call 'say_digits;
        call_with 'say, b" at sector \0";
        pop eax;
        call 'say_hex;
        pop eax;
        call 'say_hex;
        jmp 'stop;
    }
}

fn digits(a: &mut Asm) {
    asm! { a:
        // Says EAX in eight digits, or its upper CL digits.
    'say_hex:
        mov cl, 8;
    'say_digits:
        rol eax, 4;
        push eax;
        and al, 15;
        cmp al, 10;
        // '0' to '9', 'A' to 'F'.
        sbb al, 0x69;
        das;
        call 'say_char;
        pop eax;
        dec cl;
        jnz 'say_digits;
        ret;
    }
}
