//! Values that are one word of a few: parsed by their own type, which also says what was meant by another word, and known
//! to the shells that complete them.

use std::marker::PhantomData;
use std::str::FromStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::Error;
use clap::{Arg, Command};
use image::Spelled;
use image::recipe::presets;

/// Parses one of `all`, whose names are `name`'s.
pub(super) fn word<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Word<T> {
    Word { words: all.iter().map(|&each| name(each)).collect(), of: PhantomData }
}

/// The same, and remembers how it was written.
pub(super) fn spelled<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Word<Spelled<T>> {
    Word { words: word(all, name).words, of: PhantomData }
}

/// Parses what a type of another crate takes.
pub(super) fn of<T>(words: &[&'static str]) -> Word<T> {
    Word { words: words.to_vec(), of: PhantomData }
}

/// Takes any text and offers the names of presets: a file will do, too, and what a name means is looked up later.
pub(super) fn presets() -> impl TypedValueParser<Value = String> {
    Presets
}

/// A word of a few.
#[derive(Debug)]
pub(super) struct Word<T> {
    words: Vec<&'static str>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Word<T> {
    fn clone(&self) -> Self {
        Self { words: self.words.clone(), of: PhantomData }
    }
}

impl<T> TypedValueParser for Word<T>
where
    T: FromStr<Err: std::fmt::Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &std::ffi::OsStr) -> Result<T, Error> {
        let parse = |text: String| text.parse().map_err(|error: T::Err| error.to_string());
        StringValueParser::new().try_map(parse).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().copied().map(PossibleValue::new)))
    }
}

#[derive(Clone)]
struct Presets;

impl TypedValueParser for Presets {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(presets::all().map(|(name, _)| PossibleValue::new(name))))
    }
}
