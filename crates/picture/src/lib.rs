#![doc = include_str!("../README.md")]

mod canvas;
mod changes;
mod charts;
mod disk;
mod files;
mod flow;
mod html;
mod measure;
mod model;
mod style;
mod svg;
mod text;
mod treemap;
mod words;

pub use changes::{Change, ChangedFolder, ChangedHive, ChangedKey, ChangedValue, Changes, Done, Tally};
pub use html::html;
pub use model::{
    Cell, Cells, Chain, Class, Container, Explained, Export, Extension, Item, ItemKind, LargeFile, Link,
    LinkState, Packing, Part, Place, PlaceKind, Sample, Volume,
};
pub use svg::svg;
pub use text::{TextStyle, text};
pub use words::{human, printable};
