//! Whether and when to try again: a pure decision.

use std::time::Duration;

use crate::hypervisor::Fault;

/// How often a call that failed for a passing reason is tried again.
const MOST_RETRIES: u32 = 6;

/// How long to wait before trying again after a fault, or `None` not to try again.
///
/// Only what may pass by itself is tried again (lock time-outs, broken connections): six times, after about 0.2 s,
/// 0.4 s, and so on to 6.4 s. `seed` spreads the waits of actions that failed together; the same seed gives the same
/// waits.
#[must_use]
pub fn pause_before(fault: &Fault, attempt: u32, seed: &str) -> Option<Duration> {
    if !fault.is_transient() || attempt == 0 || attempt > MOST_RETRIES {
        return None;
    }
    let base = 200_u64 << (attempt - 1);
    // FNV-1a: spread, not secrecy.
    let hash = seed
        .bytes()
        .chain(attempt.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    Some(Duration::from_millis(base * 3 / 4 + hash % (base / 2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::FaultKind;

    #[test]
    fn only_what_passes_is_tried_again_and_not_for_ever() {
        let busy = Fault::harmless(FaultKind::Busy, "can't lock file");
        let waits: Vec<_> = (1..9).map_while(|attempt| pause_before(&busy, attempt, "1000/clone")).collect();
        assert_eq!(waits.len(), 6);
        for (n, wait) in waits.iter().enumerate() {
            let base = Duration::from_millis(200 << n);
            assert!(*wait >= base * 3 / 4 && *wait <= base * 5 / 4, "{n}: {wait:?}");
        }
        for kind in [FaultKind::Denied, FaultKind::Refused, FaultKind::Stale, FaultKind::Failed, FaultKind::Missing] {
            assert_eq!(pause_before(&Fault::harmless(kind, "no"), 1, "x"), None);
        }
    }
}
