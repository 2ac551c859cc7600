//! Putting settings into an answer file that has some already.
//!
//! The file keeps everything it has. What it says already is left alone; what it does not say is added where it belongs;
//! where it says something else there is an error that names the place and both sides, because only the user knows which
//! of the two is meant. A setting is looked for in both passes: Windows carries out the later one, whatever was added to the
//! other.

use super::hidden::{hide, reveal};
use super::{PUBLIC_KEY_TOKEN, Pass, Setting, UNATTEND, Value, WCM, is_name};
use crate::wishes::Account;
use crate::xml::{Document, Element, Node};
use crate::{About, Error, Result};

/// Text of the user's file in an error, at most.
const SHOWN: usize = 60;

/// Puts `setting` into `document`, which errors call `name`. Returns whether it was not there already.
pub(super) fn merge(
    document: &mut Document,
    setting: &Setting<'_>,
    name: &str,
    about: &About,
) -> Result<bool> {
    let prefix = document.root.prefix().to_owned();
    let mut found = false;
    for pass in Pass::ALL {
        for component in components(&document.root, &prefix, pass, setting.component, about) {
            for element in all(component, &prefix, setting.path) {
                found |= compare(element, setting, &place(setting, pass), name)?;
            }
        }
    }
    if !found {
        add(&mut document.root, &prefix, setting, about);
    }
    Ok(!found)
}

/// The place of a setting, for errors.
fn place(setting: &Setting<'_>, pass: Pass) -> String {
    format!("{} {}/{}", pass.name(), setting.component, setting.path.join("/"))
}

/// Whether an element belongs to answer files: has the root's prefix, and does not make another namespace of it.
fn belongs(element: &Element, prefix: &str) -> bool {
    let declared = element.attributes.iter().find(|(name, _)| match name.strip_prefix("xmlns") {
        Some("") => prefix.is_empty(),
        Some(rest) => rest.strip_prefix(':') == Some(prefix),
        None => false,
    });
    element.prefix() == prefix && declared.is_none_or(|(_, namespace)| namespace == UNATTEND)
}

fn is_settings(element: &Element, prefix: &str, pass: Pass) -> bool {
    belongs(element, prefix)
        && element.local_name() == "settings"
        && is_name(element.attribute("pass"), pass.name())
}

fn is_component(element: &Element, prefix: &str, name: &str, about: &About) -> bool {
    belongs(element, prefix)
        && element.local_name() == "component"
        && is_name(element.attribute("name"), name)
        && is_name(element.attribute("processorArchitecture"), about.architecture.name())
}

fn components<'e>(
    root: &'e Element,
    prefix: &str,
    pass: Pass,
    name: &str,
    about: &About,
) -> impl Iterator<Item = &'e Element> {
    let settings = root.elements().filter(move |element| is_settings(element, prefix, pass));
    settings.flat_map(Element::elements).filter(move |element| is_component(element, prefix, name, about))
}

/// Every element at a path.
fn all<'e>(element: &'e Element, prefix: &str, path: &[&str]) -> Vec<&'e Element> {
    path.iter().fold(vec![element], |elements, step| {
        let children = elements.into_iter().flat_map(Element::elements);
        children.filter(|child| belongs(child, prefix) && child.local_name() == *step).collect()
    })
}

/// Whether an element of the file says what a setting wants; false for an element of a list that is another one.
fn compare(element: &Element, setting: &Setting<'_>, place: &str, file: &str) -> Result<bool> {
    let conflict = |place: String, theirs: String, ours: String| {
        Err(Error::Conflict {
            file: file.to_owned(),
            setting: place,
            theirs,
            option: setting.option.clone(),
            ours,
        })
    };
    let text = element.text().trim().to_owned();
    let hidden = || "another value".to_owned();
    match &setting.value {
        Value::Text(ours) if text == *ours => Ok(true),
        Value::Name(ours) if text.eq_ignore_ascii_case(ours) => Ok(true),
        Value::Text(ours) | Value::Name(ours) => {
            conflict(place.to_owned(), shown(&text), format!("{ours:?}"))
        }
        Value::Hidden(ours) => {
            let theirs: String = text.split_whitespace().collect();
            if theirs == *ours { Ok(true) } else { conflict(place.to_owned(), hidden(), hidden()) }
        }
        Value::Password(ours) => {
            if says(element, ours.expose()) {
                Ok(true)
            } else {
                conflict(place.to_owned(), hidden(), hidden())
            }
        }
        Value::Account(ours) => {
            let name = element.child_text("Name").unwrap_or_default();
            if !same_name(&name, &ours.name) {
                return Ok(false);
            }
            let place = format!("{place} {}", shown(&name));
            let password = element.child("Password");
            let same = match (&ours.password, password) {
                (Some(ours), Some(theirs)) => says(theirs, ours.expose()),
                (Some(_), None) => false,
                (None, _) => true,
            };
            if !same {
                return conflict(format!("{place}/Password"), hidden(), hidden());
            }
            let groups = element.child_text("Group").unwrap_or_default();
            if groups_of(&groups) != groups_of(&ours.groups.join(";")) {
                return conflict(
                    format!("{place}/Group"),
                    shown(&groups),
                    format!("{:?}", ours.groups.join(";")),
                );
            }
            for (child, ours) in [("DisplayName", &ours.full_name), ("Description", &ours.description)] {
                let theirs = element.child_text(child);
                if let Some(ours) = ours
                    && theirs.as_ref() != Some(ours)
                {
                    let theirs = theirs.map_or_else(|| "nothing".to_owned(), |text| shown(&text));
                    return conflict(format!("{place}/{child}"), theirs, format!("{ours:?}"));
                }
            }
            Ok(true)
        }
    }
}

