//! `[Manufacturer]` and the models sections behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Label;
use super::context::{Context, Directive};
use crate::Result;

pub(super) struct Model {
    pub(super) description: Label,
    pub(super) manufacturer: Label,
    pub(super) section: String,
    pub(super) hardware_id: String,
    pub(super) compatible_ids: Vec<String>,
    pub(super) place: crate::Place,
}

/// The models for this Windows, and the decorations of all manufacturers, for a message.
pub(super) fn read(context: &mut Context<'_>) -> Result<(Vec<Model>, Vec<String>)> {
    let inf = Arc::clone(&context.main);
    let (mut models, mut found) = (Vec::new(), BTreeSet::new());
    for manufacturer in context.lines(&inf, "Manufacturer")?.unwrap_or_default() {
        let (name, section, decorations) = manufacturer_line(context, &manufacturer)?;
        // Without any decoration there is one section for all, as there was before Windows XP.
        let listed: Vec<Option<&str>> = if decorations.is_empty() {
            vec![None]
        } else {
            decorations.iter().map(|text| Some(text.as_str())).chain([None]).collect()
        };
        for decoration in &listed {
            let text = decoration.unwrap_or("x86 (undecorated)");
            found.insert(text.to_owned());
        }
        let Some(best) = context.target.best(listed.iter().copied()) else { continue };
        let models_section = match listed[best] {
            Some(decoration) => format!("{section}.{decoration}"),
            None => section,
        };
        let Some(lines) = context.lines(&inf, &models_section)? else {
            if listed[best].is_some() {
                context.warn(manufacturer.place(), format!("there is no models section {models_section}"));
            }
            continue;
        };
        for line in lines {
            if let Some(model) = model(context, &line, &name)? {
                models.push(model);
            }
        }
    }
    Ok((models, found.into_iter().collect()))
}

fn manufacturer_line(context: &mut Context<'_>, line: &Directive) -> Result<(Label, String, Vec<String>)> {
    let Some(key) = &line.line.key else {
        // Only a name: the section has the same.
        let name = context.label(line, line.line.field(0))?;
        let section = name.text.clone();
        return Ok((name, section, Vec::new()));
    };
    let name = context.label(line, key)?;
    let section = context.text(line, 0)?;
    let decorations = context.texts(line, 1)?;
    Ok((name, section, decorations))
}

fn model(context: &mut Context<'_>, line: &Directive, manufacturer: &Label) -> Result<Option<Model>> {
    let Some(key) = &line.line.key else {
        context.warn(line.place(), "a model without a description is passed over");
        return Ok(None);
    };
    let description = context.label(line, key)?;
    let section = context.text(line, 0)?;
    if section.is_empty() {
        context.warn(line.place(), "a model without an install section is passed over");
        return Ok(None);
    }
    let hardware_id = context.text(line, 1)?;
    let compatible_ids = context.texts(line, 2)?;
    let manufacturer = manufacturer.clone();
    Ok(Some(Model { description, manufacturer, section, hardware_id, compatible_ids, place: line.place() }))
}
