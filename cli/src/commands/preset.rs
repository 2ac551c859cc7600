//! `wimforge preset`

use std::io::{self, Write};
use std::process::ExitCode;

use image::recipe::presets;

use crate::args::{Common, Preset};

pub(crate) fn run(args: &Preset, common: &Common) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let Some(wanted) = &args.name else {
        if common.json {
            let all: Vec<_> = presets::all()
                .map(|(name, text)| serde_json::json!({ "name": name, "text": text }))
                .collect();
            let value = serde_json::json!({ "schema": "wimforge.preset/1", "presets": all });
            writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        for (name, text) in presets::all() {
            let first = text.lines().next().unwrap_or_default();
            let says = first.split_once(": ").map_or(first, |(_, says)| says);
            writeln!(out, "{name:<12}  {says}")?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    match presets::all().find(|(name, _)| name == wanted) {
        Some((_, text)) => out.write_all(text.as_bytes())?,
        None => {
            let known: Vec<&str> = presets::all().map(|(name, _)| name).collect();
            let problem = format!("there is no preset {wanted:?}; known are {}", known.join(", "));
            return Err(image::Error::Recipe(problem).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}
