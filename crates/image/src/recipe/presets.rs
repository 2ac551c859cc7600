//! Presets: recipes that say only some things, by name. They are TOML files that anybody can read, copy and change.

use std::path::{Path, PathBuf};

use super::file::RecipeFile;
use crate::{Error, Result, did_you_mean};

/// Their names, what they hold.
const PRESETS: &[(&str, &str)] = &[
    ("winrm", include_str!("presets/winrm.toml")),
    ("winrm-https", include_str!("presets/winrm-https.toml")),
    ("vagrant", include_str!("presets/vagrant.toml")),
    ("rdp", include_str!("presets/rdp.toml")),
    ("ems", include_str!("presets/ems.toml")),
    ("quiet", include_str!("presets/quiet.toml")),
];

/// The names of the presets that come with the program, and their text.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRESETS.iter().copied()
}

/// Whether a preset is a file rather than a name.
pub(super) fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || name.ends_with(".toml")
}

/// What tells it from others, however it is spelt.
pub(super) fn identity(name: &str) -> PathBuf {
    let path = Path::new(name);
    if is_path(name) { path.canonicalize().unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() }
}

/// A preset, by its name or the path of a file.
pub(super) fn find(name: &str) -> Result<RecipeFile> {
    if is_path(name) {
        return RecipeFile::read(Path::new(name));
    }
    match PRESETS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => RecipeFile::parse(text, Path::new(name)),
        None => {
            let known: Vec<&str> = all().map(|(name, _)| name).collect();
            let meant = did_you_mean(name, known.iter().copied());
            let known = known.join(", ");
            Err(Error::Recipe(format!(
                "there is no preset {name:?}; known are {known}, or the path of a file{meant}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_can_be_read_and_names_itself() {
        for (name, text) in all() {
            let preset = find(name).unwrap();
            assert_ne!(preset, RecipeFile::default(), "{name}");
            assert!(text.starts_with(&format!("# Preset {name}")), "{name}");
            // A preset never says what is built, or where it goes.
            assert!(preset.source.is_none() && preset.output.is_none() && preset.image.is_none(), "{name}");
        }
    }

    #[test]
    fn unknown_ones_are_refused() {
        let error = find("vagrent").unwrap_err().to_string();
        assert!(error.contains("vagrant"), "{error}");
        assert!(matches!(find("./none.toml"), Err(Error::Read { .. })));
    }
}
