//! How numbers are written for people.

use std::time::Duration;

/// With a comma between thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest decimal unit that leaves a number of at least one.
pub fn bytes(n: u64) -> String {
    let (unit, name) = match n {
        0..1_000 => return format!("{n} B"),
        1_000..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    let value = n as f64 / unit;
    if value < 10.0 { format!("{value:.2} {name}") } else { format!("{value:.1} {name}") }
}

/// A time to three digits or so: `"0.42 ms"`, `"37 ms"`, `"1.8 s"`, `"12 min 5 s"`, `"3 h 20 min"`.
pub fn time(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        ..100_000.0 => format!("{:.1} s", ms / 1e3),
        _ => match duration.as_secs() {
            seconds @ ..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
            seconds => format!("{} h {} min", count(seconds / 3600), seconds / 60 % 60),
        },
    }
}

/// `1 object`, `2 objects`.
pub fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A part of a whole in per cent; of nothing, 0.
pub fn percent(part: u64, whole: u64) -> u64 {
    (100 * part).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let check = |n, expected: &str| assert_eq!(count(n), expected);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(12_345, "12,345");
        check(1_234_567, "1,234,567");
    }

    #[test]
    fn sizes() {
        let check = |n, expected: &str| assert_eq!(bytes(n), expected);
        check(999, "999 B");
        check(1_000, "1.00 kB");
        check(81_400_000, "81.4 MB");
        check(1_950_000_000, "1.95 GB");
    }

    #[test]
    fn times() {
        let check = |us, expected: &str| assert_eq!(time(Duration::from_micros(us)), expected);
        check(423, "0.42 ms");
        check(37_400, "37 ms");
        check(1_840_000, "1.8 s");
        check(99_900_000, "99.9 s");
        check(725_400_000, "12 min 5 s");
        check(12_059_000_000, "3 h 20 min");
    }

    #[test]
    fn shares() {
        let check = |part, whole, expected| assert_eq!(percent(part, whole), expected);
        check(0, 0, 0);
        check(1, 3, 33);
        check(3, 3, 100);
    }
}
