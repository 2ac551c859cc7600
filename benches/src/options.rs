//! The command line after the command: `--name value` anywhere, the rest in order.

use std::error::Error;
use std::str::FromStr;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Arguments that nobody has asked for yet.
#[derive(Debug)]
pub(crate) struct Options(Vec<String>);

impl Options {
    pub(crate) fn new(args: impl IntoIterator<Item = String>) -> Self {
        Self(args.into_iter().collect())
    }

    /// Takes `--name value`.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        let Some(at) = self.0.iter().position(|arg| arg == name) else { return Ok(None) };
        if at + 1 >= self.0.len() {
            return Err(format!("{name} needs a value").into());
        }
        let value = self.0.drain(at..at + 2).nth(1).unwrap_or_default();
        value.parse().map(Some).map_err(|error| format!("{name} {value}: {error}").into())
    }

    /// Takes `--name a,b,c`; `otherwise` when it is not there.
    pub(crate) fn list<T: FromStr>(&mut self, name: &str, otherwise: Vec<T>) -> Result<Vec<T>>
    where
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.value::<String>(name)? else { return Ok(otherwise) };
        let parse = |item: &str| item.parse().map_err(|error| format!("{name} {item}: {error}").into());
        text.split(',').map(parse).collect()
    }

    /// Takes `--name`.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|arg| arg != name);
        self.0.len() < before
    }

    /// What is left, without options that nobody knows.
    pub(crate) fn rest(self) -> Result<Vec<String>> {
        match self.0.iter().find(|arg| arg.starts_with("--")) {
            Some(unknown) => Err(format!("no option {unknown} here").into()),
            None => Ok(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_anywhere() {
        let args = ["x.wim", "--runs", "7", "2", "--level", "a,b", "--update"].map(str::to_owned);
        let mut options = Options::new(args);
        assert_eq!(options.value::<usize>("--runs").expect("a number"), Some(7));
        assert_eq!(options.value::<usize>("--peer-runs").expect("not there"), None);
        assert_eq!(options.list("--level", Vec::<String>::new()).expect("a list"), ["a", "b"]);
        assert_eq!(options.list("--output", vec![1]).expect("not there"), [1]);
        assert!(options.flag("--update") && !options.flag("--update"));
        assert_eq!(options.rest().expect("two"), ["x.wim", "2"]);
    }

    #[test]
    fn mistakes_are_errors() {
        let of = |args: &[&str]| Options::new(args.iter().map(|arg| (*arg).to_owned()));
        assert!(of(&["--runs"]).value::<usize>("--runs").is_err());
        assert!(of(&["--runs", "many"]).value::<usize>("--runs").is_err());
        assert!(of(&["--levels", "best"]).rest().is_err());
    }
}
