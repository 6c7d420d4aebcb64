//! What YAML 1.1 makes of a plain scalar: cloud-init reads it with `PyYAML`, which keeps to that version.

/// Whether a plain scalar is something else than the text that it is written as: a number, a truth, nothing, a time, or
/// one that `PyYAML` refuses (`=`, `<<`).
pub(super) fn is_no_text(plain: &str) -> bool {
    let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    matches!(plain, "" | "~" | "=" | "<<" | ".nan" | ".NaN" | ".NAN")
        || is_word(plain, &["null", "yes", "no", "on", "off", "true", "false"])
        || unsigned.strip_prefix('.').is_some_and(|word| is_word(word, &["inf"]))
        || is_integer(unsigned)
        || is_float(plain, unsigned)
        || is_time(plain)
}

/// Whether it is one of these words: in small letters, in capitals, or with a capital at its beginning.
fn is_word(plain: &str, words: &[&str]) -> bool {
    let small = |letters: &str| letters.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_cased = |word: &str| small(word) || small(&word[1..]) || word.bytes().all(|byte| byte.is_ascii_uppercase());
    words.iter().any(|word| plain.eq_ignore_ascii_case(word)) && is_cased(plain)
}

/// Whether there is something, and all of it is among these or `_`.
fn all(text: &str, is: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'_' || is(byte))
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// Whether there are as many digits as this, and nothing else.
fn digits(text: &str, many: core::ops::RangeInclusive<usize>) -> bool {
    many.contains(&text.len()) && text.bytes().all(is_digit)
}

/// Binary, octal, decimal, hexadecimal, or in sixties: `1:30`.
fn is_integer(unsigned: &str) -> bool {
    let in_base = |prefix: &str, is: fn(u8) -> bool| unsigned.strip_prefix(prefix).is_some_and(|rest| all(rest, is));
    let is_decimal = unsigned.starts_with(|first: char| matches!(first, '1'..='9'));
    unsigned == "0"
        || in_base("0b", |byte| matches!(byte, b'0' | b'1'))
        || in_base("0x", |byte| byte.is_ascii_hexdigit())
        || in_base("0", |byte| matches!(byte, b'0'..=b'7'))
        || (is_decimal && (all(unsigned, is_digit) || in_sixties(unsigned)))
}

/// Parts of sixty behind digits: `1:30:59`.
fn in_sixties(unsigned: &str) -> bool {
    let Some((first, rest)) = unsigned.split_once(':') else { return false };
    let part = |part: &str| digits(part, 1..=1) || (digits(part, 2..=2) && part < "60");
    first.starts_with(|first: char| first.is_ascii_digit()) && all(first, is_digit) && rest.split(':').all(part)
}

/// With a point; an exponent has a sign.
fn is_float(plain: &str, unsigned: &str) -> bool {
    let rest_of = |fraction: &str| fraction.is_empty() || all(fraction, is_digit);
    let is_exponent = |text: &str| text.strip_prefix(['-', '+']).is_some_and(|rest| digits(rest, 1..=usize::MAX));
    let mantissa = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) if is_exponent(exponent) => mantissa,
        Some(_) => return false,
        None => unsigned,
    };
    let Some((whole, fraction)) = mantissa.split_once('.') else { return false };
    if whole.is_empty() {
        return !fraction.is_empty() && rest_of(fraction) && plain.len() == unsigned.len();
    }
    let is_whole = whole.starts_with(|first: char| first.is_ascii_digit()) && all(whole, is_digit);
    (is_whole && rest_of(fraction)) || (mantissa == unsigned && in_sixties(whole) && rest_of(fraction))
}

/// A day, or a day with a time: `2024-01-31`, `2024-1-31 9:30:00.5 +1`.
fn is_time(plain: &str) -> bool {
    let mut parts = plain.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let day = rest.bytes().take_while(|byte| is_digit(*byte)).count();
    let (day, time) = rest.split_at(day);
    if !digits(year, 4..=4) || !digits(month, 1..=2) || !digits(day, 1..=2) {
        return false;
    }
    let blanks = |text: &'_ str| text.trim_start_matches([' ', '\t']).len();
    let clock = match time.strip_prefix(['T', 't']) {
        Some(clock) => clock,
        None if time.is_empty() => return month.len() == 2 && day.len() == 2,
        None if blanks(time) == time.len() => return false,
        None => &time[time.len() - blanks(time)..],
    };
    let mut parts = clock.splitn(3, ':');
    let (Some(hour), Some(minute), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let seconds = rest.get(..2).filter(|seconds| digits(seconds, 2..=2));
    let (true, true, Some(_)) = (digits(hour, 1..=2), digits(minute, 2..=2), seconds) else { return false };
    let rest = &rest[2..];
    let rest = rest.strip_prefix('.').map_or(rest, |parts| parts.trim_start_matches(|c: char| c.is_ascii_digit()));
    let zone = &rest[rest.len() - blanks(rest)..];
    let offset = |offset: &str| match offset.split_once(':') {
        Some((hours, minutes)) => digits(hours, 1..=2) && digits(minutes, 2..=2),
        None => digits(offset, 1..=2),
    };
    rest.is_empty() || zone == "Z" || zone.strip_prefix(['-', '+']).is_some_and(offset)
}

#[cfg(test)]
mod tests {
    use super::is_no_text;

    // As `PyYAML` 6.0 has it; `._5`, as 5.1 has it.
    #[test]
    fn what_is_no_text_is_known() {
        for plain in [
            "",
            "~",
            "null",
            "Null",
            "NULL",
            "yes",
            "Yes",
            "NO",
            "on",
            "Off",
            "true",
            "FALSE",
            "=",
            "<<",
            "0",
            "-0",
            "1234",
            "+1_000",
            "1_",
            "017",
            "-0_7",
            "00",
            "0x1F",
            "0b1_0",
            "1:30",
            "-190:20:30",
            "1:5",
            "1.",
            "1.5",
            "-1_0.5_0",
            "0.5e+3",
            "1.E-3",
            ".5",
            "._5",
            "01.5",
            "1:30.5",
            "01:30.",
            ".inf",
            "-.Inf",
            "+.INF",
            ".nan",
            ".NaN",
            "2024-01-31",
            "2024-1-31 9:30:00",
            "2024-01-31T09:30:00.25Z",
            "2024-01-31t09:30:00 +1",
            "2024-01-31 \t 09:30:00. -01:30",
        ] {
            assert!(is_no_text(plain), "{plain}");
        }
    }

    #[test]
    fn what_is_a_text_stays_one() {
        for plain in [
            "a",
            "y",
            "n",
            "nULL",
            "yEs",
            "tRUE",
            "inf",
            "nan",
            ".nAN",
            "-.nan",
            "-",
            "+",
            ".",
            "08",
            "0o17",
            "0x",
            "0b2",
            "1e3",
            "1.5e3",
            "-1.5e3",
            "1.5e+",
            "-.5",
            "_1",
            "1:60",
            "1:",
            "01:30",
            "1:30:",
            "0:",
            "1.5.2",
            "192.0.2.1",
            "1:30.5e+3",
            "2024-1-31",
            "2024-01-311",
            "24-01-31",
            "2024-01-31 ",
            "2024-01-31T9:3:00",
            "2024-01-31 09:30",
            "2024-01-31T09:30:00 z",
            "2024-01-31T09:30:00+",
            "2024-01-31T09:30:00\u{e9}",
            "1a",
            "0x1g",
            "$6$salt$hash.",
            "3f2a",
            "12345678-1234",
            "1,000",
        ] {
            assert!(!is_no_text(plain), "{plain}");
        }
    }
}
