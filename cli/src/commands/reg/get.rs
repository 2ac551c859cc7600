//! `wimforge reg get`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use hive::{Key, Kind, Value};
use image::Error;
use picture::printable;
use serde_json::json;

use super::source::Source;
use super::{open, resolve, value_name};
use crate::args::{Common, RegGet};

/// Bytes of a value that a list of values shows.
const SHOWN: usize = 32;

pub(crate) fn run(args: &RegGet, common: &Common) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.source, &args.key, common)?;
    let path = resolve(&source.mount, &source.name, &args.key)?;
    let key = open(&source.hive, &source.mount, &source.name, &path)?;
    let full = source.mount.full(&path).to_string();
    let mut out = BufWriter::new(io::stdout().lock());
    let base = json!({
        "schema": "wimforge.reg.get/1",
        "path": args.source.file.to_string_lossy(),
        "hive": source.inside,
        "key": full,
    });
    let with = |more: serde_json::Value| {
        let mut base = base.clone();
        if let (Some(base), serde_json::Value::Object(more)) = (base.as_object_mut(), more) {
            base.extend(more);
        }
        base
    };
    match &args.value {
        Some(name) => {
            let value = key.value(name).ok_or_else(|| {
                let there: Vec<String> = key.values().map(|value| value.name().to_string()).collect();
                let meant = image::did_you_mean(name, there.iter().map(String::as_str));
                let what = format!("{full} has no value {}; {}{meant}", value_name(name), names(key));
                Error::NotFound { path: source.name.clone().into(), what }
            })?;
            if args.raw {
                out.write_all(value.data())?;
            } else if common.json {
                writeln!(out, "{:#}", with(json!({ "value": as_json(value) })))?;
            } else {
                writeln!(out, "{}", alone(value))?;
            }
        }
        None if common.json => {
            let class = key.class().map(String::from_utf16_lossy);
            let value = with(json!({
                "written": key.written().to_string(),
                "class": class,
                "symlink": key.is_symlink(),
                "values": key.values().map(as_json).collect::<Vec<_>>(),
                "subkeys": key.subkeys().map(|key| key.name().to_string()).collect::<Vec<_>>(),
            }));
            writeln!(out, "{value:#}")?;
        }
        None => list(key, &full, &mut out)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn names(key: &Key) -> String {
    let names: Vec<String> =
        key.values().take(12).map(|value| value_name(&value.name().to_string())).collect();
    match key.values().len() {
        0 => "it has no values".to_owned(),
        count if count > names.len() => {
            format!("it has {} and {} more", names.join(", "), count - names.len())
        }
        _ => format!("it has {}", names.join(", ")),
    }
}

fn list(key: &Key, full: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", printable(full))?;
    let shown = |value: &Value| printable(&value_name(&value.name().to_string())).into_owned();
    let width = key.values().map(|value| shown(value).chars().count()).max().unwrap_or(0).min(40);
    for value in key.values() {
        writeln!(out, "  {:width$}  {:14}  {}", shown(value), value.kind(), short(value))?;
    }
    for subkey in key.subkeys() {
        writeln!(out, "  {}\\", printable(&subkey.name().to_string()))?;
    }
    Ok(())
}

/// A value on its line of a list.
fn short(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return printable(&text).into_owned();
    }
    if let Some(texts) = value.as_multi() {
        return texts.iter().map(|text| printable(text).into_owned()).collect::<Vec<_>>().join("\\0");
    }
    if let Some(number) = value.as_u64() {
        return format!("{number:#x} ({number})");
    }
    let data = value.data();
    match data.len() {
        0..=SHOWN => disk::hex(data),
        len => format!("{}... ({len} bytes)", disk::hex(&data[..SHOWN])),
    }
}

/// A value for a script: text as it is, a number in decimal, a list line by line, bytes in hexadecimal.
fn alone(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return printable(&text).into_owned();
    }
    if let Some(texts) = value.as_multi() {
        return texts.iter().map(|text| printable(text).into_owned()).collect::<Vec<_>>().join("\n");
    }
    value.as_u64().map_or_else(|| disk::hex(value.data()), |number| number.to_string())
}

fn as_json(value: &Value) -> serde_json::Value {
    let meaning = match value.kind() {
        Kind::MULTI_SZ => value.as_multi().map(|texts| json!(texts)),
        _ => value.as_str().map(|text| json!(text)).or_else(|| value.as_u64().map(|number| json!(number))),
    };
    json!({
        "name": value.name().to_string(),
        "type": value.kind().to_string(),
        "type_number": value.kind().0,
        "size": value.data().len(),
        "data": disk::hex(value.data()),
        "value": meaning,
    })
}
