//! An EFI program of our own that stands where `bootmgfw.efi` would: what firmware starts, without a byte of
//! Microsoft's.
//!
//! It needs nothing but the protocols that every firmware has (UEFI 2.10): it writes through the console (chapter 12.4)
//! and, for machines whose console is a screen that nobody watches, a line on COM1; it reads files of the volume it was started from
//! (13.4, 13.5). The code knows its own addresses only relative to the instruction pointer, so the image has no
//! relocations.

use std::collections::BTreeMap;

use crate::asm;
use crate::asm::{
    CodeAssembler, CodeLabel, al, ax, byte_ptr, cl, dx, eax, ecx, edx, ptr, qword_ptr, r8, r8d, r9d, r12,
    r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, word_ptr,
};
use crate::payload::EXIT_PORT;

/// What the greeter says first on the console.
pub const GREETING: &str = "wimforge: bootmgfw.efi stand-in";
/// What the greeter says on COM1 when it has said all.
pub const LAST_WORDS: &str = "wimforge: EFI stand-in done";
/// The text file whose first line the greeter shows, if it is there.
pub const TEXT_FILE: &str = r"\EFI\Microsoft\Boot\greeting.txt";
/// The file whose signature the greeter shows: the boot manager's store.
pub const STORE: &str = r"\EFI\Microsoft\Boot\BCD";

/// 64-bit code in the making, in the notation of [`asm!`].
struct Asm {
    code: CodeAssembler,
    labels: BTreeMap<&'static str, (CodeLabel, bool)>,
}

impl Asm {
    fn label(&mut self, name: &'static str) -> CodeLabel {
        let code = &mut self.code;
        self.labels.entry(name).or_insert_with(|| (code.create_label(), false)).0
    }

    fn place(&mut self, name: &'static str) {
        self.label(name);
        let (label, placed) = self.labels.get_mut(name).expect("just made");
        let set = self.code.set_label(label);
        assert!(set.is_ok() && !*placed, "label {name}: {set:?}");
        *placed = true;
    }

    /// There is no other program.
    fn known(&self, _: &str) -> Option<u64> {
        None
    }
}

/// Offsets of what is used of the firmware's tables.
mod efi {
    pub(super) const CON_IN: i32 = 0x30;
    pub(super) const CON_OUT: i32 = 0x40;
    pub(super) const RUNTIME: i32 = 0x58;
    pub(super) const BOOT: i32 = 0x60;

    pub(super) const INPUT_RESET: i32 = 0;
    pub(super) const WAIT_FOR_KEY: i32 = 0x10;
    pub(super) const OUTPUT_STRING: i32 = 8;

    pub(super) const WAIT_FOR_EVENT: i32 = 0x60;
    pub(super) const HANDLE_PROTOCOL: i32 = 0x98;
    pub(super) const RESET_SYSTEM: i32 = 0x68;

    pub(super) const DEVICE_HANDLE: i32 = 0x18;
    pub(super) const OPEN_VOLUME: i32 = 8;
    pub(super) const FILE_OPEN: i32 = 8;
    pub(super) const FILE_CLOSE: i32 = 0x10;
    pub(super) const FILE_READ: i32 = 0x20;

    /// EFI_LOADED_IMAGE_PROTOCOL_GUID.
    pub(super) const LOADED_IMAGE: [u8; 16] =
        *b"\xA1\x31\x1B\x5B\x62\x95\xD2\x11\x8E\x3F\x00\xA0\xC9\x69\x72\x3B";
    /// EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID.
    pub(super) const FILE_SYSTEM: [u8; 16] =
        *b"\x22\x5B\x4E\x96\x59\x64\xD2\x11\x8E\x39\x00\xA0\xC9\x69\x72\x3B";
}

