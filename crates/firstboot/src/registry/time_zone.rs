//! The time zone, from the database in SOFTWARE.
//!
//! `Microsoft\Windows NT\CurrentVersion\Time Zones\<name>` has in `TZI` three biases in minutes (of the zone, of standard
//! time, of daylight saving time) and two dates, and in `MUI_Std` and `MUI_Dlt` its names. `TimeZoneInformation` in SYSTEM
//! holds the same for the zone that is in force, with the fields of dates in another order: a `SYSTEMTIME` has the day of
//! the week third, `TIME_FIELDS` has it last. Seen in a hive: `00,00,03,00,02,00,02,00,…` is the second Sunday of March, two
//! o'clock.

use hive::{Key, Kind, data};

use super::{Hives, Registry, control_set};
use crate::{Error, Result, checks};

const ZONES: &str = "Microsoft\\Windows NT\\CurrentVersion\\Time Zones";

/// Whether the image knows the zone; without SOFTWARE, whether it could be the name of one. Returns its name as the image
/// writes it.
pub(crate) fn check(name: &str, software: Option<&Key>) -> Result<String> {
    let wrong = |reason: String| Err(Error::wish("time-zone", reason));
    if name.is_empty() || name.len() > 255 || name.contains('\\') || name.chars().any(char::is_control) {
        return wrong(format!("{name:?} is no name of a time zone such as W. Europe Standard Time"));
    }
    let zones = software.and_then(|software| software.open(ZONES));
    let Some(zones) = zones.filter(|zones| zones.subkeys().len() > 0) else { return Ok(name.to_owned()) };
    if let Some(zone) = zones.subkey(name) {
        return Ok(zone.name().to_string());
    }
    let known: Vec<String> = zones.subkeys().map(|zone| zone.name().to_string()).collect();
    let nearest = checks::nearest(name, known.iter().map(String::as_str));
    let nearest = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"));
    wrong(format!("the image knows no time zone {name:?}{nearest}"))
}

pub(super) fn time_zone(name: &str, hives: &Hives<'_>, registry: &mut Registry) {
    let zone = hives.software.and_then(|software| software.open(ZONES)?.subkey(name));
    let Some((zone, tzi)) =
        zone.and_then(|zone| Some((zone, <&[u8; 44]>::try_from(zone.value("TZI")?.data()).ok()?)))
    else {
        // The answer file has it as well.
        registry
            .notes
            .push(format!("the time zone {name} was not looked up: the image's list of them is not at hand"));
        return;
    };
    let bias = |at: usize| i32::from_le_bytes([tzi[at], tzi[at + 1], tzi[at + 2], tzi[at + 3]]);
    let text = |value: &str, other: &str| {
        let found = zone.value(value).and_then(hive::Value::as_str);
        let found = found.or_else(|| zone.value(other).and_then(hive::Value::as_str));
        data::sz(&found.unwrap_or_else(|| name.to_owned()))
    };
    let number = |bias: i32| bias.to_le_bytes().to_vec();
    let (standard, daylight) = (time_fields(&tzi[12..28]), time_fields(&tzi[28..44]));
    let key = control_set("Control\\TimeZoneInformation");
    let values = [
        ("Bias", Kind::DWORD, number(bias(0))),
        ("StandardBias", Kind::DWORD, number(bias(4))),
        ("StandardName", Kind::SZ, text("MUI_Std", "Std")),
        ("StandardStart", Kind::BINARY, standard),
        ("DaylightBias", Kind::DWORD, number(bias(8))),
        ("DaylightName", Kind::SZ, text("MUI_Dlt", "Dlt")),
        ("DaylightStart", Kind::BINARY, daylight),
        ("TimeZoneKeyName", Kind::SZ, data::sz(name)),
        ("DynamicDaylightTimeDisabled", Kind::DWORD, data::dword(0)),
        // Windows works it out again when it starts; whether it is summer then is not known now.
        ("ActiveTimeBias", Kind::DWORD, number(bias(0).wrapping_add(bias(4)))),
    ];
    registry.set(&key, &values);
}

/// A `SYSTEMTIME` as `TIME_FIELDS`: the day of the week goes from the third place to the last.
fn time_fields(system_time: &[u8]) -> Vec<u8> {
    [&system_time[..4], &system_time[6..], &system_time[4..6]].concat()
}
