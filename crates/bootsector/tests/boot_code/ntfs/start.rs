//! From the loaded record to BOOTMGR.

use super::*;

pub fn assemble(a: &mut Asm) {
    memory(a);
    geometry(a);
    load(a);
    hand_off(a);
}

/// Memory ends where the BIOS says, or at its extended data area, whichever is lower.
fn memory(a: &mut Asm) {
    asm! { a:
        int 0x12;
        movzx eax, ax;
        shl eax, 10;
        movzx ecx, word_ptr(0x40E);
        shl ecx, 4;
        // Where there is no such area, the word is anything.
        cmp ecx, buffer::END;
        jb 'top;
        cmp ecx, eax;
        jae 'top;
        mov eax, ecx;
    'top:
        cmp eax, 0xA_0000;
        jbe 'top_enough;
        mov eax, 0xA_0000;
    'top_enough:
        and ax, 0xFE00u32 as i32;
        mov dword_ptr(at::TOP), eax;
        cmp eax, buffer::END;
        jae 'memory_enough;
        call_with 'fail, b"Not enough memory below 640 KiB\0";
    'memory_enough:
    }
}

fn geometry(a: &mut Asm) {
    asm! { a:
        cmp word_ptr(bpb::SECTOR_SIZE), 512;
        jne 'geometry_bad;
        // Sectors per cluster; above 128 as the negated logarithm.
        movzx ecx, byte_ptr(bpb::SECTORS_PER_CLUSTER);
        cmp cl, 0x80;
        jbe 'cluster_plain;
        neg cl;
        jmp 'cluster_known;
    'cluster_plain:
        bsf eax, ecx;
        jz 'geometry_bad;
        btr ecx, eax;
        test ecx, ecx;
        jnz 'geometry_bad;
        xchg eax, ecx;
    'cluster_known:
        cmp cl, 12;
        ja 'geometry_bad;
        mov byte_ptr(at::SHIFT), cl;
        // Clusters per FILE record, or the negated logarithm of its bytes.
        movsx eax, byte_ptr(bpb::RECORD_SIZE);
        test eax, eax;
        js 'record_bytes;
        shl eax, cl;
        jmp 'record_known;
    'record_bytes:
        neg al;
        sub al, 9;
        jb 'geometry_bad;
        cmp al, 3;
        ja 'geometry_bad;
        xchg eax, ecx;
        mov eax, 1;
        shl eax, cl;
    'record_known:
        mov dword_ptr(at::RECORD_SECTORS), eax;
        // 1 to 8 sectors.
        dec eax;
        cmp eax, 8;
        jb 'geometry_known;
    'geometry_bad:
        call_with 'fail, b"The boot sector of this volume is damaged, or its sectors, clusters or file records \
            have a size that this boot code does not know\0";
    'geometry_known:
    }
}

