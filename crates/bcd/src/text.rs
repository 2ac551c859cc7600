//! Values of elements as text, in both directions.

use std::net::Ipv4Addr;

use crate::names::{self, ElementInfo, Notation};
use crate::{DeviceElement, Element, ElementType, Error, Format, ObjectType, Result};

/// A value in words, one piece a line where bcdedit uses several: `Yes`, `OptIn`, `{bootmgr}`, `partition=…`.
pub fn value_lines(kind: ObjectType, element: ElementType, value: &Element) -> Vec<String> {
    let info = names::element(kind, element);
    let notation = info.map_or(Notation::Decimal, |info| info.notation);
    let number = |number: u64| match (notation, u32::try_from(number)) {
        (Notation::Ipv4, Ok(number)) => Ipv4Addr::from(number).to_string(),
        (Notation::Hexadecimal | Notation::Ipv4, _) => format!("{number:#x}"),
        (Notation::Decimal, _) => number.to_string(),
    };
    match value {
        Element::Device(device) => vec![device.to_string()],
        Element::String(text) => vec![text.clone()],
        Element::Object(id) => vec![names::object_name(*id)],
        Element::ObjectList(ids) => ids.iter().map(|id| names::object_name(*id)).collect(),
        Element::Integer(found) => {
            let names = info.map_or(&[][..], |info| info.values);
            let name = usize::try_from(*found).ok().and_then(|at| names.get(at));
            vec![name.map_or_else(|| number(*found), |name| (*name).to_owned())]
        }
        Element::Boolean(on) => vec![if *on { "Yes" } else { "No" }.to_owned()],
        Element::IntegerList(numbers) => numbers.iter().map(|found| number(*found)).collect(),
        Element::Binary(bytes) => vec![disk::hex(bytes)],
        Element::Raw { kind, data } => vec![format!("raw:{kind:x}:{}", disk::hex(data))],
    }
}

/// The value that words stand for, as [`value_lines`] prints them; several pieces of a list are several words.
///
/// Booleans are `on`, `yes`, `true` or `1` and their opposites; numbers decimal, hexadecimal after `0x`, or a name of
/// the element; objects a name or a GUID; `locate` alone is the locate of the element's own file.
///
/// # Errors
/// [`Error::Text`] with what would do.
pub fn parse_value<S: AsRef<str>>(kind: ObjectType, element: ElementType, words: &[S]) -> Result<Element> {
    let all = words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    let one = || if words.len() == 1 { Ok(all.as_str()) } else { Err(Error::text(&all, "one value")) };
    Ok(match element.format() {
        Format::Device => Element::Device(device(element, one()?)?),
        Format::String => {
            if all.is_empty() || all.contains('\0') {
                return Err(Error::text(&all, "text of at least one character, without NUL"));
            }
            Element::String(all)
        }
        Format::Object => Element::Object(object(one()?)?),
        Format::ObjectList => {
            let names =
                words.iter().flat_map(|word| word.as_ref().split([' ', ','])).filter(|name| !name.is_empty());
            Element::ObjectList(names.map(object).collect::<Result<_>>()?)
        }
        Format::Integer => Element::Integer(integer(names::element(kind, element), one()?)?),
        Format::Boolean => Element::Boolean(match one()?.to_ascii_lowercase().as_str() {
            "on" | "yes" | "true" | "1" => true,
            "off" | "no" | "false" | "0" => false,
            _ => return Err(Error::text(&all, "on or off")),
        }),
        Format::IntegerList => {
            let words =
                words.iter().flat_map(|word| word.as_ref().split([' ', ','])).filter(|word| !word.is_empty());
            let number = |word: &str| names::parse_number(word).ok_or_else(|| Error::text(word, "a number"));
            let numbers = words.map(number).collect::<Result<Vec<_>>>()?;
            if numbers.is_empty() {
                return Err(Error::text(&all, "at least one number"));
            }
            Element::IntegerList(numbers)
        }
        Format::Binary => {
            let bytes =
                disk::parse_hex(&all).ok_or_else(|| Error::text(&all, "pairs of hexadecimal digits"))?;
            Element::Binary(bytes)
        }
        Format::Unknown(format) => {
            return Err(Error::Impossible(format!("{element} has format {format:#x}, which is not known")));
        }
    })
}

fn device(element: ElementType, text: &str) -> Result<DeviceElement> {
    if !text.eq_ignore_ascii_case("locate") {
        return text.parse();
    }
    // The element that names the file on the device, beside it in the same object.
    let path = match element {
        ElementType::DEVICE => ElementType::PATH,
        ElementType::OS_DEVICE => ElementType::SYSTEM_ROOT,
        ElementType::SDI_DEVICE => ElementType::SDI_PATH,
        _ => {
            return Err(Error::text(
                text,
                "locate=custom:ELEMENT or locate=\\path: this element has no path of its own",
            ));
        }
    };
    format!("locate=custom:{path}").parse()
}

fn object(name: &str) -> Result<disk::Guid> {
    names::parse_object_name(name).ok_or_else(|| Error::text(name, "a GUID or a name such as {bootmgr}"))
}

fn integer(info: Option<&ElementInfo>, text: &str) -> Result<u64> {
    let names = info.map_or(&[][..], |info| info.values);
    // `1394` is a value's name before it is a number.
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let address =
        info.filter(|info| info.notation == Notation::Ipv4).and_then(|_| text.parse::<Ipv4Addr>().ok());
    let named = named.map(|at| at as u64).or(address.map(|address| u32::from(address).into()));
    named.or_else(|| names::parse_number(text)).ok_or_else(|| {
        let expected = match names {
            [] if info.is_some_and(|info| info.notation == Notation::Ipv4) => "an IPv4 address".to_owned(),
            [] => "a number".to_owned(),
            names => format!("a number or one of {}", names.join(", ")),
        };
        Error::text(text, expected)
    })
}
