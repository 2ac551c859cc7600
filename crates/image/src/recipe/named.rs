//! Choices that are spelled: every value has one name, in options, recipes, reports and messages.

/// Gives an enumeration its names: `ALL` and `name`, `Display`, and `FromStr`, whose error lists the names and says which is the
/// nearest. The compiler refuses a table that leaves a value out.
macro_rules! named {
    ($choice:ident, $what:literal: $($value:ident => $name:literal,)+) => {
        impl $choice {
            /// All of them, in the order in which help lists them.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// How it is spelled.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }

        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $choice {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let names = || Self::ALL.iter().map(|choice| choice.name());
                Self::ALL
                    .iter()
                    .copied()
                    .find(|choice| choice.name() == text)
                    .ok_or_else(|| $crate::recipe::named::unknown($what, text, names()))
            }
        }
    };
}

pub(crate) use named;

/// What is said of a name that nothing has.
pub(crate) fn unknown<'a>(what: &str, text: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let meant = did_you_mean(text, names.clone());
    let known: Vec<&str> = names.collect();
    format!("unknown {what} (known: {}){meant}", known.join(", "))
}

/// `; did you mean "vhdx"?`, or nothing when no known word is like it.
pub fn did_you_mean<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(text, known).map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"))
}

/// The one of `known` that `text` is most likely a misspelling of: at most every second letter is wrong.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The comparison takes the product of both lengths.
    const LONGEST: usize = 256;
    if text.len() > LONGEST {
        return None;
    }
    let lower = text.to_lowercase();
    let near = known.into_iter().filter(|known| known.len() <= LONGEST);
    let near = near.map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known));
    near.min().filter(|(distance, known)| distance * 2 <= known.len().max(text.len())).map(|(_, known)| known)
}
