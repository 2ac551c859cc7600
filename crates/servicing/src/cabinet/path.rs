//! Names in a cabinet as paths that stay where they belong.

use disk::upcase::upcase;

/// The path that a name in a cabinet stands for, with slashes; or why it is none.
pub(super) fn confine(name: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("its name is {name:?}: {why}"));
    let parts: Vec<&str> = name.split(['\\', '/']).collect();
    for part in &parts {
        match *part {
            "" if parts.len() == 1 => return wrong("it is empty"),
            "" => return wrong("a folder in it has no name, as in absolute paths"),
            "." | ".." => return wrong("it leads elsewhere"),
            _ if part.contains(|c: char| c.is_control() || "<>:\"|?*".contains(c)) => {
                return wrong("it has characters that Windows does not allow in names");
            }
            _ if part.ends_with(['.', ' ']) => {
                return wrong("it ends in a dot or a space, which Windows would take away");
            }
            _ => {}
        }
    }
    Ok(parts.join("/"))
}

/// What names that are the same to Windows have in common; slashes whichever way they lean.
pub(crate) fn fold(path: &str) -> String {
    let units =
        path.encode_utf16().map(|unit| if unit == u16::from(b'\\') { u16::from(b'/') } else { upcase(unit) });
    // A surrogate pair has no other case, so what was text stays it.
    String::from_utf16_lossy(&units.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(confine("a.inf").unwrap(), "a.inf");
        assert_eq!(confine("amd64_x\\sub/a b.sys").unwrap(), "amd64_x/sub/a b.sys");
        for name in [
            "",
            "\\a",
            "/a",
            "a\\",
            "a\\\\b",
            "..\\a",
            "a\\..\\b",
            ".",
            "a/./b",
            "c:\\a",
            "c:a",
            "a:stream",
            "a\0b",
            "a.",
            "a \\b",
            "\\\\server\\share\\x",
            "\\\\?\\c:\\x",
            "a\nb",
            "a*",
        ] {
            confine(name).expect_err(name);
        }
        assert_eq!(fold("Ab\\Öc"), fold("aB/öC"));
    }
}
