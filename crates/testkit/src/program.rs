//! Programs (PE files) that say what real ones say about themselves, and do nothing.
//!
//! Layout after Microsoft's "PE Format": headers in the first 512 bytes, one section of imports and resources after them.

/// A program to be made.
#[derive(Clone, Debug)]
pub struct Program {
    machine: u16,
    subsystem: u16,
    version: [u16; 4],
    imports: Vec<String>,
    size: usize,
}

/// Where the section lies in memory and in the file.
const ADDRESS: u32 = 0x1000;
const OFFSET: usize = 0x200;

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

impl Program {
    /// For `machine` (PE format, "Machine Types"), native, of Windows 10, linked with nothing.
    pub fn new(machine: u16) -> Self {
        Self { machine, subsystem: 1, version: [10, 0, 14_393, 0], imports: Vec::new(), size: 0 }
    }

    /// For x64.
    pub fn x64() -> Self {
        Self::new(0x8664)
    }

    /// As an EFI application.
    #[must_use]
    pub fn efi(self) -> Self {
        Self { subsystem: 10, ..self }
    }

    /// Of another version.
    #[must_use]
    pub fn version(self, version: [u16; 4]) -> Self {
        Self { version, ..self }
    }

    /// Linked with `modules`.
    #[must_use]
    pub fn imports(self, modules: &[&str]) -> Self {
        Self { imports: modules.iter().map(|&name| name.to_owned()).collect(), ..self }
    }

    /// At least so many bytes long.
    #[must_use]
    pub fn size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// The file.
    ///
    /// # Panics
    /// When there are more imports than fit 64 KiB.
    pub fn to_bytes(&self) -> Vec<u8> {
        // The section: import descriptors, their names, the version.
        let mut section = vec![0; 20 * (self.imports.len() + 1)];
        for (number, name) in self.imports.iter().enumerate() {
            let at = u32::try_from(section.len()).expect("few imports");
            put32(&mut section, 20 * number + 12, ADDRESS + at);
            section.extend_from_slice(name.as_bytes());
            section.push(0);
        }
        section.resize(section.len().next_multiple_of(4), 0);
        let resources = section.len();
        section.extend_from_slice(&[0; 16]);
        for word in [0xFEEF_04BD, 0x0001_0000] {
            section.extend_from_slice(&u32::to_le_bytes(word));
        }
        for half in [1, 0, 3, 2] {
            section.extend_from_slice(&self.version[half].to_le_bytes());
        }
        section.resize(section.len().next_multiple_of(512), 0);

        let mut bytes = vec![0; OFFSET];
        bytes[..2].copy_from_slice(b"MZ");
        put32(&mut bytes, 0x3C, 0x40);
        let pe = 0x40;
        bytes[pe..pe + 4].copy_from_slice(b"PE\0\0");
        put16(&mut bytes, pe + 4, self.machine);
        put16(&mut bytes, pe + 6, 1);
        // The optional header: that of 64-bit programs, with 16 directories.
        put16(&mut bytes, pe + 20, 112 + 16 * 8);
        put16(&mut bytes, pe + 24, 0x20B);
        put16(&mut bytes, pe + 24 + 68, self.subsystem);
        put32(&mut bytes, pe + 24 + 108, 16);
        let directory = pe + 24 + 112;
        if !self.imports.is_empty() {
            put32(&mut bytes, directory + 8, ADDRESS);
        }
        put32(&mut bytes, directory + 16, ADDRESS + u32::try_from(resources).expect("few imports"));
        let row = directory + 16 * 8;
        let len = u32::try_from(section.len()).expect("few imports");
        put32(&mut bytes, row + 8, len);
        put32(&mut bytes, row + 12, ADDRESS);
        put32(&mut bytes, row + 16, len);
        put32(&mut bytes, row + 20, u32::try_from(OFFSET).expect("small"));
        bytes.extend_from_slice(&section);
        bytes.resize(bytes.len().max(self.size), 0);
        bytes
    }
}
