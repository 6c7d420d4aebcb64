//! Copies of disks and downloads, which may take hours: how far they are is said while they run.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::guard::guarded;
use super::perform::Performing;
use crate::hypervisor::{Copied, Copying, Fault, HostOp, Hypervisor};
use crate::model::{GIB, MIB};

/// How long a copy runs before the target is first asked how far it is. In real time: people wait in it.
const FIRST: Duration = Duration::from_secs(2);

/// How long to wait between two such questions.
const THEN: Duration = Duration::from_secs(5);

impl Performing<'_> {
    /// Carries out an operation. Of one that copies a disk, or fetches an image, it says from time to time how far that
    /// is, as far as the target knows.
    ///
    /// # Errors
    /// What the target says of the operation. That it cannot say how far it is, is no fault.
    pub(super) fn carry_out(&self, op: &HostOp) -> Result<(), Fault> {
        let (target, deadline) = (&*self.by.hypervisor, self.remaining());
        let Some(what) = copies(op) else { return guarded(target, op, deadline) };
        std::thread::scope(|scope| {
            let (running, ended) = channel::<()>();
            let work = scope.spawn(move || {
                // Let go of when the operation has ended, also by a panic.
                let _running = running;
                guarded(target, op, deadline)
            });
            let (mut look, mut pause) = (Look::at(what, Copying::Of(op)), FIRST);
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if let Some(far) = look.now(target) {
                    self.waiting(far);
                }
                pause = THEN;
            }
            work.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// What takes long in an operation that copies disks or fetches an image.
pub(super) fn copies(op: &HostOp) -> Option<&'static str> {
    match op {
        HostOp::Clone { .. }
        | HostOp::ImportDisk { .. }
        | HostOp::ImportFurther { .. }
        | HostOp::MoveDisk { .. }
        | HostOp::Migrate { .. } => Some("the copy"),
        HostOp::FetchImage { .. } => Some("the download"),
        _ => None,
    }
}

/// Asks a target how far a copy is, and not too often.
pub(super) struct Look<'a> {
    /// What is copied, for people.
    what: &'static str,
    copying: Copying<'a>,
    begin: Instant,
    /// When the target was last asked.
    asked: Option<Instant>,
    pace: Pace,
    /// What was said last.
    said: Option<String>,
}

impl<'a> Look<'a> {
    pub(super) fn at(what: &'static str, copying: Copying<'a>) -> Self {
        Self { what, copying, begin: Instant::now(), asked: None, pace: Pace::default(), said: None }
    }

    /// Asks how far it is. `None`: the target cannot say, which is no fault.
    fn now(&mut self, target: &dyn Hypervisor) -> Option<String> {
        let copied = target.copied(self.copying).ok().flatten()?;
        Some(format!("{}: {}", self.what, self.pace.words(copied, self.begin.elapsed())))
    }

    /// How far it is, as the target says now or said a moment ago; `else_say` as long as it never said.
    pub(super) fn far(&mut self, target: &dyn Hypervisor, else_say: &str) -> String {
        if self.asked.is_none_or(|asked| asked.elapsed() >= THEN) {
            self.said = self.now(target).or_else(|| self.said.take());
            self.asked = Some(Instant::now());
        }
        self.said.clone().unwrap_or_else(|| else_say.to_owned())
    }
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
        let unit = if now.total.unwrap_or(now.done) >= GIB { (GIB, "GiB") } else { (MIB, "MiB") };
        let amount = |bytes: u64| format!("{}.{}", bytes / unit.0, bytes % unit.0 * 10 / unit.0);
        let Some(total) = now.total else { return format!("{} {}", amount(now.done), unit.1) };
        let same = |(first, _): &(Copied, Duration)| first.total == now.total && first.done <= now.done;
        let (first, since) = *self.first.take_if(|first| same(first)).as_ref().unwrap_or(&(now, at));
        self.first = Some((first, since));
        let percent = u128::from(now.done) * 100 / u128::from(total.max(1));
        let amounts = format!("{} of {} {}", amount(now.done), amount(total), unit.1);
        let copied = u128::from(now.done - first.done);
        let left = u128::from(total.saturating_sub(now.done));
        let seconds = (at.saturating_sub(since).as_millis() * left).checked_div(copied * 1000).filter(|_| left > 0);
        // What a narrow terminal cuts off matters least.
        let time = seconds.map(|seconds| format!(", about {} left", rounded(seconds))).unwrap_or_default();
        format!("{percent} %{time} ({amounts})")
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
            (2, 0, 50 * GIB, "0 % (0.0 of 50.0 GiB)"),
            // Nothing was copied yet: how long it takes cannot be known.
            (7, 0, 50 * GIB, "0 % (0.0 of 50.0 GiB)"),
            (12, GIB + GIB / 2, 50 * GIB, "3 %, about 6 min left (1.5 of 50.0 GiB)"),
            (302, 45 * GIB, 50 * GIB, "90 %, about 40 s left (45.0 of 50.0 GiB)"),
            (352, 50 * GIB, 50 * GIB, "100 % (50.0 of 50.0 GiB)"),
            // The next disk.
            (357, 100 * MIB, 512 * MIB, "19 % (100.0 of 512.0 MiB)"),
            (367, 101 * MIB, 512 * MIB, "19 %, about 1 h 8 min left (101.0 of 512.0 MiB)"),
            // One of the same size.
            (372, 0, 512 * MIB, "0 % (0.0 of 512.0 MiB)"),
            (373, 0, 0, "0 % (0.0 of 0.0 MiB)"),
        ] {
            assert_eq!(pace.words(Copied { done, total: Some(total) }, Duration::from_secs(at)), expected);
        }
        // A download whose server does not say how long it is.
        for (done, expected) in [(100 * MIB, "100.0 MiB"), (GIB + GIB / 2, "1.5 GiB")] {
            assert_eq!(pace.words(Copied { done, total: None }, Duration::from_secs(400)), expected);
        }
    }
}
