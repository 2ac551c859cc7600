//! The root directory.

use super::*;

/// The root directory's FILE record.
const ROOT: u32 = 5;

pub fn assemble(a: &mut Asm) {
    find_file(a);
    scan(a);
}

/// `'find_file`: EAX = the FILE record of BOOTMGR. Looks at the entries of the index root, then at all index blocks in
/// use.
fn find_file(a: &mut Asm) {
    asm! { a:
    'find_file:
        mov eax, ROOT;
        mov dx, kind::INDEX_ROOT as i32;
        call 'index;
        jc 'root_bad;
        cmp byte_ptr(at::RESIDENT), 0;
        je 'root_bad;
        mov eax, dword_ptr(at::SIZE);
        cmp eax, 0x20;
        jb 'root_bad;
        mov si, word_ptr(at::VALUE);
        cmp dword_ptr(si), kind::FILE_NAME;
        jne 'root_bad;
        // Bytes of an index block: a power of two, 512 to 64 KiB.
        mov ecx, dword_ptr(si + 8);
        bsf ebx, ecx;
        jz 'root_bad;
        mov edx, ecx;
        btr edx, ebx;
        test edx, edx;
        jnz 'root_bad;
        cmp bl, 9;
        jb 'root_bad;
        cmp bl, 16;
        ja 'root_bad;
        shr ecx, 9;
        mov dword_ptr(at::BLOCK_SECTORS), ecx;
        // Entries from ES:ESI to ES:ECX.
        movzx esi, si;
        lea ecx, ptr(esi + eax);
        add si, 0x10;
        xor ax, ax;
        mov es, ax;
        call 'scan;
        jnc 'file_found;

        mov eax, ROOT;
        mov dx, kind::BITMAP as i32;
        call 'index;
        jc 'missing;
        mov edi, buffer::BITMAP << 4;
        mov ecx, buffer::BITMAP_LEN;
        call 'load_value;
        jc 'root_large;
        mov eax, dword_ptr(at::SIZE);
        shl eax, 3;
        mov dword_ptr(at::BLOCKS), eax;
        mov eax, ROOT;
        mov dx, kind::INDEX_ALLOCATION as i32;
        call 'index;
        jc 'missing;
        cmp byte_ptr(at::RESIDENT), 0;
        jne 'root_bad;
        // Blocks are up to the stream's size, which may be less than is allocated.
        mov eax, dword_ptr(at::SIZE);
        mov edx, dword_ptr(at::SIZE + 4);
        shrd eax, edx, 9;
        shr edx, 9;
        jnz 'root_large;
        mov dword_ptr(at::ALL_SECTORS), eax;
        mov dword_ptr(at::BLOCK), 0;
    'block:
        mov eax, dword_ptr(at::BLOCK);
        cmp eax, dword_ptr(at::BLOCKS);
        jae 'missing;
        mov cx, buffer::BITMAP as i32;
        mov es, cx;
        bt dword_ptr(0).es(), eax;
        jnc 'block_next;
        mov ecx, dword_ptr(at::BLOCK_SECTORS);
        mul ecx;
        jc 'missing;
        mov edx, eax;
        add edx, ecx;
        jc 'missing;
        cmp edx, dword_ptr(at::ALL_SECTORS);
        ja 'missing;
        mov bx, at::FILE_TABLE as i32;
        mov edi, buffer::BLOCK << 4;
        call 'read_stream;
        mov ecx, dword_ptr(at::BLOCK_SECTORS);
        mov ax, buffer::BLOCK as i32;
        mov es, ax;
        mov eax, u32::from_le_bytes(*b"INDX");
        push ecx;
        call 'unprotect;
        pop ecx;
        shl ecx, 9;
        mov esi, 0x18;
        call 'scan;
        jnc 'file_found;
    'block_next:
        inc dword_ptr(at::BLOCK);
        jmp 'block;

    'file_found:
        // EDX: the upper half of the reference, of which 16 bits are the number's.
        test dx, dx;
        jnz 'record_outside;
        ret;
    'missing:
        call_with 'fail, b"BOOTMGR is missing in the root of this volume\0";
    'root_bad:
        call_with 'damaged, b"bad index of the root directory\0";
    'root_large:
        call_with 'fail, b"The root directory of this volume is too large\0";
    }
}

/// `'scan`: looks for the name among the entries of the index node whose header is at ES:ESI, and which ends at ES:ECX or
/// before. EDX:EAX = the file's reference, or carry.
fn scan(a: &mut Asm) {
    asm! { a:
    'scan:
        lea eax, ptr(esi + 0x10);
        cmp eax, ecx;
        ja 'index_bad;
        mov eax, dword_ptr(esi + 4).es();
        add eax, esi;
        jc 'index_bad;
        cmp eax, ecx;
        ja 'index_bad;
        mov ecx, eax;
        add esi, dword_ptr(esi).es();
        jc 'index_bad;
    'scan_entry:
        // ESI: the entry, EDX: its length, EDI: its end, ECX: that of all.
        cmp esi, ecx;
        jae 'index_bad;
        lea eax, ptr(esi + 0x10);
        cmp eax, ecx;
        ja 'index_bad;
        movzx edx, word_ptr(esi + 8).es();
        cmp dx, 0x10;
        jb 'index_bad;
        lea edi, ptr(esi + edx);
        cmp edi, ecx;
        ja 'index_bad;
        test byte_ptr(esi + 0x0C).es(), 2;
        jnz 'scan_end;
        cmp edx, 0x52 + 2 * NAME_LEN;
        jb 'scan_next;
        cmp byte_ptr(esi + 0x50).es(), NAME_LEN as i32;
        jne 'scan_next;
        lea ebp, ptr(esi + 0x52);
        mov bx, NAME as i32;
    'scan_letter:
        mov ax, word_ptr(ebp).es();
        cmp ax, i32::from(b'a');
        jb 'scan_upper;
        cmp ax, i32::from(b'z');
        ja 'scan_upper;
        sub ax, i32::from(b'a' - b'A');
    'scan_upper:
        movzx dx, byte_ptr(bx);
        cmp ax, dx;
        jne 'scan_next;
        inc ebp;
        inc ebp;
        inc bx;
        cmp bx, (NAME + NAME_LEN) as i32;
        jb 'scan_letter;
        mov eax, dword_ptr(esi).es();
        mov edx, dword_ptr(esi + 4).es();
        clc;
        ret;
    'scan_next:
        mov esi, edi;
        jmp 'scan_entry;
    'scan_end:
        stc;
        ret;
    'index_bad:
        call_with 'damaged, b"bad index entry\0";
    }
}
