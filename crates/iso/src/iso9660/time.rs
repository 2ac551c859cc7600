use disk::{Calendar, FileTime};

/// The seven bytes of a directory record (ECMA-119, 9.1.5) in UTC; `None` for zeros and what no calendar has.
pub(super) fn short(raw: [u8; 7]) -> Option<FileTime> {
    let [year, month, day, hour, minute, second, zone] = raw;
    from_parts(1900 + i64::from(year), [month, day, hour, minute, second], 0, zone)
}

/// The seventeen bytes of volume descriptors and long Rock Ridge times (8.4.26.1): digits, and the zone.
pub(super) fn long(raw: &[u8; 17]) -> Option<FileTime> {
    let number = |from: usize, to: usize| {
        raw[from..to].iter().try_fold(0u16, |value, &digit| {
            digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0'))
        })
    };
    let small = |from: usize| number(from, from + 2).map(|value| value as u8);
    let parts = [small(4)?, small(6)?, small(8)?, small(10)?, small(12)?];
    from_parts(number(0, 4)?.into(), parts, small(14)?, raw[16])
}

fn from_parts(
    year: i64,
    [month, day, hour, minute, second]: [u8; 5],
    hundredths: u8,
    zone: u8,
) -> Option<FileTime> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let time = FileTime::from_calendar(Calendar { year, month, day, hour, minute, second });
    // Quarters of an hour east of UTC, from -48 to 52.
    let quarters = i64::from(zone as i8);
    let quarters = if (-48..=52).contains(&quarters) { quarters } else { 0 };
    let ticks = time.0.checked_add_signed(-quarters * 15 * 60 * 10_000_000)?;
    Some(FileTime(ticks + u64::from(hundredths) * 100_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let time = short([116, 11, 21, 1, 30, 5, 8]).unwrap();
        assert_eq!(time.to_string(), "2016-11-20T23:30:05.0000000Z");
        assert_eq!(short([0; 7]), None);
        assert_eq!(short([116, 2, 1, 24, 0, 0, 0]), None);
        let time = long(b"2016112101300525\xFC").unwrap();
        assert_eq!(time.to_string(), "2016-11-21T02:30:05.2500000Z");
        assert_eq!(long(b"0000000000000000\0"), None);
        assert_eq!(long(b"2016x12101300525\0"), None);
    }
}
