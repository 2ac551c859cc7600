//! Names, labels and times of UDF.

use disk::{Calendar, FileTime};

use super::layout::RawTime;

/// OSTA compressed Unicode (UDF 2.60, 2.1.1): a byte that says how many bits a unit has, and the units. `None` for what
/// is not that.
pub(super) fn name(bytes: &[u8]) -> Option<Box<[u16]>> {
    match bytes {
        [8, units @ ..] => Some(units.iter().map(|&unit| u16::from(unit)).collect()),
        [16, units @ ..] if units.len().is_multiple_of(2) => {
            Some(units.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect())
        }
        _ => None,
    }
}

/// A `dstring` (1/7.2.12): as much of the field as its last byte says is compressed Unicode. What is none of it gives
/// an empty text: nothing depends on a label.
pub(super) fn label(field: &[u8]) -> String {
    let Some((&len, text)) = field.split_last() else { return String::new() };
    let text = text.get(..usize::from(len)).unwrap_or_default();
    let units = name(text).unwrap_or_default();
    let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

/// A time in UTC; `None` for what no calendar has. Times without a zone are taken for UTC.
pub(super) fn time(raw: RawTime) -> Option<FileTime> {
    let possible = raw.year >= 1601
        && (1..=12).contains(&raw.month)
        && (1..=31).contains(&raw.day)
        && raw.hour < 24
        && raw.minute < 60
        && raw.second < 60;
    if !possible {
        return None;
    }
    let day = FileTime::from_calendar(Calendar {
        year: raw.year.into(),
        month: raw.month,
        day: raw.day,
        hour: raw.hour,
        minute: raw.minute,
        second: raw.second,
    });
    // 12 bits with a sign; -2047 says that there is no zone.
    let zone = i64::from(((raw.zone << 4) as i16) >> 4);
    let minutes = if raw.zone >> 12 == 1 && (-1440..=1440).contains(&zone) { zone } else { 0 };
    let tenths_of_micros = u64::from(raw.centiseconds.min(99)) * 100_000
        + u64::from(raw.hundreds.min(99)) * 1000
        + u64::from(raw.microseconds.min(99)) * 10;
    let ticks = day.0.checked_add_signed(-minutes * 600_000_000)?;
    Some(FileTime(ticks.checked_add(tenths_of_micros)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_unicode() {
        assert_eq!(name(&[8, b'a', 0xE4]).as_deref(), Some(&[0x61, 0xE4][..]));
        assert_eq!(name(&[16, 0x20, 0xAC, 0, b'x']).as_deref(), Some(&[0x20AC, 0x78][..]));
        for bad in [&[][..], &[16, 0], &[254, 1], &[255], &[0, 65]] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
        let mut field = [0; 32];
        field[..4].copy_from_slice(&[8, b'A', b'B', b'C']);
        field[31] = 4;
        assert_eq!(label(&field), "ABC");
        field[31] = 200;
        assert_eq!(label(&field), "");
    }

    #[test]
    fn times_are_utc() {
        let raw = RawTime {
            zone: 0x1000 | 120,
            year: 2016,
            month: 11,
            day: 21,
            hour: 1,
            minute: 30,
            second: 5,
            centiseconds: 12,
            hundreds: 34,
            microseconds: 56,
        };
        assert_eq!(time(raw).unwrap().to_string(), "2016-11-20T23:30:05.1234560Z");
        let west = RawTime { zone: 0x1000 | (0x1000 - 60), ..raw };
        assert_eq!(time(west).unwrap().to_string(), "2016-11-21T02:30:05.1234560Z");
        let none = RawTime { zone: 0x1000 | (0x1000 - 2047), ..raw };
        assert_eq!(time(none).unwrap().to_string(), "2016-11-21T01:30:05.1234560Z");
        assert_eq!(time(RawTime { month: 13, ..raw }), None);
        assert_eq!(time(RawTime { year: i16::MIN, zone: 0x17FF, ..raw }), None);
    }
}