/// Offsets in the frame that RBP points to.
mod frame {
    pub(super) const INTERFACE: i32 = 0x30;
    pub(super) const FILE: i32 = 0x38;
    pub(super) const SIZE: i32 = 0x40;
    pub(super) const DATA: i32 = 0x50;
    pub(super) const WIDE: i32 = 0x150;
    /// A multiple of 16 and 8 more, after six pushes: calls need RSP on a multiple of 16.
    pub(super) const LEN: i32 = 0x408;
}
/// Bytes of a file that are looked at.
const SHOWN: i32 = 64;

/// The program: it says that it was started and what it found in two files, and turns the machine off at a key. A QEMU
/// that has the exit device of [`payload`](crate::payload) ends with [`CONTENT`](crate::payload::CONTENT).
///
/// # Panics
/// Never: its source is constant.
pub fn greeter() -> Vec<u8> {
    let mut a = Asm { code: CodeAssembler::new(64).expect("64 bits are a mode"), labels: BTreeMap::new() };
    main(&mut a);
    show(&mut a);
    output(&mut a);
    data(&mut a);
    let missing: Vec<_> = a.labels.iter().filter(|(_, (_, placed))| !placed).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let code = a.code.assemble(u64::from(CODE)).unwrap_or_else(|error| panic!("cannot be encoded: {error}"));
    image(&code)
}

/// Says what there is to say, and ends the machine.
fn main(a: &mut Asm) {
    let [greeting, more, closing, serial, done] =
        ["'greeting", "'more", "'closing", "'serial_text", "'done_text"].map(|name| a.label(name));
    let [loaded_image, file_system, text_file, store, text_name, store_name] =
        ["'loaded_image", "'file_system", "'text_file", "'store", "'text_name", "'store_name"]
            .map(|name| a.label(name));
    asm! { a:
        push rbp;
        push rbx;
        push rsi;
        push rdi;
        push r12;
        push r13;
        sub rsp, frame::LEN;
        mov rbp, rsp;
        mov rbx, rdx; // the system table
        mov r12, rcx; // this image
        mov r13, qword_ptr(rbx + efi::CON_OUT);
        lea rsi, ptr(serial);
        call 'serial;
        lea rsi, ptr(greeting);
        call 'print;
        lea rsi, ptr(more);
        call 'print;

        // The volume this program was started from.
        mov rcx, r12;
        lea rdx, ptr(loaded_image);
        call 'interface;
        test rax, rax;
        jnz 'files_done;
        mov rax, qword_ptr(rbp + frame::INTERFACE);
        mov rcx, qword_ptr(rax + efi::DEVICE_HANDLE);
        lea rdx, ptr(file_system);
        call 'interface;
        test rax, rax;
        jnz 'files_done;
        mov rcx, qword_ptr(rbp + frame::INTERFACE);
        lea rdx, ptr(rbp + frame::INTERFACE);
        call qword_ptr(rcx + efi::OPEN_VOLUME);
        test rax, rax;
        jnz 'files_done;
        mov r12, qword_ptr(rbp + frame::INTERFACE); // its root
        lea r14, ptr(text_file);
        lea r15, ptr(text_name);
        call 'show;
        lea r14, ptr(store);
        lea r15, ptr(store_name);
        call 'show;
    }
    asm! { a:
    'files_done:
        lea rsi, ptr(closing);
        call 'print;
        lea rsi, ptr(done);
        call 'serial;
        mov al, 0x10;
        mov edx, u32::from(EXIT_PORT);
        out dx, al;

        // Keys pressed before do not count.
        mov rcx, qword_ptr(rbx + efi::CON_IN);
        xor edx, edx;
        call qword_ptr(rcx + efi::INPUT_RESET);
        mov rcx, qword_ptr(rbx + efi::CON_IN);
        lea rdx, ptr(rcx + efi::WAIT_FOR_KEY);
        mov ecx, 1;
        lea r8, ptr(rbp + frame::SIZE);
        mov rax, qword_ptr(rbx + efi::BOOT);
        call qword_ptr(rax + efi::WAIT_FOR_EVENT);
        mov ecx, 2; // EfiResetShutdown
        xor edx, edx;
        xor r8d, r8d;
        xor r9d, r9d;
        mov rax, qword_ptr(rbx + efi::RUNTIME);
        call qword_ptr(rax + efi::RESET_SYSTEM);
    'stop:
        hlt;
        jmp 'stop;

        // Gets the protocol RDX of the handle RCX.
    'interface:
        sub rsp, 0x28;
        lea r8, ptr(rbp + frame::INTERFACE);
        mov rax, qword_ptr(rbx + efi::BOOT);
        call qword_ptr(rax + efi::HANDLE_PROTOCOL);
        add rsp, 0x28;
        ret;
    }
}

