//! FILE records and the attributes in them.

use super::*;

/// Offsets in RECORD, as the code sees it.
mod record {
    use super::at;
    pub const FIRST_ATTRIBUTE: u32 = at::RECORD + 0x14;
    pub const FLAGS: u32 = at::RECORD + 0x16;
    pub const USED: u32 = at::RECORD + 0x18;
}

pub fn assemble(a: &mut Asm) {
    read_record(a);
    find(a);
    take(a);
    attribute(a);
    list(a);
}

fn read_record(a: &mut Asm) {
    asm! { a:
        // Reads FILE record EAX to RECORD, and checks it.
    'read_record:
        mov dword_ptr(at::RECORD_NUMBER), eax;
        mov ecx, dword_ptr(at::RECORD_SECTORS);
        mul ecx;
        jc 'record_outside;
        mov edi, at::RECORD;
        mov bx, at::MFT_TABLE as i32;
        call 'read_stream;
        mov cx, word_ptr(at::RECORD_SECTORS);
        mov ax, buffer::RECORD as i32;
        mov es, ax;
        mov eax, u32::from_le_bytes(*b"FILE");
        call 'unprotect;
        test byte_ptr(record::FLAGS), 1;
        jz 'record_free;
        mov eax, dword_ptr(at::RECORD_SECTORS);
        shl eax, 9;
        cmp dword_ptr(record::USED), eax;
        ja 'record_bad;
        ret;
    'record_outside:
        call_with 'damaged, b"no such file record\0";
    'record_free:
        call_with 'damaged, b"a file record in use is marked as free\0";
    'record_bad:
        call_with 'damaged, b"bad attribute\0";
    }
}

/// `'find`: SI = the attribute of RECORD that WANT_TYPE, WANT_NAME and WANT_VCN say, or carry. Checked: that it lies in
/// the record, that its header does, and its name.
fn find(a: &mut Asm) {
    asm! { a:
    'find:
        movzx esi, word_ptr(record::FIRST_ATTRIBUTE);
    'find_next:
        // EDX: the length of the attribute at offset ESI, EDI: its end.
        lea eax, ptr(esi + 8);
        cmp eax, dword_ptr(record::USED);
        ja 'find_none;
        mov eax, dword_ptr(esi + at::RECORD);
        cmp eax, -1;
        je 'find_none;
        mov edx, dword_ptr(esi + at::RECORD + 4);
        cmp edx, 0x18;
        jb 'record_bad;
        test dl, 7;
        jnz 'record_bad;
        mov edi, esi;
        add edi, edx;
        jc 'record_bad;
        cmp edi, dword_ptr(record::USED);
        ja 'record_bad;

        cmp eax, dword_ptr(at::WANT_TYPE);
        jne 'find_other;
        mov al, byte_ptr(esi + at::RECORD + 9);
        cmp al, byte_ptr(at::WANT_NAME);
        jne 'find_other;
        test al, al;
        jz 'find_vcn;
        movzx ebx, word_ptr(esi + at::RECORD + 0x0A);
        lea eax, ptr(ebx + 8);
        cmp eax, edx;
        ja 'record_bad;
        add ebx, esi;
        cmp dword_ptr(ebx + at::RECORD), I30[0];
        jne 'find_other;
        cmp dword_ptr(ebx + at::RECORD + 4), I30[1];
        jne 'find_other;
    'find_vcn:
        xor eax, eax;
        xor ebx, ebx;
        cmp byte_ptr(esi + at::RECORD + 8), 0;
        je 'find_compare;
        cmp edx, 0x40;
        jb 'record_bad;
        mov eax, dword_ptr(esi + at::RECORD + 0x10);
        mov ebx, dword_ptr(esi + at::RECORD + 0x14);
    'find_compare:
        cmp eax, dword_ptr(at::WANT_VCN);
        jne 'find_other;
        cmp ebx, dword_ptr(at::WANT_VCN + 4);
        jne 'find_other;
        add si, at::RECORD as i32;
        clc;
        ret;
    'find_other:
        mov esi, edi;
        jmp 'find_next;
    'find_none:
        stc;
        ret;
    }
}

/// `'take`: makes the attribute at SI, or the piece of one, the found one; its runs go to table BX.
fn take(a: &mut Asm) {
    asm! { a:
    'take:
        mov byte_ptr(at::FOUND), 1;
        mov ax, word_ptr(si + 0x0C);
        or word_ptr(at::FLAGS), ax;
        cmp byte_ptr(si + 8), 0;
        mov byte_ptr(at::RESIDENT), 0;
        je 'take_resident;
        // Sizes are in the first piece alone.
        mov eax, dword_ptr(si + 0x10);
        or eax, dword_ptr(si + 0x14);
        jnz 'take_runs;
        lea di, ptr(si + 0x30);
        call 'take_size;
        jmp 'take_runs;
    'take_size:
        mov eax, dword_ptr(di);
        mov dword_ptr(at::SIZE), eax;
        mov eax, dword_ptr(di + 4);
        mov dword_ptr(at::SIZE + 4), eax;
        mov eax, dword_ptr(di + 8);
        mov dword_ptr(at::INITIALIZED), eax;
        mov eax, dword_ptr(di + 12);
        mov dword_ptr(at::INITIALIZED + 4), eax;
        ret;
    'take_resident:
        inc byte_ptr(at::RESIDENT);
        movzx eax, word_ptr(si + 0x14);
        mov edx, dword_ptr(si + 0x10);
        mov dword_ptr(at::SIZE), edx;
        mov dword_ptr(at::SIZE + 4), 0;
        add edx, eax;
        jc 'record_bad;
        cmp edx, dword_ptr(si + 4);
        ja 'record_bad;
        add ax, si;
        mov word_ptr(at::VALUE), ax;
        ret;
    }
}

