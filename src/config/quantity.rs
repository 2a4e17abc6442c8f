//! Sizes and durations as people write them, both ways.
//!
//! What is printed reads back to the same value: the largest unit that divides it is chosen. Units are taken
//! literally, letter case included, because `Mb` is a megabit and `m` a minute or a month. All arithmetic is on
//! integers; a fraction (`"1.5 GiB"`) is a decimal one.

use std::time::Duration;

use super::units::ByteSize;

/// Units of a size, in bytes, largest first.
const SIZE_UNITS: [(&str, u64); 11] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

/// Units of a duration, in milliseconds, largest first.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is no quantity. Reads on from the text: `"5 XB" has an unknown unit "XB"`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Does not begin with a number such as `12` or `1.5`.
    #[error("does not begin with a number")]
    Number,
    /// A duration without a unit.
    #[error("has no unit")]
    NoUnit,
    /// The unit, as written.
    #[error("has an unknown unit \"{0}\"")]
    Unit(String),
    /// More than fits in 64 bits of bytes or milliseconds.
    #[error("is far too large")]
    Overflow,
    /// A duration that is not a whole number of milliseconds.
    #[error("is finer than a millisecond")]
    TooFine,
}

/// Parses `"512 MiB"`, `"10 GB"`, `"1.5 GiB"`, `"4096"` (bytes). A fraction of a byte is dropped.
pub fn parse_size(text: &str) -> Result<ByteSize, QuantityError> {
    let (number, unit) = Decimal::split(text)?;
    let one = unit_of(unit, &SIZE_UNITS)?;
    let (bytes, _fraction_of_a_byte) = number.times(one)?;
    Ok(ByteSize(bytes))
}

/// Parses `"1500 ms"`, `"1.5 s"`, `"2 min"`, `"1 h"`, `"1 d"`. The result is a whole number of milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let (number, unit) = Decimal::split(text)?;
    if unit.is_empty() {
        return Err(QuantityError::NoUnit);
    }
    match number.times(unit_of(unit, &DURATION_UNITS)?)? {
        (milliseconds, 0) => Ok(Duration::from_millis(milliseconds)),
        _ => Err(QuantityError::TooFine),
    }
}

/// The size without rounding: `parse_size(&exact_size(n)) == Ok(n)`.
pub fn exact_size(size: ByteSize) -> String {
    print(size.bytes(), &SIZE_UNITS, "B")
}

/// The duration without rounding, down to the millisecond: `parse_duration(&exact_duration(d)) == Ok(d)` for whole
/// milliseconds.
pub fn exact_duration(duration: Duration) -> String {
    print(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS, "s")
}

fn print(value: u64, units: &[(&str, u64)], unit_of_zero: &str) -> String {
    match units.iter().find(|(_, one)| value != 0 && value.is_multiple_of(*one)) {
        Some((unit, one)) => format!("{} {unit}", value / one),
        None => format!("0 {unit_of_zero}"),
    }
}

fn unit_of(unit: &str, units: &[(&str, u64)]) -> Result<u64, QuantityError> {
    let found = units.iter().find(|(name, _)| *name == unit);
    found.map(|(_, one)| *one).ok_or_else(|| QuantityError::Unit(unit.to_owned()))
}

/// `digits / scale`, a decimal number as written.
struct Decimal {
    digits: u64,
    scale: u64,
}

impl Decimal {
    /// The number a text begins with, and the rest without the space between.
    fn split(text: &str) -> Result<(Self, &str), QuantityError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return Err(QuantityError::Number),
            Some(parts) => parts,
            None => (number, ""),
        };
        if whole.is_empty() || fraction.contains('.') {
            return Err(QuantityError::Number);
        }
        let scale = u32::try_from(fraction.len()).ok().and_then(|places| 10u64.checked_pow(places));
        let digits = format!("{whole}{fraction}").parse().ok();
        let (digits, scale) = digits.zip(scale).ok_or(QuantityError::Overflow)?;
        Ok((Self { digits, scale }, unit.trim_start()))
    }

    /// The product in whole parts, and what is left over (in parts of `scale`).
    fn times(&self, one: u64) -> Result<(u64, u64), QuantityError> {
        let product = u128::from(self.digits) * u128::from(one);
        let scale = u128::from(self.scale);
        let whole = u64::try_from(product / scale).map_err(|_| QuantityError::Overflow)?;
        // The remainder is smaller than `scale`, which is a u64.
        Ok((whole, (product % scale) as u64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        let check =
            |text: &str, expected| assert_eq!(parse_size(text).map(ByteSize::bytes), expected, "{text}");
        check("512 MiB", Ok(512 << 20));
        check("512MiB", Ok(512 << 20));
        check(" 1.5 GiB ", Ok(3 << 29));
        check("10 GB", Ok(10_000_000_000));
        check("1 kB", Ok(1000));
        check("1 KB", Ok(1000));
        check("4096", Ok(4096));
        check("0", Ok(0));
        check("0.3 B", Ok(0));
        check("", Err(QuantityError::Number));
        check("MiB", Err(QuantityError::Number));
        check("-1 MiB", Err(QuantityError::Number));
        check(".5 MiB", Err(QuantityError::Number));
        check("1. MiB", Err(QuantityError::Number));
        check("1.2.3 MiB", Err(QuantityError::Number));
        check("1 Mb", Err(QuantityError::Unit("Mb".into())));
        check("1e3", Err(QuantityError::Unit("e3".into())));
        check("1 MiB 2", Err(QuantityError::Unit("MiB 2".into())));
        check("99999999999999999999", Err(QuantityError::Overflow));
        check("16777216 TiB", Err(QuantityError::Overflow));
    }

    #[test]
    fn durations() {
        let check = |text: &str, expected: Result<u64, _>| {
            assert_eq!(parse_duration(text), expected.map(Duration::from_millis), "{text}");
        };
        check("1500 ms", Ok(1500));
        check("1.5 s", Ok(1500));
        check("5 s", Ok(5000));
        check("2min", Ok(120_000));
        check("1 h", Ok(3_600_000));
        check("1 d", Ok(86_400_000));
        check("0 s", Ok(0));
        check("5", Err(QuantityError::NoUnit));
        check("5 m", Err(QuantityError::Unit("m".into())));
        check("0.5 ms", Err(QuantityError::TooFine));
        check("s", Err(QuantityError::Number));
        check("999999999999999999 d", Err(QuantityError::Overflow));
    }

    #[test]
    fn printed_in_the_largest_unit_that_divides() {
        assert_eq!(exact_size(ByteSize::gib(2)), "2 GiB");
        assert_eq!(exact_size(ByteSize(10_000_000_000)), "10 GB");
        assert_eq!(exact_size(ByteSize(1_000_000)), "1 MB");
        assert_eq!(exact_size(ByteSize(0)), "0 B");
        assert_eq!(exact_duration(Duration::from_secs(90)), "90 s");
        assert_eq!(exact_duration(Duration::from_secs(120)), "2 min");
        assert_eq!(exact_duration(Duration::ZERO), "0 s");
    }

    proptest! {
        #[test]
        fn printed_sizes_read_back(bytes: u64) {
            prop_assert_eq!(parse_size(&exact_size(ByteSize(bytes))), Ok(ByteSize(bytes)));
        }

        #[test]
        fn printed_durations_read_back(milliseconds: u64) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&exact_duration(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = parse_size(&text);
            let _ = parse_duration(&text);
        }
    }
}
