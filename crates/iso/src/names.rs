use disk::upcase::upcase;

/// Whether two names are the same to Windows: unit by unit, in upper case.
pub fn same_name(a: &[u16], b: &[u16]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| upcase(a) == upcase(b))
}

/// A name in bytes of which no standard says what they mean: UTF-8 if it can be, which ASCII always is, else Latin-1.
pub(crate) fn from_bytes(bytes: &[u8]) -> Box<[u16]> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.encode_utf16().collect(),
        Err(_) => bytes.iter().map(|&byte| u16::from(byte)).collect(),
    }
}
