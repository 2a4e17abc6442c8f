//! Times as logs write them, always in UTC: a log that jumps twice a year misleads whoever compares sites.
//!
//! The text of the current second is kept, so that a busy logger computes a date once a second.
//! Source of the calendar: H. Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::text;

/// A time in the forms that the lines need.
pub(super) struct Clock {
    second: u64,
    common: [u8; 26],
    iso: [u8; 19],
}

/// A moment, split as the lines need it.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    /// Seconds since 1970.
    pub(super) seconds: u64,
    /// 0 to 999.
    pub(super) millis: u64,
    /// `22/Nov/2025:15:26:01 +0000`
    pub(super) common: &'a [u8; 26],
    /// `2025-11-22T15:26:01`
    pub(super) iso: &'a [u8; 19],
}

impl Clock {
    pub(super) fn new() -> Self {
        let (common, iso) = render(0);
        Self { second: 0, common, iso }
    }

    pub(super) fn at(&mut self, time: SystemTime) -> Moment<'_> {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs().min(END_OF_9999);
        if second != self.second {
            (self.common, self.iso) = render(second);
            self.second = second;
        }
        let millis = u64::from(since.subsec_millis());
        Moment { seconds: second, millis, common: &self.common, iso: &self.iso }
    }
}

/// Both texts of a second since 1970, up to the year 9999.
fn render(second: u64) -> ([u8; 26], [u8; 19]) {
    let (days, of_day) = (second / 86_400, second % 86_400);
    let (hour, minute, sec) = (of_day / 3600, of_day / 60 % 60, of_day % 60);

    // Years are counted from March, so that the leap day comes last; an era has 400 of them.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);

    let mut common = *b"00/Jan/0000:00:00:00 +0000";
    common[3..6].copy_from_slice(MONTHS[month as usize - 1]);
    let mut iso = *b"0000-00-00T00:00:00";
    text::digits(&mut iso[0..4], year);
    text::digits(&mut iso[5..7], month);
    text::digits(&mut iso[8..10], day);
    text::digits(&mut iso[11..13], hour);
    text::digits(&mut iso[14..16], minute);
    text::digits(&mut iso[17..19], sec);
    common[0..2].copy_from_slice(&iso[8..10]);
    common[7..11].copy_from_slice(&iso[0..4]);
    common[12..20].copy_from_slice(&iso[11..19]);
    (common, iso)
}

const END_OF_9999: u64 = 253_402_300_799;
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_seconds() {
        let table = [
            (0, "1970-01-01T00:00:00", "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "2000-02-28T23:59:59", "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "2000-02-29T00:00:00", "29/Feb/2000:00:00:00 +0000"),
            (1_763_825_161, "2025-11-22T15:26:01", "22/Nov/2025:15:26:01 +0000"),
            (4_107_542_400, "2100-03-01T00:00:00", "01/Mar/2100:00:00:00 +0000"),
            (END_OF_9999, "9999-12-31T23:59:59", "31/Dec/9999:23:59:59 +0000"),
        ];
        for (second, iso, common) in table {
            let (rendered_common, rendered_iso) = render(second);
            assert_eq!(str::from_utf8(&rendered_iso).unwrap(), iso);
            assert_eq!(str::from_utf8(&rendered_common).unwrap(), common);
        }
    }

    #[test]
    fn times_off_the_calendar_are_brought_back() {
        let mut clock = Clock::new();
        assert_eq!(clock.at(UNIX_EPOCH - Duration::from_secs(1)).seconds, 0);
        assert_eq!(clock.at(UNIX_EPOCH + Duration::from_secs(1 << 40)).iso, b"9999-12-31T23:59:59");
    }

    proptest! {
        #[test]
        fn agrees_with_http_dates(second in 0..=END_OF_9999) {
            let time = UNIX_EPOCH + Duration::from_secs(second);
            // "Sat, 22 Nov 2025 15:26:01 GMT"
            let date = httpdate::fmt_http_date(time);
            let expected = format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25]);
            let (common, _) = render(second);
            prop_assert_eq!(str::from_utf8(&common).unwrap(), expected);
        }
    }
}