/// `'show`: shows the first line of the file R14, whose name is R15.
fn show(a: &mut Asm) {
    let [newline, colon, absent] = ["'newline", "'colon", "'absent"].map(|name| a.label(name));
    asm! { a:
    'show:
        sub rsp, 0x28;
        mov rsi, r15;
        call 'print;
        mov rcx, r12;
        lea rdx, ptr(rbp + frame::FILE);
        mov r8, r14;
        mov r9d, 1; // for reading
        mov qword_ptr(rsp + 0x20), 0;
        call qword_ptr(rcx + efi::FILE_OPEN);
        lea rsi, ptr(absent);
        test rax, rax;
        jnz 'show_end;
        mov qword_ptr(rbp + frame::SIZE), SHOWN;
        mov rcx, qword_ptr(rbp + frame::FILE);
        lea rdx, ptr(rbp + frame::SIZE);
        lea r8, ptr(rbp + frame::DATA);
        call qword_ptr(rcx + efi::FILE_READ);
        mov rcx, qword_ptr(rbp + frame::SIZE);
        test rax, rax;
        jz 'show_was_read;
        xor ecx, ecx;
    'show_was_read:
        mov byte_ptr(rbp + rcx + frame::DATA), 0;
        mov rcx, qword_ptr(rbp + frame::FILE);
        call qword_ptr(rcx + efi::FILE_CLOSE);
        lea rsi, ptr(colon);
        call 'print;
        // The line ends with what cannot be printed.
        lea rsi, ptr(rbp + frame::DATA);
        mov rdi, rsi;
    'show_next:
        mov cl, byte_ptr(rdi);
        sub cl, b' ' as i32;
        cmp cl, (b'~' - b' ') as i32;
        ja 'show_cut;
        inc rdi;
        jmp 'show_next;
    'show_cut:
        mov byte_ptr(rdi), 0;
    'show_end:
        call 'print;
        lea rsi, ptr(newline);
        call 'print;
        add rsp, 0x28;
        ret;
    }
}

/// `'print` and `'serial`: printing.
fn output(a: &mut Asm) {
    asm! { a:
        // Prints the text RSI on the console.
    'print:
        sub rsp, 0x28;
        lea rdi, ptr(rbp + frame::WIDE);
    'print_next:
        movzx eax, byte_ptr(rsi);
        mov word_ptr(rdi), ax;
        inc rsi;
        add rdi, 2;
        test al, al;
        jnz 'print_next;
        mov rcx, r13;
        lea rdx, ptr(rbp + frame::WIDE);
        call qword_ptr(rcx + efi::OUTPUT_STRING);
        add rsp, 0x28;
        ret;

        // Prints the text RSI on COM1. A port that is never ready, or not there, costs a moment and not the machine.
    'serial:
        mov ecx, 0x10000;
        mov edx, 0x3FD;
    'serial_wait:
        in_ al, dx;
        test al, 0x20;
        jnz 'serial_ready;
        dec ecx;
        jnz 'serial_wait;
    'serial_ready:
        mov al, byte_ptr(rsi);
        inc rsi;
        test al, al;
        jz 'serial_done;
        mov edx, 0x3F8;
        out dx, al;
        jmp 'serial;
    'serial_done:
        ret;
    }
}

