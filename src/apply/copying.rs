//! Operations that copy a disk, which may take hours: how far they are is said while they run.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::guard::guarded;
use super::perform::Performing;
use crate::hypervisor::{Copied, Fault, HostOp};
use crate::model::{GIB, MIB};

/// How long a copy runs before the target is first asked how far it is. In real time: people wait in it.
const FIRST: Duration = Duration::from_secs(2);

/// How long to wait between two such questions.
const THEN: Duration = Duration::from_secs(5);

impl Performing<'_> {
    /// Carries out an operation. Of one that copies a disk it says from time to time how far that is, as far as the
    /// target knows.
    ///
    /// # Errors
    /// What the target says of the operation. That it cannot say how far it is, is no fault.
    pub(super) fn carry_out(&self, op: &HostOp) -> Result<(), Fault> {
        let (target, deadline) = (&*self.by.hypervisor, self.remaining());
        if !copies(op) {
            return guarded(target, op, deadline);
        }
        std::thread::scope(|scope| {
            let (running, ended) = channel::<()>();
            let work = scope.spawn(move || {
                // Let go of when the operation has ended, also by a panic.
                let _running = running;
                guarded(target, op, deadline)
            });
            let (begin, mut pace, mut pause) = (Instant::now(), Pace::default(), FIRST);
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if let Ok(Some(copied)) = target.copied(op) {
                    self.waiting(pace.words(copied, begin.elapsed()));
                }
                pause = THEN;
            }
            work.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// Whether an operation copies disks.
fn copies(op: &HostOp) -> bool {
    matches!(
        op,
        HostOp::Clone { .. }
            | HostOp::ImportDisk { .. }
            | HostOp::ImportFurther { .. }
            | HostOp::MoveDisk { .. }
            | HostOp::Migrate { .. }
    )
}

/// How fast a copy is.
#[derive(Default)]
struct Pace {
    /// The first look at the disk that is copied now, and when it was.
    first: Option<(Copied, Duration)>,
}

impl Pace {
    /// How far the copy is, and how long it takes still, once two looks tell how fast it is. `at`: time since it began.
    /// Another total, or less than before, is the next disk.
    fn words(&mut self, now: Copied, at: Duration) -> String {
        let same = |(first, _): &(Copied, Duration)| first.total == now.total && first.done <= now.done;
        let (first, since) = *self.first.take_if(|first| same(first)).as_ref().unwrap_or(&(now, at));
        self.first = Some((first, since));
        let unit = if now.total >= GIB { (GIB, "GiB") } else { (MIB, "MiB") };
        let amount = |bytes: u64| format!("{}.{}", bytes / unit.0, bytes % unit.0 * 10 / unit.0);
        let percent = u128::from(now.done) * 100 / u128::from(now.total.max(1));
        let far = format!("the copy: {} of {} {} ({percent} %)", amount(now.done), amount(now.total), unit.1);
        let copied = u128::from(now.done - first.done);
        let left = u128::from(now.total - now.done);
        let seconds = (at.saturating_sub(since).as_millis() * left).checked_div(copied * 1000).filter(|_| left > 0);
        seconds.map_or(far.clone(), |seconds| format!("{far}, about {} left", rounded(seconds)))
    }
}

/// A time in seconds, as exact as a guess may be.
fn rounded(seconds: u128) -> String {
    match seconds {
        0..60 => format!("{} s", seconds / 10 * 10 + 10),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;
    use crate::hypervisor::Copied;
    use crate::model::{GIB, MIB};

    #[test]
    fn it_is_said_how_far_a_copy_is_and_how_long_it_takes_still() {
        let mut pace = Pace::default();
        for (at, done, total, expected) in [
            (2, 0, 50 * GIB, "the copy: 0.0 of 50.0 GiB (0 %)"),
            // Nothing was copied yet: how long it takes cannot be known.
            (7, 0, 50 * GIB, "the copy: 0.0 of 50.0 GiB (0 %)"),
            (12, GIB + GIB / 2, 50 * GIB, "the copy: 1.5 of 50.0 GiB (3 %), about 6 min left"),
            (302, 45 * GIB, 50 * GIB, "the copy: 45.0 of 50.0 GiB (90 %), about 40 s left"),
            (352, 50 * GIB, 50 * GIB, "the copy: 50.0 of 50.0 GiB (100 %)"),
            // The next disk.
            (357, 100 * MIB, 512 * MIB, "the copy: 100.0 of 512.0 MiB (19 %)"),
            (367, 101 * MIB, 512 * MIB, "the copy: 101.0 of 512.0 MiB (19 %), about 1 h 8 min left"),
            // One of the same size.
            (372, 0, 512 * MIB, "the copy: 0.0 of 512.0 MiB (0 %)"),
            (373, 0, 0, "the copy: 0.0 of 0.0 MiB (0 %)"),
        ] {
            assert_eq!(pace.words(Copied { done, total }, Duration::from_secs(at)), expected);
        }
    }
}
