//! The bytes of values of the usual types.

/// Text with its NUL: for `SZ` and `EXPAND_SZ`.
pub fn sz(text: &str) -> Vec<u8> {
    let mut data = link(text);
    data.extend([0, 0]);
    data
}

/// Text without a NUL: for `LINK`.
pub fn link(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Texts for `MULTI_SZ`. An empty text among them would end the list for its readers.
pub fn multi_sz<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Vec<u8> {
    let mut data: Vec<u8> = texts.into_iter().flat_map(|text| sz(text.as_ref())).collect();
    data.extend([0, 0]);
    data
}

/// A number for `DWORD`.
pub fn dword(number: u32) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// A number for `QWORD`.
pub fn qword(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}
