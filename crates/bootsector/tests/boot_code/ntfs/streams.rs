//! Runs, and reading through them.

use super::*;

pub fn assemble(a: &mut Asm) {
    runs(a);
    read_stream(a);
    load_value(a);
    unprotect(a);
    damaged(a);
}

fn runs(a: &mut Asm) {
    asm! { a:
        // Empties table BX.
    'clear_runs:
        mov word_ptr(bx + table::COUNT), 0;
        mov dword_ptr(bx + table::SECTORS), 0;
        ret;

        // Appends the runs of the attribute at SI, a non-resident one in RECORD, to table BX. Keeps BX.
    'take_runs:
        movzx eax, word_ptr(si + 0x20);
        mov edx, dword_ptr(si + 4);
        cmp eax, 0x40;
        jb 'runs_bad;
        cmp eax, edx;
        jae 'runs_bad;
        // From SI up to BP: `'find` has checked that the attribute lies in its record.
        mov bp, si;
        add bp, dx;
        add si, ax;
        xor eax, eax;
        mov dword_ptr(at::RUN_LCN), eax;
        mov dword_ptr(at::RUN_LCN + 4), eax;
    'run:
        cmp si, bp;
        jae 'runs_done;
        lodsb;
        test al, al;
        jz 'runs_done;
        // CX bytes of length, DX bytes of distance.
        movzx dx, al;
        mov cx, dx;
        shr dx, 4;
        and cx, 15;
        jz 'runs_bad;
        cmp cl, 8;
        ja 'runs_bad;
        cmp dl, 8;
        ja 'runs_bad;
        mov di, si;
        add di, cx;
        add di, dx;
        cmp di, bp;
        ja 'runs_bad;
        xor eax, eax;
        mov es, ax;
        mov dword_ptr(at::RUN_CLUSTERS), eax;
        mov dword_ptr(at::RUN_CLUSTERS + 4), eax;
        mov di, at::RUN_CLUSTERS as i32;
        rep movsb;
        test dx, dx;
        jz 'run_hole;
        // The distance, with its sign extended to eight bytes, from the run before.
        add si, dx;
        mov al, byte_ptr(si - 1);
        sub si, dx;
        cbw;
        mov al, ah;
        mov di, at::RUN_DELTA as i32;
        mov cx, 8;
        rep stosb;
        mov di, at::RUN_DELTA as i32;
        mov cx, dx;
        rep movsb;
        mov eax, dword_ptr(at::RUN_DELTA);
        add dword_ptr(at::RUN_LCN), eax;
        mov eax, dword_ptr(at::RUN_DELTA + 4);
        adc dword_ptr(at::RUN_LCN + 4), eax;
        push si;
        call 'append_run;
        pop si;
        jmp 'run;
    'run_hole:
        push si;
        call 'append_hole;
        pop si;
        jmp 'run;
    'runs_done:
        ret;
    'runs_bad:
        call_with 'damaged, b"bad run list\0";

        // Appends RUN_CLUSTERS clusters from RUN_LCN on to table BX. Keeps BX and BP.
    'append_run:
        call 'run_sectors;
        mov eax, dword_ptr(at::RUN_LCN);
        mov edx, dword_ptr(at::RUN_LCN + 4);
        // A cluster number of more than 48 bits is none; without them, shifting loses nothing.
        cmp edx, 0x1_0000;
        jae 'run_outside;
        shld edx, eax, cl;
        shl eax, cl;
        mov ecx, eax;
        mov edi, edx;
        add ecx, esi;
        adc edi, 0;
        sub ecx, dword_ptr(bpb::SECTORS);
        sbb edi, dword_ptr(bpb::SECTORS + 4);
        jb 'append;
        or ecx, edi;
        jz 'append;
    'run_outside:
        call_with 'damaged, b"a run points outside of the volume\0";

        // Appends as many clusters that are nowhere.
    'append_hole:
        call 'run_sectors;
        xor eax, eax;
        dec eax;
        mov edx, eax;

        // Appends ESI sectors from EDX:EAX on.
    'append:
        mov di, word_ptr(bx + table::COUNT);
        cmp di, word_ptr(bx + table::LIMIT);
        jae 'runs_many;
        inc word_ptr(bx + table::COUNT);
        mov es, word_ptr(bx + table::SEGMENT);
        imul_3 di, di, table::ENTRY as i32;
        mov dword_ptr(di).es(), eax;
        mov dword_ptr(di + 4).es(), edx;
        mov dword_ptr(di + 8).es(), esi;
        add dword_ptr(bx + table::SECTORS), esi;
        jc 'run_long;
        ret;
    'runs_many:
        call_with 'damaged, b"too many fragments\0";

        // ESI: sectors of the run; CL: the shift.
    'run_sectors:
        mov cl, byte_ptr(at::SHIFT);
        mov esi, dword_ptr(at::RUN_CLUSTERS);
        mov edx, dword_ptr(at::RUN_CLUSTERS + 4);
        shld edx, esi, cl;
        shl esi, cl;
        // Shifting by 0 leaves the flags alone.
        test esi, esi;
        jz 'run_long;
        test edx, edx;
        jnz 'run_long;
        ret;
    'run_long:
        call_with 'damaged, b"bad length of a run\0";
    }
}