/// Whether a group of `Value` and `PlainText` means this password. Without `PlainText` either form will do.
fn says(element: &Element, password: &str) -> bool {
    let value = element.child("Value").map(Element::text).unwrap_or_default();
    let plain = value.trim() == password || value == password;
    let hidden = reveal(&value, element.local_name()).as_deref() == Some(password);
    match element.child_text("PlainText").map(|text| text.eq_ignore_ascii_case("true") || text == "1") {
        Some(true) => plain,
        Some(false) => hidden,
        None => plain || hidden,
    }
}

fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn groups_of(list: &str) -> Vec<String> {
    let mut groups: Vec<String> =
        list.split(';').map(|group| group.trim().to_lowercase()).filter(|group| !group.is_empty()).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Text of the user's file, quoted and short.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

/// Adds a setting that is not there.
fn add(root: &mut Element, prefix: &str, setting: &Setting<'_>, about: &About) {
    let named = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}:{name}") };
    let mut wcm = wcm_prefix(root);
    let found = root.elements().position(|element| is_settings(element, prefix, setting.pass));
    let (settings, indent) = child_at(root, found, "\n", || {
        let mut settings = Element::new(named("settings"));
        settings.attributes.push(("pass".to_owned(), setting.pass.name().to_owned()));
        settings
    });
    wcm = wcm_prefix(settings).or(wcm);
    let found =
        settings.elements().position(|element| is_component(element, prefix, setting.component, about));
    let new = || component(named("component"), setting.component, about);
    let (mut parent, mut indent) = child_at(settings, found, &indent, new);
    wcm = wcm_prefix(parent).or(wcm);
    let Some((last, groups)) = setting.path.split_last() else { return };
    for step in groups {
        let found = parent.elements().position(|child| belongs(child, prefix) && child.local_name() == *step);
        (parent, indent) = child_at(parent, found, &indent, || Element::new(named(step)));
        wcm = wcm_prefix(parent).or(wcm);
    }
    let (element, indent) = parent.push_element(Element::new(named(last)), &indent);
    let fill = |element: &mut Element, value: String| element.children.push(Node::Text(value));
    let password = |element: &mut Element, password: &str, indent: &str| {
        let hidden = hide(password, element.local_name());
        fill(element.push_element(Element::new(named("Value")), indent).0, hidden);
        fill(element.push_element(Element::new(named("PlainText")), indent).0, "false".to_owned());
    };
    match &setting.value {
        Value::Text(text) | Value::Name(text) | Value::Hidden(text) => fill(element, text.clone()),
        Value::Password(secret) => password(element, secret.expose(), &indent),
        Value::Account(account) => {
            let action = match wcm {
                Some(wcm) => format!("{wcm}:action"),
                None => {
                    element.attributes.push(("xmlns:wcm".to_owned(), WCM.to_owned()));
                    "wcm:action".to_owned()
                }
            };
            element.attributes.push((action, "add".to_owned()));
            for (name, value) in fields(account) {
                fill(element.push_element(Element::new(named(name)), &indent).0, value);
            }
            if let Some(secret) = &account.password {
                let (element, indent) = element.push_element(Element::new(named("Password")), &indent);
                password(element, secret.expose(), &indent);
            }
        }
    }
}

fn fields(account: &Account) -> Vec<(&'static str, String)> {
    let mut fields = vec![("Name", account.name.clone())];
    fields.extend(account.full_name.clone().map(|name| ("DisplayName", name)));
    fields.extend(account.description.clone().map(|text| ("Description", text)));
    if !account.groups.is_empty() {
        fields.push(("Group", account.groups.join(";")));
    }
    fields
}

/// The child element with this number among the elements, or a new one behind them, and the white space in front of it.
fn child_at<'e>(
    parent: &'e mut Element,
    number: Option<usize>,
    indent: &str,
    new: impl FnOnce() -> Element,
) -> (&'e mut Element, String) {
    match number {
        Some(number) => {
            parent.element_mut(number, indent).expect("the number was counted among the elements")
        }
        None => parent.push_element(new(), indent),
    }
}

fn component(element: String, name: &str, about: &About) -> Element {
    let mut component = Element::new(element);
    component.attributes = [
        ("name", name),
        ("processorArchitecture", about.architecture.name()),
        ("publicKeyToken", PUBLIC_KEY_TOKEN),
        ("language", "neutral"),
        ("versionScope", "nonSxS"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    component
}

/// The prefix that an element declares for the namespace of `action`.
fn wcm_prefix(element: &Element) -> Option<String> {
    let mut declarations = element.attributes.iter().filter(|(_, namespace)| namespace == WCM);
    declarations.find_map(|(name, _)| name.strip_prefix("xmlns:").map(str::to_owned))
}
