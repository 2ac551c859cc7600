use std::fmt;

/// Seconds from 1601-01-01 (the FILETIME epoch) to 1970-01-01 (the Unix epoch).
const UNIX_EPOCH_SECONDS: i64 = 11_644_473_600;
/// FILETIME ticks in a second: one tick is 100 ns.
const TICKS: u64 = 10_000_000;

/// A Windows FILETIME: 100 ns ticks since 1601-01-01 00:00 UTC ([MS-DTYP] 2.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub u64);

impl FileTime {
    /// From seconds since 1970-01-01 UTC; times before 1601 become zero, times out of range the largest.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        let since_1601 = seconds.saturating_add(UNIX_EPOCH_SECONDS).max(0).unsigned_abs();
        Self(since_1601.saturating_mul(TICKS))
    }

    /// The start of a second of the Gregorian calendar, in UTC; saturates as [`from_unix_seconds`](Self::from_unix_seconds).
    pub fn from_calendar(time: Calendar) -> Self {
        let of_day = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second);
        let days = days_from_civil(time.year, time.month.into(), time.day.into());
        Self::from_unix_seconds(days.saturating_mul(86_400).saturating_add(of_day))
    }

    /// The second in which it lies, in UTC.
    pub fn to_calendar(self) -> Calendar {
        let (seconds, _) = self.to_unix();
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        Calendar {
            year,
            month: month as u8,
            day: day as u8,
            hour: (second_of_day / 3600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
        }
    }

    /// Whole seconds since 1970-01-01 UTC (negative before), rounded down, and the nanoseconds after them.
    pub fn to_unix(self) -> (i64, u32) {
        let seconds = (self.0 / TICKS) as i64 - UNIX_EPOCH_SECONDS;
        let nanoseconds = (self.0 % TICKS) as u32 * 100;
        (seconds, nanoseconds)
    }
}

/// A second of the proleptic Gregorian calendar, as formats store it that do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Calendar {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// `2026-11-21T10:28:00.1234567Z`, every digit of the 100 ns resolution.
impl fmt::Display for FileTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, nanoseconds) = self.to_unix();
        let Calendar { year, month, day, hour, minute, second } = self.to_calendar();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:07}Z", nanoseconds / 100)
    }
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01.
///
/// The year is taken to begin in March, so that the leap day is its last and month lengths repeat every five months.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`]. Days past a month's end run on into the next.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        assert_eq!(FileTime(0).to_string(), "1601-01-01T00:00:00.0000000Z");
        assert_eq!(FileTime::from_unix_seconds(0).to_string(), "1970-01-01T00:00:00.0000000Z");
        assert_eq!(FileTime::from_unix_seconds(951_782_400).to_string(), "2000-02-29T00:00:00.0000000Z");
        assert_eq!(FileTime(131_277_024_000_000_001).to_string(), "2017-01-01T00:00:00.0000001Z");
        assert_eq!(FileTime(u64::MAX).to_string(), "60056-05-28T05:36:10.9551615Z");
    }

    #[test]
    fn out_of_range_saturates() {
        assert_eq!(FileTime::from_unix_seconds(i64::MIN), FileTime(0));
        assert_eq!(FileTime::from_unix_seconds(i64::MAX), FileTime(u64::MAX));
    }

    #[test]
    fn calendars_come_back() {
        for days in (-134_774..200_000).step_by(97) {
            let time = FileTime::from_unix_seconds(days * 86_400 + 86_399);
            assert_eq!(FileTime::from_calendar(time.to_calendar()), time, "{time}");
        }
        let leap = Calendar { year: 2000, month: 2, day: 29, hour: 23, minute: 59, second: 58 };
        assert_eq!(FileTime::from_calendar(leap).to_string(), "2000-02-29T23:59:58.0000000Z");
        assert_eq!(FileTime::from_calendar(leap).to_calendar(), leap);
    }
}