/// `'read_stream`: ECX sectors (at least one) from sector EAX of the stream in table BX on, to linear EDI.
fn read_stream(a: &mut Asm) {
    asm! { a:
    'read_stream:
        mov es, word_ptr(bx + table::SEGMENT);
        mov dx, word_ptr(bx + table::COUNT);
        xor si, si;
    'extent:
        test dx, dx;
        jz 'stream_end;
        mov ebp, dword_ptr(si + 8).es();
        cmp eax, ebp;
        jb 'extent_found;
        sub eax, ebp;
        add si, table::ENTRY as i32;
        dec dx;
        jmp 'extent;
    'extent_found:
        // EBP: what this extent has of the wanted.
        sub ebp, eax;
        cmp ebp, ecx;
        jbe 'extent_read;
        mov ebp, ecx;
    'extent_read:
        pushad;
        mov ecx, ebp;
        mov edx, dword_ptr(si + 4).es();
        cmp edx, -1;
        je 'stream_hole;
        add eax, dword_ptr(si).es();
        adc edx, 0;
        push es;
        call 'read;
        pop es;
        popad;
        add eax, ebp;
        sub ecx, ebp;
        jz 'stream_done;
        shl ebp, 9;
        add edi, ebp;
        jmp 'extent;
    'stream_done:
        ret;
    'stream_hole:
        call_with 'damaged, b"a hole where there must be data\0";
    'stream_end:
        call_with 'damaged, b"a stream is shorter than its size\0";
    }
}

/// `'load_value`: the value of the attribute that was found last (its runs in FILE_TABLE), to linear EDI, a multiple of
/// 512. Carry: it has more than ECX bytes, which are a multiple of 512.
fn load_value(a: &mut Asm) {
    asm! { a:
    'load_value:
        cmp dword_ptr(at::SIZE + 4), 0;
        jne 'value_large;
        mov eax, dword_ptr(at::SIZE);
        cmp ecx, eax;
        jb 'value_returned;
        cmp byte_ptr(at::RESIDENT), 0;
        jne 'value_resident;
        add eax, 511;
        shr eax, 9;
        jz 'value_done;
        push edi;
        mov ecx, eax;
        xor eax, eax;
        mov bx, at::FILE_TABLE as i32;
        call 'read_stream;
        pop edi;
        // What was never written reads as zeros.
        cmp dword_ptr(at::INITIALIZED + 4), 0;
        jne 'value_done;
        mov eax, dword_ptr(at::INITIALIZED);
        mov ecx, dword_ptr(at::SIZE);
        sub ecx, eax;
        jbe 'value_done;
        add edi, eax;
    'value_zero:
        mov eax, edi;
        shr eax, 4;
        mov es, ax;
        mov si, di;
        and si, 15;
        mov byte_ptr(si).es(), 0;
        inc edi;
        dec ecx;
        jnz 'value_zero;
    'value_done:
        clc;
        ret;
    'value_resident:
        mov si, word_ptr(at::VALUE);
        mov cx, ax;
        shr edi, 4;
        mov es, di;
        xor di, di;
        rep movsb;
        clc;
        ret;
    'value_large:
        stc;
    'value_returned:
        ret;
    }
}

/// `'unprotect`: checks the record or block of CX sectors at ES:0, which has the magic number EAX, and puts back the words
/// at the ends of its sectors.
fn unprotect(a: &mut Asm) {
    asm! { a:
    'unprotect:
        cmp dword_ptr(0).es(), eax;
        jne 'magic_bad;
        mov si, word_ptr(4).es();
        mov dx, word_ptr(6).es();
        dec dx;
        cmp dx, cx;
        jne 'update_bad;
        // The update sequence: CX + 1 words, all of them before the first of those that they replace.
        test si, 1;
        jnz 'update_bad;
        inc dx;
        shl dx, 1;
        add dx, si;
        jc 'update_bad;
        cmp dx, 510;
        ja 'update_bad;
        mov ax, word_ptr(si).es();
        mov di, 510;
    'update:
        inc si;
        inc si;
        cmp word_ptr(di).es(), ax;
        jne 'torn;
        mov dx, word_ptr(si).es();
        mov word_ptr(di).es(), dx;
        add di, 512;
        dec cx;
        jnz 'update;
        ret;
    'magic_bad:
        call_with 'damaged, b"a file record or index block is none\0";
    'update_bad:
        call_with 'damaged, b"bad update sequence\0";
    'torn:
        call_with 'damaged, b"a file record or index block was not written to its end\0";
    }
}

fn damaged(a: &mut Asm) {
    asm! { a:
        // Says that the volume is damaged, what is behind the call, and the number of the record read last; stops.
    'damaged:
        call_with 'say, b"\r\nThis volume is damaged: \0";
        pop si;
        call 'say_text;
        call_with 'say, b" (file record \0";
        mov eax, dword_ptr(at::RECORD_NUMBER);
        call 'say_hex;
        call_with 'say, b")\0";
        jmp 'stop;
    }
}
