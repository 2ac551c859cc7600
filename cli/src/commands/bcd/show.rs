//! `wimforge bcd show`

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use bcd::{Element, Format, Object, Store, names, value_lines};
use disk::Guid;
use picture::printable;
use serde_json::{Value, json};

use super::{SCHEMA, find, no_object, object_id, wrap};
use crate::args::Common;
use crate::args::bcd::BcdShow;

pub(super) fn run(args: &BcdShow, common: &Common) -> anyhow::Result<ExitCode> {
    let stores = find::stores(&args.store)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut values = Vec::new();
    for found in &stores {
        let path = Path::new(&found.name);
        let store = Store::parse(&found.bytes).map_err(|error| wrap(path, error))?;
        let mut objects: Vec<&Object> = Vec::new();
        for name in &args.objects {
            let id = object_id(&store, name)?;
            objects.push(store.object(id).ok_or_else(|| no_object(path, &store, name))?);
        }
        if args.objects.is_empty() {
            objects.extend(store.objects());
            let manager = store.object(names::BOOTMGR);
            let menu = manager.map_or(&[][..], |manager| manager.references(bcd::ElementType::DISPLAY_ORDER));
            let places: BTreeMap<Guid, usize> =
                menu.iter().enumerate().map(|(at, id)| (*id, at)).rev().collect();
            objects
                .sort_by_key(|object| (rank(object), places.get(&object.id).copied().unwrap_or(usize::MAX)));
        }
        if common.json {
            let default = store.default_entry().map(|id| id.to_string());
            let objects: Vec<Value> = objects.iter().map(|object| as_json(object)).collect();
            values.push(json!({ "store": found.name, "default": default, "objects": objects }));
            continue;
        }
        if stores.len() > 1 {
            writeln!(out, "{}\n", printable(&found.name))?;
        }
        for (at, object) in objects.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            as_text(&store, object, args.ids, &mut out)?;
        }
        if stores.len() > 1 {
            writeln!(out)?;
        }
    }
    if common.json {
        let path = args.store.to_string_lossy();
        let value = json!({ "schema": SCHEMA, "path": path, "stores": values });
        writeln!(out, "{value:#}")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The order in which bcdedit lists objects: managers, applications, what is inherited, devices.
fn rank(object: &Object) -> u32 {
    match (object.id, object.kind.0 >> 28) {
        (names::FWBOOTMGR, _) => 0,
        (names::BOOTMGR, _) => 1,
        (_, kind @ 1..=3) => 1 + kind,
        _ => 5,
    }
}

/// Where values begin, as with bcdedit.
const COLUMN: usize = 24;

fn as_text(store: &Store, object: &Object, ids: bool, out: &mut dyn Write) -> io::Result<()> {
    let title = object.kind.title();
    writeln!(out, "{title}\n{}", "-".repeat(title.len()))?;
    let name = if ids { format!("{{{}}}", object.id) } else { names::object_name(object.id) };
    let default = if store.default_entry() == Some(object.id) { "  (default)" } else { "" };
    writeln!(out, "{:COLUMN$}{name}{default}", "identifier")?;
    for (kind, element) in &object.elements {
        let name = if ids { kind.to_string() } else { names::element_name(object.kind, *kind) };
        let lines = match element {
            Element::Object(id) if ids => vec![format!("{{{id}}}")],
            Element::ObjectList(list) if ids => list.iter().map(|id| format!("{{{id}}}")).collect(),
            other => value_lines(object.kind, *kind, other),
        };
        if lines.is_empty() {
            writeln!(out, "{name}")?;
        }
        for (at, line) in lines.iter().enumerate() {
            let name = if at == 0 { name.as_str() } else { "" };
            // Two names of the hypervisor's are longer than the column.
            let gap = if name.len() < COLUMN { "" } else { " " };
            writeln!(out, "{name:COLUMN$}{gap}{}", printable(line))?;
        }
    }
    Ok(())
}

fn as_json(object: &Object) -> Value {
    let elements: Vec<Value> = object
        .elements
        .iter()
        .map(|(kind, element)| {
            let info = names::element(object.kind, *kind);
            let value = match element {
                Element::Device(device) => json!(device.to_string()),
                Element::String(text) => json!(text),
                Element::Object(id) => json!(id.to_string()),
                Element::ObjectList(ids) => json!(ids.iter().map(ToString::to_string).collect::<Vec<_>>()),
                Element::Integer(number) => json!(number),
                Element::Boolean(on) => json!(on),
                Element::IntegerList(numbers) => json!(numbers),
                Element::Binary(bytes) => json!(disk::hex(bytes)),
                Element::Raw { kind, data } => json!({ "registry_type": kind, "data": disk::hex(data) }),
            };
            let format = element.format().map_or("raw", |format| match format {
                Format::Device => "device",
                Format::String => "string",
                Format::Object => "object",
                Format::ObjectList => "object-list",
                Format::Integer => "integer",
                Format::Boolean => "boolean",
                Format::IntegerList => "integer-list",
                Format::Binary | Format::Unknown(_) => "binary",
            });
            let words = value_lines(object.kind, *kind, element);
            let name = info.map(|info| info.name);
            json!({ "type": kind.to_string(), "name": name, "format": format, "value": value, "text": words.join(" ") })
        })
        .collect();
    let name = names::OBJECTS.iter().find(|(_, id)| *id == object.id).map(|(name, _)| *name);
    json!({
        "id": object.id.to_string(),
        "name": name,
        "type": object.kind.to_string(),
        "title": object.kind.title(),
        "elements": elements,
    })
}