fn data(a: &mut Asm) {
    let text = |text: &str| [text.as_bytes(), b"\0"].concat();
    let wide =
        |text: &str| -> Vec<u8> { text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect() };
    asm! { a:
    'loaded_image:
        text &efi::LOADED_IMAGE;
    'file_system:
        text &efi::FILE_SYSTEM;
    'text_file:
        text &wide(TEXT_FILE);
    'store:
        text &wide(STORE);
    'text_name:
        text &text(TEXT_FILE);
    'store_name:
        text &text(STORE);
    'greeting:
        text &text(&format!("\r\n{GREETING}\r\n"));
    'more:
        text b"\r\nYour image reached its boot manager. A real Windows image would start here.\r\n\0";
    'closing:
        text b"Press a key to turn the machine off.\r\n\0";
    'newline:
        text b"\r\n\0";
    'colon:
        text b": \0";
    'absent:
        text b" is not there\0";
    'serial_text:
        text b"\r\nwimforge: EFI stand-in on COM1\r\n\0";
    'done_text:
        text &text(&format!("{LAST_WORDS}\r\n"));
    }
}

/// Where code lies in memory, relative to the image, and in the file.
const CODE: u32 = 0x1000;
const CODE_IN_FILE: usize = 0x200;

/// A PE32+ image of one section, for x64 firmware (Microsoft, "PE Format").
fn image(code: &[u8]) -> Vec<u8> {
    let raw = code.len().next_multiple_of(0x200);
    let memory = code.len().next_multiple_of(0x1000);
    let mut file = Vec::new();
    let put16 = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let put32 = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let put64 = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    let len = |len: usize| u32::try_from(len).expect("a page of code");

    file.extend(b"MZ");
    file.resize(0x3C, 0);
    put32(&mut file, 0x40);
    file.extend(b"PE\0\0");
    put16(&mut file, 0x8664); // x64
    put16(&mut file, 1); // sections
    file.extend([0; 12]); // time, symbols
    put16(&mut file, 240); // length of what follows the flags
    put16(&mut file, 0x0022); // executable, large addresses
    put16(&mut file, 0x020B); // PE32+
    file.extend([0; 2]); // linker
    put32(&mut file, len(raw));
    put32(&mut file, 0); // initialized data
    put32(&mut file, 0); // other data
    put32(&mut file, CODE); // entry point
    put32(&mut file, CODE);
    put64(&mut file, 0); // any base
    put32(&mut file, 0x1000); // alignment in memory
    put32(&mut file, 0x200); // and in the file
    file.extend([0; 16]); // versions
    put32(&mut file, CODE + len(memory)); // length in memory
    put32(&mut file, len(CODE_IN_FILE)); // of the headers
    put32(&mut file, 0); // checksum
    put16(&mut file, 10); // EFI application
    put16(&mut file, 0x0140); // may lie anywhere, does not run data
    for size in [0x1_0000u64, 0x1000, 0, 0] {
        put64(&mut file, size); // stack and heap
    }
    put32(&mut file, 0); // flags
    put32(&mut file, 16); // directories
    file.extend([0; 16 * 8]);

    file.extend(b".text\0\0\0");
    put32(&mut file, len(code.len()));
    put32(&mut file, CODE);
    put32(&mut file, len(raw));
    put32(&mut file, len(CODE_IN_FILE));
    file.extend([0; 12]); // relocations, line numbers
    put32(&mut file, 0x6000_0020); // code, executed, read
    assert!(file.len() <= CODE_IN_FILE, "the headers have {} bytes", file.len());
    file.resize(CODE_IN_FILE, 0);
    file.extend(code);
    file.resize(CODE_IN_FILE + raw, 0);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_of_an_efi_program() {
        let file = greeter();
        assert_eq!(file, greeter());
        let pe = 0x40;
        assert_eq!((&file[..2], &file[pe..pe + 6]), (&b"MZ"[..], &b"PE\0\0\x64\x86"[..]));
        // The optional header begins behind the 24 bytes of the others; the section table 240 further on.
        assert_eq!(file[pe + 24 + 68..][..2], 10u16.to_le_bytes());
        assert_eq!(&file[pe + 24 + 240..][..5], b".text");
        assert!(file.len() < 4096 && file.len().is_multiple_of(512));
    }
}
