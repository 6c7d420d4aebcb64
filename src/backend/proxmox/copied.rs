//! How far a copy is, as the log of a clone, an import, a move or a migration says.

use crate::hypervisor::Copied;

/// What the last line of a log that says so says (recorded: `transferred 8.8 MiB of 596.0 MiB (1.47%)`, of a disk that
/// is in use `mirror-scsi0: transferred 2.0 GiB of 3.0 GiB (66.67%) in 1s`). `None`: no line does.
pub(in crate::backend) fn copied(log: &str) -> Option<Copied> {
    log.lines().rev().find_map(of_line)
}

fn of_line(line: &str) -> Option<Copied> {
    let (before, said) = line.split_once("transferred ")?;
    if !(before.is_empty() || before.ends_with(": ")) {
        return None;
    }
    let words: Vec<&str> = said.split_whitespace().take(5).collect();
    let [done, done_unit, "of", total, total_unit] = words[..] else { return None };
    let total = bytes(total, total_unit)?;
    Some(Copied { done: bytes(done, done_unit)?.min(total), total: Some(total) })
}

/// A size with one decimal.
fn bytes(number: &str, unit: &str) -> Option<u64> {
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(tenths) {
        return None;
    }
    let tenth = u64::from(tenths.as_bytes()[0] - b'0');
    Some((whole.parse::<u64>().ok()? << shift) + ((tenth << shift) / 10))
}

#[cfg(test)]
mod tests {
    use super::copied;
    use crate::hypervisor::Copied;

    #[test]
    fn the_last_line_that_says_so_counts() {
        let (mib, gib) = (1_u64 << 20, 1_u64 << 30);
        for (log, expected) in [
            ("", None),
            ("creating a clone of VM 9000 with ID 101\nallocated target volume 'a:b'\n", None),
            ("transferred 0.0 B of 1.0 GiB (0.00%)\n", Some((0, gib))),
            (
                "transferred 0.0 B of 1.0 GiB (0.00%)\ntransferred 512.5 MiB of 1.0 GiB (50.0",
                Some((512 * mib + mib / 2, gib)),
            ),
            (
                "mirror-scsi0: transferred 2.0 GiB of 3.0 GiB (66.67%) in 1s\nall mirrors are ready",
                Some((2 * gib, 3 * gib)),
            ),
            ("transferred 2.0 GiB of 1.0 GiB (200.00%)", Some((gib, gib))),
            // Cut off in the middle, or not what Proxmox writes.
            ("transferred 1.0 GiB of 1", None),
            ("transferred -1.0 GiB of 1.0 GiB", None),
            ("transferred 1e9 GiB of 1.0 GiB", None),
            ("transferred 99999999999999 TiB of 99999999999999 TiB", None),
            ("has transferred 1.0 GiB of 2.0 GiB", None),
        ] {
            assert_eq!(copied(log), expected.map(|(done, total)| Copied { done, total: Some(total) }), "{log:?}");
        }
    }
}
