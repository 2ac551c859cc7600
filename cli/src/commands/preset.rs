//! `wimforge preset`

use std::io::{self, Write};
use std::process::ExitCode;

use image::recipe::presets;

use crate::args::{Common, Preset};

pub(crate) fn run(args: &Preset, common: &Common) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let chosen: Vec<(&str, &str)> = match &args.name {
        None => presets::all().collect(),
        Some(wanted) => {
            let found = presets::all().find(|(name, _)| name == wanted);
            vec![found.ok_or_else(|| no_preset(wanted))?]
        }
    };
    if common.json {
        let all: Vec<_> =
            chosen.iter().map(|(name, text)| serde_json::json!({ "name": name, "text": text })).collect();
        let value = serde_json::json!({ "schema": "wimforge.preset/1", "presets": all });
        writeln!(out, "{value:#}")?;
    } else if args.name.is_some() {
        chosen.iter().try_for_each(|(_, text)| out.write_all(text.as_bytes()))?;
    } else {
        for (name, text) in chosen {
            let first = text.lines().next().unwrap_or_default();
            let says = first.split_once(": ").map_or(first, |(_, says)| says);
            writeln!(out, "{name:<12}  {says}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn no_preset(wanted: &str) -> image::Error {
    let known: Vec<&str> = presets::all().map(|(name, _)| name).collect();
    let meant = image::did_you_mean(wanted, known.iter().copied());
    image::Error::Recipe(format!("there is no preset {wanted:?}; known are {}{meant}", known.join(", ")))
}
