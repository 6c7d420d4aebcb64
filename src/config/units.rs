//! Numbers with units, as people write them for keys that count without.

/// What a key counts.
pub(super) fn of(key: &str) -> Option<&'static str> {
    match key {
        _ if key.ends_with("_mb") => Some("MiB"),
        _ if key.ends_with("_gb") => Some("GiB"),
        "boot_delay" | "shutdown_timeout" | "guest_agent" | "cloud_init" | "feature" => Some("seconds"),
        _ => None,
    }
}

/// The number that a text stands for, in the unit of its key.
pub(super) fn number(key: &str, text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_'))).unwrap_or(text.len());
    let unit = text[end..].trim().to_ascii_lowercase();
    let (number, digits) = (text[..end].replace('_', ""), &text[..end]);
    if digits.is_empty() {
        return in_words(&unit);
    }
    let (many, few) = ratio(of(key), &unit)?;
    let (whole, rest) = number.split_once('.').unwrap_or((&number, ""));
    // In parts of the last digit that is written, so that nothing is rounded.
    let scale = 10_u64.checked_pow(u32::try_from(rest.len()).ok()?)?;
    let scaled = format!("{whole}{rest}").parse::<u64>().ok()?.checked_mul(many)?;
    let divisor = scale.checked_mul(few)?;
    scaled.is_multiple_of(divisor).then(|| scaled / divisor)
}

/// How many of what a key counts are one of a unit: this many of so many.
fn ratio(counted: Option<&str>, unit: &str) -> Option<(u64, u64)> {
    const KILO: u64 = 1024;
    let seconds = |unit: &str| match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => Some((1, 1)),
        "ms" => Some((1, 1000)),
        "m" | "min" | "mins" | "minute" | "minutes" => Some((60, 1)),
        "h" | "hour" | "hours" => Some((3600, 1)),
        _ => None,
    };
    // Powers of 1024 above bytes.
    let power = |unit: &str| match unit.strip_suffix('b').unwrap_or(unit).trim_end_matches('i') {
        "k" => Some(1),
        "m" => Some(2),
        "g" => Some(3),
        "t" => Some(4),
        _ => None,
    };
    match counted {
        Some("seconds") => seconds(unit),
        Some(_) if unit.is_empty() => Some((1, 1)),
        Some(size) => {
            let (has, own) = (power(unit)?, if size == "MiB" { 2_u32 } else { 3 });
            Some(if has >= own { (KILO.pow(has - own), 1) } else { (1, KILO.pow(own - has)) })
        }
        None => matches!(unit, "" | "core" | "cores" | "cpu" | "cpus" | "vcpu" | "vcpus" | "socket" | "sockets")
            .then_some((1, 1)),
    }
}

fn in_words(word: &str) -> Option<u64> {
    const WORDS: [(&str, u64); 11] = [
        ("one", 1),
        ("two", 2),
        ("three", 3),
        ("four", 4),
        ("five", 5),
        ("six", 6),
        ("seven", 7),
        ("eight", 8),
        ("ten", 10),
        ("twelve", 12),
        ("sixteen", 16),
    ];
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, number)| *number)
}

/// What a number out of range may have been meant as: in another unit than that of its key.
pub(super) fn other(key: &str, found: u64, least: u64, most: u64) -> Option<String> {
    let unit = of(key).filter(|unit| *unit != "seconds")?;
    let larger = if unit == "MiB" { "GiB" } else { "TiB" };
    let own = if unit == "MiB" { 1 << 20 } else { 1 << 30 };
    let fits = |number: u64| (least..=most).contains(&number);
    if found < least && found > 0 && fits(found * 1024) {
        return Some(format!("it counts {unit}: {found} {larger} are `{}`", found * 1024));
    }
    let smaller = [(own, "bytes"), (1024, if unit == "MiB" { "KiB" } else { "MiB" })];
    let of = smaller.into_iter().find(|(size, _)| found > most && found.is_multiple_of(*size) && fits(found / size));
    of.map(|(size, name)| format!("it counts {unit}: {found} {name} are `{}`", found / size))
}

#[cfg(test)]
mod tests {
    use super::{number, other};

    #[test]
    fn numbers_with_units() {
        for (key, text, expected) in [
            ("memory_mb", "4G", Some(4096)),
            ("memory_mb", "4 GB", Some(4096)),
            ("memory_mb", "1.5GiB", Some(1536)),
            ("memory_mb", "4096MB", Some(4096)),
            ("memory_mb", "2097152k", Some(2048)),
            ("memory_mb", "1k", None),
            ("memory_mb", "4x", None),
            ("memory_mb", "4_096", Some(4096)),
            ("boot_disk_size_gb", "50G", Some(50)),
            ("boot_disk_size_gb", "51200M", Some(50)),
            ("boot_disk_size_gb", "2 TiB", Some(2048)),
            ("boot_delay", "2min", Some(120)),
            ("boot_delay", "1h", Some(3600)),
            ("cpu_cores", "4 cores", Some(4)),
            ("cpu_cores", "four", Some(4)),
            ("cpu_cores", "4G", None),
            ("cpu_cores", "99999999999999999999", None),
            ("cpu_cores", "", None),
            ("cpu_cores", ".", None),
        ] {
            assert_eq!(number(key, text), expected, "{key} {text}");
        }
    }

    #[test]
    fn numbers_of_another_unit() {
        for (key, found, says) in [
            ("memory_mb", 8, Some("it counts MiB: 8 GiB are `8192`")),
            ("memory_mb", 8_589_934_592, Some("it counts MiB: 8589934592 bytes are `8192`")),
            ("memory_mb", 0, None),
            ("cpu_cores", 0, None),
        ] {
            assert_eq!(other(key, found, 16, 16_777_216).as_deref(), says, "{key} {found}");
        }
        let disk = other("boot_disk_size_gb", 204_800, 1, 131_072);
        assert_eq!(disk.as_deref(), Some("it counts GiB: 204800 MiB are `200`"));
    }
}
