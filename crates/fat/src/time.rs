//! Times as FAT stores them: a day in 16 bits, two seconds in 16 bits, and hundredths for some.
//!
//! FAT means local time and does not say which; this crate reads and writes UTC, so that the same input gives the same
//! bytes everywhere.

use disk::{Calendar, FileTime};

/// The years that seven bits reach.
const YEARS: std::ops::RangeInclusive<i64> = 1980..=2107;

/// A time in the fields of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DosTime {
    pub(crate) date: u16,
    pub(crate) time: u16,
    /// 0 to 199: what `time` lacks.
    pub(crate) hundredths: u8,
}

impl DosTime {
    /// The nearest time that can be stored.
    pub(crate) fn new(time: FileTime) -> Self {
        let Calendar { year, month, day, hour, minute, second } = time.to_calendar();
        if year < *YEARS.start() {
            return Self { date: 1 << 5 | 1, time: 0, hundredths: 0 };
        }
        if year > *YEARS.end() {
            return Self { date: 127 << 9 | 12 << 5 | 31, time: 23 << 11 | 59 << 5 | 29, hundredths: 199 };
        }
        let (_, nanoseconds) = time.to_unix();
        let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(u16::from);
        Self {
            date: ((year - YEARS.start()) as u16) << 9 | month << 5 | day,
            time: hour << 11 | minute << 5 | (second / 2),
            hundredths: (second % 2) as u8 * 100 + (nanoseconds / 10_000_000) as u8,
        }
    }

    /// The time; fields that are out of range count as the nearest that is not, as damaged times harm nobody.
    pub(crate) fn to_file_time(self) -> FileTime {
        let field = |value: u16, bits: u32, low: u8, high: u8| -> u8 {
            ((value & ((1 << bits) - 1)) as u8).clamp(low, high)
        };
        let start = FileTime::from_calendar(Calendar {
            year: YEARS.start() + i64::from(self.date >> 9),
            month: field(self.date >> 5, 4, 1, 12),
            day: field(self.date, 5, 1, 31),
            hour: field(self.time >> 11, 5, 0, 23),
            minute: field(self.time >> 5, 6, 0, 59),
            second: field(self.time, 5, 0, 29) * 2,
        });
        FileTime(start.0 + u64::from(self.hundredths.min(199)) * 100_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_to_the_hundredth() {
        for seconds in [315_532_800, 951_868_799, 1_480_000_001, 4_354_819_198] {
            let time = FileTime(FileTime::from_unix_seconds(seconds).0 + 9_900_000);
            assert_eq!(DosTime::new(time).to_file_time(), time, "{time}");
        }
        // 2016-11-24 15:06:41, worked out by hand.
        let dos = DosTime::new(FileTime::from_unix_seconds(1_480_000_001));
        assert_eq!(dos, DosTime { date: 0x4978, time: 0x78D4, hundredths: 100 });
    }

    #[test]
    fn out_of_range_times() {
        assert_eq!(DosTime::new(FileTime(0)).to_file_time().to_string(), "1980-01-01T00:00:00.0000000Z");
        let last = DosTime::new(FileTime(u64::MAX)).to_file_time();
        assert_eq!(last.to_string(), "2107-12-31T23:59:59.9900000Z");
        let zero = DosTime { date: 0, time: 0xFFFF, hundredths: 255 }.to_file_time();
        assert_eq!(zero.to_string(), "1980-01-01T23:59:59.9900000Z");
    }
}