/// `'unnamed`, `'index`: the attribute DX of record EAX, unnamed or named $I30, with all its pieces, wherever an
/// attribute list has them. Carry: there is none.
fn attribute(a: &mut Asm) {
    asm! { a:
    'index:
        mov byte_ptr(at::WANT_NAME), 4;
        mov bx, at::FILE_TABLE as i32;
        jmp 'attribute;
        // Of the file, record EAX, which is kept.
    'unnamed_of_file:
        push eax;
        mov byte_ptr(at::WANT_NAME), 0;
        mov bx, at::FILE_TABLE as i32;
        call 'attribute;
        pop eax;
        ret;
        // Of $MFT.
    'unnamed:
        mov byte_ptr(at::WANT_NAME), 0;
        mov bx, at::MFT_TABLE as i32;
    'attribute:
        mov word_ptr(at::TABLE), bx;
        mov dword_ptr(at::BASE), eax;
        movzx edx, dx;
        mov dword_ptr(at::WANT_TYPE), edx;
        call 'read_record;
        xor eax, eax;
        mov dword_ptr(at::WANT_VCN), eax;
        mov dword_ptr(at::WANT_VCN + 4), eax;
        mov byte_ptr(at::FOUND), al;
        // The list, if there is one: its bytes go to a buffer, by way of the file's table.
        push dword_ptr(at::WANT_TYPE);
        push word_ptr(at::WANT_NAME);
        mov dword_ptr(at::WANT_TYPE), kind::ATTRIBUTE_LIST;
        mov byte_ptr(at::WANT_NAME), 0;
        call 'find;
        jc 'no_list;
        mov bx, at::FILE_TABLE as i32;
        call 'clear_runs;
        call 'take;
        mov edi, buffer::LIST << 4;
        mov ecx, buffer::LIST_LEN;
        call 'load_value;
        jc 'list_long;
        mov ax, word_ptr(at::SIZE);
        mov word_ptr(at::LIST_LEN), ax;
        pop word_ptr(at::WANT_NAME);
        pop dword_ptr(at::WANT_TYPE);
        call 'begin;
        // The first piece of $MFT has to be in its first record, or none could be read by it.
        cmp dword_ptr(at::BASE), 0;
        jne 'list;
        call 'find;
        jc 'record_bad;
        mov bx, word_ptr(at::TABLE);
        call 'take;
        jmp 'list;
    'no_list:
        pop word_ptr(at::WANT_NAME);
        pop dword_ptr(at::WANT_TYPE);
        call 'begin;
        call 'find;
        jc 'attribute_none;
        mov bx, word_ptr(at::TABLE);
        call 'take;
        clc;
    'attribute_none:
        ret;

        // Empties the table; nothing is found yet.
    'begin:
        mov bx, word_ptr(at::TABLE);
        mov word_ptr(at::FLAGS), 0;
        mov byte_ptr(at::FOUND), 0;
        jmp 'clear_runs;
    }
}

/// `'list`: collects the pieces that the attribute list names.
fn list(a: &mut Asm) {
    asm! { a:
    'list:
        xor di, di;
    'list_entry:
        // CX: the length of the entry at DI; on the stack: where the next one begins.
        mov ax, buffer::LIST as i32;
        mov es, ax;
        lea ax, ptr(di + 0x1A);
        cmp ax, word_ptr(at::LIST_LEN);
        ja 'list_end;
        mov cx, word_ptr(di + 4).es();
        cmp cx, 0x1A;
        jb 'list_bad;
        mov ax, di;
        add ax, cx;
        jc 'list_bad;
        cmp ax, word_ptr(at::LIST_LEN);
        ja 'list_bad;
        push ax;
        mov eax, dword_ptr(di).es();
        cmp eax, dword_ptr(at::WANT_TYPE);
        jne 'list_next;
        mov al, byte_ptr(di + 6).es();
        cmp al, byte_ptr(at::WANT_NAME);
        jne 'list_next;
        test al, al;
        jz 'list_vcn;
        movzx bx, byte_ptr(di + 7).es();
        lea ax, ptr(bx + 8);
        cmp ax, cx;
        ja 'list_bad;
        cmp dword_ptr(bx + di).es(), I30[0];
        jne 'list_next;
        cmp dword_ptr(bx + di + 4).es(), I30[1];
        jne 'list_next;
    'list_vcn:
        // The piece has to begin where the one before ended. What begins before is there already: the first of $MFT.
        mov eax, dword_ptr(di + 8).es();
        mov edx, dword_ptr(di + 12).es();
        mov dword_ptr(at::WANT_VCN), eax;
        mov dword_ptr(at::WANT_VCN + 4), edx;
        cmp edx, 0x1_0000;
        jae 'list_bad;
        mov cl, byte_ptr(at::SHIFT);
        shld edx, eax, cl;
        shl eax, cl;
        test edx, edx;
        jnz 'list_bad;
        mov bx, word_ptr(at::TABLE);
        cmp eax, dword_ptr(bx + table::SECTORS);
        jb 'list_next;
        ja 'list_bad;
        cmp word_ptr(di + 0x14).es(), 0;
        jne 'record_outside;
        mov eax, dword_ptr(di + 0x10).es();
        call 'read_record;
        call 'find;
        jc 'list_bad;
        mov bx, word_ptr(at::TABLE);
        call 'take;
    'list_next:
        pop di;
        jmp 'list_entry;
    'list_end:
        // Carry when nothing was found.
        cmp byte_ptr(at::FOUND), 1;
        ret;
    'list_bad:
        call_with 'damaged, b"bad attribute list\0";
    'list_long:
        call_with 'damaged, b"the attribute list is too long\0";
    }
}
