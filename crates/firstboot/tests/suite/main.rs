//! Whole plans, held against what other programs and real files say.

// As the rest of the workspace calls it.
extern crate wimforge_firstboot as firstboot;

mod merging;
mod plans;
mod real_hives;
mod recipes;
mod shell;
mod support;
