//! Sizes as people type them.

use image::Size;

/// Parses a size, for options that are no keys of a recipe.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    text.parse().map(|Size(bytes)| bytes)
}
