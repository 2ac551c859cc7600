//! What Windows accepts as names, keys and the like. Whatever is wrong is said while the image is made: Windows would say
//! it at the first boot, if at all.

use crate::{Error, Result};

/// A computer name: what NetBIOS and DNS both take, 1 to 15 letters, digits and hyphens, not only digits, no hyphen at
/// either end. `*` lets Windows choose.
pub(crate) fn computer_name(name: &str) -> Result<()> {
    let wrong = |reason: String| Err(Error::wish("computer-name", reason));
    if name == "*" {
        return Ok(());
    }
    if name.is_empty() || name.chars().count() > 15 {
        return wrong(format!("{name:?} has {} characters, expected 1 to 15", name.chars().count()));
    }
    if let Some(bad) = name.chars().find(|character| !character.is_ascii_alphanumeric() && *character != '-')
    {
        return wrong(format!("{name:?} has {bad:?} in it, expected letters, digits and hyphens"));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return wrong(format!("{name:?} begins or ends with a hyphen"));
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong(format!("{name:?} has only digits, which DNS takes for an address"));
    }
    Ok(())
}

/// The name of a local account, by Microsoft's description of the element `Name` and the 20 characters of the SAM.
pub(crate) fn account_name(what: &str, name: &str) -> Result<()> {
    const FORBIDDEN: &str = "\"/\\[]:|<>+=;,?*%@";
    let wrong = |reason: String| Err(Error::wish(what, reason));
    let characters = name.encode_utf16().count();
    if name.trim().is_empty() || characters > 20 {
        return wrong(format!("the name {name:?} has {characters} characters, expected 1 to 20"));
    }
    if let Some(bad) = name.chars().find(|character| FORBIDDEN.contains(*character) || character.is_control())
    {
        return wrong(format!("the name {name:?} has {bad:?} in it; none of {FORBIDDEN} may occur"));
    }
    if name.trim() != name || name.ends_with('.') || name.eq_ignore_ascii_case("none") {
        return wrong(format!("{name:?} cannot be the name of an account"));
    }
    if ["administrator", "guest", "defaultaccount", "wdagutilityaccount"]
        .contains(&name.to_ascii_lowercase().as_str())
    {
        let reason = format!(
            "Windows has an account {name} already; admin-password-file sets the Administrator's password"
        );
        return wrong(reason);
    }
    Ok(())
}

/// A name of a group, for a list with semicolons.
pub(crate) fn group_name(what: &str, name: &str) -> Result<()> {
    if name.trim().is_empty() || name.contains([';', '"', '/', '\\']) || name.chars().any(char::is_control) {
        return Err(Error::wish(what, format!("{name:?} cannot be the name of a group")));
    }
    Ok(())
}

/// One line of text that is shown somewhere.
pub(crate) fn text(what: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() || text.chars().count() > 256 || text.chars().any(char::is_control) {
        return Err(Error::wish(what, "expected one line of 1 to 256 characters"));
    }
    Ok(())
}

/// A product key: five groups of five of the letters and digits that keys are made of. `N` is one of them since Windows 8.
/// The key is not shown.
pub(crate) fn product_key(key: &str) -> Result<()> {
    const DIGITS: &str = "BCDFGHJKMNPQRTVWXY2346789";
    let groups: Vec<&str> = key.split('-').collect();
    let good = groups.len() == 5
        && groups.iter().all(|group| {
            group.len() == 5 && group.chars().all(|digit| DIGITS.contains(digit.to_ascii_uppercase()))
        });
    if good {
        return Ok(());
    }
    let reason = format!(
        "it is no product key, expected five groups of five characters of {DIGITS} with hyphens between"
    );
    Err(Error::wish("product-key", reason))
}