/// Loads `$MFT`'s runs, finds BOOTMGR, refuses what cannot be started, loads it.
fn load(a: &mut Asm) {
    asm! { a:
        mov word_ptr(at::BATCH), disk::BATCH;
        mov word_ptr(at::MFT_TABLE + table::SEGMENT), buffer::MFT_RUNS.0 as i32;
        mov word_ptr(at::MFT_TABLE + table::LIMIT), buffer::MFT_RUNS.1 as i32;
        mov word_ptr(at::FILE_TABLE + table::SEGMENT), buffer::FILE_RUNS.0 as i32;
        mov word_ptr(at::FILE_TABLE + table::LIMIT), buffer::FILE_RUNS.1 as i32;
        // The first record is where the boot sector says; its run is long enough for it.
        mov eax, dword_ptr(bpb::MFT);
        mov dword_ptr(at::RUN_LCN), eax;
        mov eax, dword_ptr(bpb::MFT + 4);
        mov dword_ptr(at::RUN_LCN + 4), eax;
        mov cl, byte_ptr(at::SHIFT);
        mov eax, dword_ptr(at::RECORD_SECTORS);
        shr eax, cl;
        test eax, eax;
        jnz 'first_run;
        inc ax;
    'first_run:
        mov dword_ptr(at::RUN_CLUSTERS), eax;
        xor eax, eax;
        mov dword_ptr(at::RUN_CLUSTERS + 4), eax;
        mov dword_ptr(at::RECORD_NUMBER), eax;
        mov bx, at::MFT_TABLE as i32;
        call 'clear_runs;
        call 'append_run;
        xor eax, eax;
        mov dx, kind::DATA as i32;
        call 'unnamed;
        jc 'no_mft;
        cmp byte_ptr(at::RESIDENT), 0;
        je 'mft_known;
    'no_mft:
        call_with 'damaged, b"$MFT has no data\0";
    'mft_known:

        call 'find_file;
        push eax;
        mov dx, kind::REPARSE_POINT as i32;
        call 'unnamed_of_file;
        jc 'no_reparse_point;
        call_with 'fail, b"BOOTMGR is a link, or compressed by Compact OS: it has to be a plain file\0";
    'no_reparse_point:
        pop eax;
        mov dx, kind::DATA as i32;
        call 'unnamed_of_file;
        jnc 'has_data;
        call_with 'fail, b"BOOTMGR is not a file\0";
    'has_data:
        mov ax, word_ptr(at::FLAGS);
        test al, al;
        jz 'not_compressed;
        call_with 'fail, b"BOOTMGR is compressed: it has to be a plain file\0";
    'not_compressed:
        test ah, 0x40;
        jz 'not_encrypted;
        call_with 'fail, b"BOOTMGR is encrypted: it has to be a plain file\0";
    'not_encrypted:
        test ah, ah;
        jns 'not_sparse;
        call_with 'fail, b"BOOTMGR is sparse: it has to be a plain file\0";
    'not_sparse:
        mov eax, dword_ptr(at::SIZE);
        or eax, dword_ptr(at::SIZE + 4);
        jnz 'not_empty;
        call_with 'fail, b"BOOTMGR is empty\0";
    'not_empty:
        mov ecx, dword_ptr(at::TOP);
        mov edi, buffer::BOOTMGR << 4;
        sub ecx, edi;
        call 'load_value;
        jnc 'a20;
        call_with 'fail, b"BOOTMGR is too large for the memory below 640 KiB\0";
    }
}

/// Turns the A20 line on, by one means after the other until it is, and jumps.
fn hand_off(a: &mut Asm) {
    asm! { a:
    'a20:
        call 'a20_state;
        jne 'go;
        mov ax, 0x2401;
        int 0x15;
        call 'a20_state;
        jne 'go;
        // The system control port; its bit 0 would reset the machine.
        in_ al, 0x92;
        or al, 2;
        and al, 0xFEu32 as i32;
        out 0x92, al;
        call 'a20_state;
        jne 'go;
        // The keyboard controller: write its output port, all lines on.
        call 'keyboard_ready;
        mov al, 0xD1u32 as i32;
        out 0x64, al;
        call 'keyboard_ready;
        mov al, 0xDFu32 as i32;
        out 0x60, al;
        call 'keyboard_ready;
    'go:
        xor eax, eax;
        mov ds, ax;
        mov es, ax;
        xor ebx, ebx;
        xor ecx, ecx;
        movzx edx, byte_ptr(at::DRIVE);
        xor esi, esi;
        xor edi, edi;
        xor ebp, ebp;
        mov sp, i32::from(LOADED);
        sti;
        jmp_far buffer::BOOTMGR as u16, 0;

        // Not equal: A20 is on, for two addresses 1 MiB apart do not change together.
    'a20_state:
        mov ax, 0xFFFFu32 as i32;
        mov es, ax;
        inc dword_ptr(at::PACKET);
        mov eax, dword_ptr(at::PACKET);
        cmp eax, dword_ptr(at::PACKET + 0x10).es();
        ret;

    'keyboard_ready:
        xor cx, cx;
    'keyboard_wait:
        in_ al, 0x64;
        test al, 2;
        jz 'keyboard_done;
        dec cx;
        jnz 'keyboard_wait;
    'keyboard_done:
        ret;
    }
}
