//! 16-bit programs written in Rust source, in a notation close to what every assembler takes.
//!
//! The boot code that ships and the programs that test it are assembled here, by `iced-x86`, so that they can be
//! rebuilt and compared on any host without a foreign toolchain. [`asm!`](crate::asm!) adds to `iced-x86` what a page of
//! instructions needs to be read: labels by name, and no noise around an instruction.
//!
//! Programs are built from the source by tests alone, so what cannot be encoded panics.

use std::collections::BTreeMap;

pub use iced_x86::code_asm::*;

/// A program in the making.
#[expect(missing_debug_implementations, reason = "neither has CodeAssembler")]
pub struct Asm {
    #[doc(hidden)]
    pub code: CodeAssembler,
    labels: BTreeMap<&'static str, (CodeLabel, bool)>,
    known: BTreeMap<&'static str, u16>,
}

/// A finished program.
#[derive(Debug)]
pub struct Program {
    /// The machine code.
    pub bytes: Vec<u8>,
    /// Where each label lies, as the program sees it.
    pub labels: BTreeMap<&'static str, u16>,
}

impl Default for Asm {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Asm {
    /// An empty program that may also jump to `known` labels of another.
    pub fn new(known: BTreeMap<&'static str, u16>) -> Self {
        let code = CodeAssembler::new(16).expect("16 bits are a mode");
        Self { code, labels: BTreeMap::new(), known }
    }

    /// The address of a label of another program.
    pub fn known(&self, name: &str) -> Option<u64> {
        self.known.get(name).map(|&address| u64::from(address))
    }

    /// The label `name`, wherever it will be.
    pub fn label(&mut self, name: &'static str) -> CodeLabel {
        let code = &mut self.code;
        self.labels.entry(name).or_insert_with(|| (code.create_label(), false)).0
    }

    /// Puts the label `name` before the next instruction.
    ///
    /// # Panics
    /// When it was put somewhere before.
    pub fn place(&mut self, name: &'static str) {
        self.label(name);
        let (label, placed) = self.labels.get_mut(name).expect("just made");
        let set = self.code.set_label(label);
        assert!(set.is_ok() && !*placed, "label {name}: {set:?}");
        *placed = true;
    }

    /// Machine code that runs at `origin` of its segment.
    ///
    /// # Panics
    /// When a label was used and never put anywhere.
    pub fn finish(mut self, origin: u16) -> Program {
        for (name, (_, placed)) in &self.labels {
            assert!(placed, "label {name} is nowhere");
        }
        let options = iced_x86::BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
        let result = match self.code.assemble_options(u64::from(origin), options) {
            Ok(result) => result,
            Err(error) => panic!("the program cannot be encoded: {error}"),
        };
        let address = |(name, (label, _)): (&&'static str, &(CodeLabel, bool))| {
            let address = result.label_ip(label).expect("it was put somewhere");
            (*name, u16::try_from(address).expect("a program fits a segment"))
        };
        let labels = self.labels.iter().map(address).collect();
        Program { bytes: result.inner.code_buffer, labels }
    }
}

/// Appends instructions to an [`Asm`].
///
/// `mov ax, bx;` is `iced-x86`'s method `mov` with these operands; `'name:` is a label, and `jc 'name;` goes there;
/// `rep movsb;` and `repe cmpsb;` are what they say; `text b"...";` is data. `call_with 'name, b"...";` calls with data
/// behind the instruction, which the callee finds where it would return to.
#[macro_export]
macro_rules! asm {
    ($a:ident:) => {};
    ($a:ident: $label:lifetime : $($rest:tt)*) => {
        $a.place(stringify!($label));
        $crate::asm!($a: $($rest)*);
    };
    ($a:ident: text $bytes:expr; $($rest:tt)*) => {
        $crate::asm!(@ $a.code.db($bytes));
        $crate::asm!($a: $($rest)*);
    };
    ($a:ident: call_with $label:lifetime, $bytes:expr; $($rest:tt)*) => {
        $crate::asm!($a: call $label; text $bytes; $($rest)*);
    };
    ($a:ident: rep $op:ident; $($rest:tt)*) => {
        $crate::asm!(@ $a.code.rep().$op());
        $crate::asm!($a: $($rest)*);
    };
    ($a:ident: repe $op:ident; $($rest:tt)*) => {
        $crate::asm!(@ $a.code.repe().$op());
        $crate::asm!($a: $($rest)*);
    };
    ($a:ident: $op:ident $label:lifetime; $($rest:tt)*) => {
        match $a.known(stringify!($label)) {
            Some(address) => $crate::asm!(@ $a.code.$op(address)),
            None => {
                let label = $a.label(stringify!($label));
                $crate::asm!(@ $a.code.$op(label));
            }
        }
        $crate::asm!($a: $($rest)*);
    };
    ($a:ident: $op:ident $($arg:expr),*; $($rest:tt)*) => {
        $crate::asm!(@ $a.code.$op($($arg),*));
        $crate::asm!($a: $($rest)*);
    };
    (@ $code:expr) => {
        if let Err(error) = $code {
            panic!("{}: {error}", stringify!($code));
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_was_written() {
        let mut a = Asm::default();
        crate::asm! { a:
            xor ax, ax;
        'again:
            mov ax, word_ptr(0x7C0B);
            mov dword_ptr(si + 4).es(), 0x1234_5678;
            rep movsw;
            jc 'end;
            call_with 'again, b"x\0";
        'end:
            retf;
        }
        let program = a.finish(0x7C00);
        assert_eq!(program.labels["'end"], 0x7C00 + u16::try_from(program.bytes.len()).unwrap() - 1);
        let expected = [
            &[0x31, 0xC0][..],
            &[0xA1, 0x0B, 0x7C],
            &[0x26, 0x66, 0xC7, 0x44, 0x04, 0x78, 0x56, 0x34, 0x12],
            &[0xF3, 0xA5],
            &[0x72, 0x05],
            &[0xE8, 0xED, 0xFF],
            b"x\0",
            &[0xCB],
        ];
        assert_eq!(program.bytes, expected.concat());
    }

    #[test]
    #[should_panic(expected = "'nowhere")]
    fn a_label_has_to_be_somewhere() {
        let mut a = Asm::default();
        crate::asm! { a:
            jmp 'nowhere;
        }
        a.finish(0);
    }
}