/// A language or locale such as `de-DE` or `zh-Hans-CN`, or for keyboards `0407:00000407`, several with semicolons.
pub(crate) fn locale(option: &str, name: &str, keyboard: bool) -> Result<()> {
    let tag = |name: &str| {
        let mut parts = name.split('-');
        parts.next().is_some_and(|part| {
            (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic())
        }) && parts
            .all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    let hex =
        |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let layout = |name: &str| {
        name.split_once(':').is_some_and(|(language, layout)| hex(language, 4) && hex(layout, 8))
    };
    let good = if keyboard { name.split(';').all(|one| tag(one) || layout(one)) } else { tag(name) };
    if good {
        return Ok(());
    }
    let also = if keyboard { " or a keyboard such as 0407:00000407" } else { "" };
    Err(Error::wish(option, format!("{name:?} is no locale such as de-DE{also}")))
}

/// The hardware address of a network card, as `00-15-5D-01-02-03`, from that or the form with colons.
pub(crate) fn mac(what: &str, address: &str) -> Result<String> {
    let digits: Vec<&str> = address.split(['-', ':']).collect();
    if digits.len() == 6
        && digits.iter().all(|two| two.len() == 2 && two.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return Ok(digits.join("-").to_ascii_uppercase());
    }
    Err(Error::wish(what, format!("{address:?} is no hardware address such as 00-15-5D-01-02-03")))
}

/// The SHA-1 of a certificate in hexadecimal digits, in capitals.
pub(crate) fn thumbprint(text: &str) -> Result<String> {
    if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(Error::wish("winrm-https", format!("{text:?} is no thumbprint, expected 40 hexadecimal digits")))
}

/// A name that a certificate can have: of a host, without wildcard.
pub(crate) fn host_name(name: &str) -> Result<()> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    Err(Error::wish("winrm-https", format!("{name:?} is no name of a host")))
}

/// The name of an optional feature or capability, as DISM lists it.
pub(crate) fn feature(name: &str) -> Result<()> {
    let good = |character: char| character.is_ascii_alphanumeric() || "-_.~".contains(character);
    if !name.is_empty() && name.len() <= 256 && name.chars().all(good) {
        return Ok(());
    }
    Err(Error::wish(
        "feature",
        format!("{name:?} is no name of a feature, as dism /online /get-features lists them"),
    ))
}

/// The word of `known` that is most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(256).collect::<String>().to_lowercase();
    let scored = known.into_iter().map(|known| (strsim::levenshtein(&word, &known.to_lowercase()), known));
    let (distance, best) = scored.min_by_key(|&(distance, _)| distance)?;
    (distance <= word.chars().count().div_ceil(3).max(2)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computer_names() {
        for good in ["*", "NANO1", "a", "0-1", "123456789012345".replace('5', "x").as_str()] {
            assert_eq!(computer_name(good), Ok(()), "{good}");
        }
        for bad in ["", "1234567890123456", "12", "-a", "a-", "a_b", "ä", "a b", "a.b", "**"] {
            assert!(computer_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn account_names() {
        for good in ["vagrant", "Jörg Müller", "a.b"] {
            assert_eq!(account_name("", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "a\\b",
            "a%b",
            "administrator",
            "Guest",
            "None",
            "a.",
            " a",
            "123456789012345678901",
            "a\nb",
        ] {
            assert!(account_name("", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_locales_and_addresses() {
        // Microsoft publishes this one for key management servers.
        assert_eq!(product_key("WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY"), Ok(()));
        for bad in
            ["", "WC2BQ-8NRM3-FDDYY-2BFGV", "WC2BQ-8NRM3-FDDYY-2BFGV-KHKQ1", "WC2BQ8NRM3FDDYY2BFGVKHKQY"]
        {
            let error = product_key(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !error.contains(bad));
        }
        assert_eq!(locale("x", "de-DE", false), Ok(()));
        assert_eq!(locale("x", "zh-Hans-CN", false), Ok(()));
        assert_eq!(locale("x", "0407:00000407;en-US", true), Ok(()));
        assert!(locale("x", "0407:00000407", false).is_err());
        assert!(locale("x", "german", false).is_err());
        assert_eq!(mac("", "00:15:5d:01:02:0f").unwrap(), "00-15-5D-01-02-0F");
        assert!(mac("", "00-15-5D-01-02").is_err());
        assert!(thumbprint(&"0g".repeat(20)).is_err());
        assert!(host_name("nano1.example.com").is_ok());
        assert!(host_name("*.example.com").is_err());
        assert!(
            feature("NetFx3").is_ok()
                && feature("OpenSSH.Server~~~~0.0.1.0").is_ok()
                && feature("a b").is_err()
        );
    }

    #[test]
    fn the_nearest_name() {
        let known = ["UTC", "W. Europe Standard Time", "E. Europe Standard Time", "Pacific Standard Time"];
        assert_eq!(nearest("W Europe standard time", known), Some("W. Europe Standard Time"));
        assert_eq!(nearest("utx", known), Some("UTC"));
        assert_eq!(nearest("Middle Earth", known), None);
    }
}
