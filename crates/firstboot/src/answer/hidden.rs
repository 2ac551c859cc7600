//! Values that answer files hide.
//!
//! A password element has a `Value` and says with `PlainText` whether that is the password itself. If not, it is the base64
//! form of the UTF-16LE text of the password and the name of the element behind it: `AdministratorPassword`, or `Password`
//! for accounts and automatic logons. It is no encryption; whoever reads the file has the password. Verified on live answer
//! files: `adminPassword`, `adminAdministratorPassword`.

use crate::base64;

/// The hidden form of a password in an element of this name.
pub(crate) fn hide(password: &str, element: &str) -> String {
    let bytes: Vec<u8> =
        password.encode_utf16().chain(element.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    base64::encode(&bytes)
}

/// The password in a hidden value; `None` for what is no such value.
pub(crate) fn reveal(value: &str, element: &str) -> Option<String> {
    let value: String = value.split_ascii_whitespace().collect();
    let bytes = base64::decode(&value)?;
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    let text =
        String::from_utf16(&pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect::<Vec<_>>()).ok()?;
    text.strip_suffix(element).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in answer files that are in use.
    #[test]
    fn values_seen_in_the_wild() {
        let (account, administrator) = (
            "YQBkAG0AaQBuAFAAYQBzAHMAdwBvAHIAZAA=",
            "YQBkAG0AaQBuAEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3AG8AcgBkAA==",
        );
        assert_eq!(hide("admin", "Password"), account);
        assert_eq!(hide("admin", "AdministratorPassword"), administrator);
        assert_eq!(reveal(account, "Password").as_deref(), Some("admin"));
        assert_eq!(reveal(administrator, "AdministratorPassword").as_deref(), Some("admin"));
        assert_eq!(reveal(account, "AdministratorPassword"), None);
        assert_eq!(reveal("YQ==", "Password"), None);
    }

    #[test]
    fn any_character_survives() {
        let password = "pä$$\"<&>%😀 x";
        assert_eq!(reveal(&hide(password, "Password"), "Password").as_deref(), Some(password));
    }
}
