//! A node that is looked at before it is there: seen as it would be made, and made when something is done on it.

use std::path::Path;

use super::admin::{self, vacant, with_guests};
use super::settings::{self, Settings};
use super::{Embedded, GuestKind};
use crate::hypervisor::{Fault, FaultKind};

impl Embedded {
    /// Opens the node in `dir` to look at it: nothing is made or changed before
    /// [`begin`](crate::hypervisor::Hypervisor::begin). A directory that does not exist or is empty is seen as the
    /// fresh node that would be made there, and its guests are seen as of this kind.
    pub fn as_is(dir: &Path, guests: Option<GuestKind>) -> Result<Self, Fault> {
        let (settings, unmade) = look(dir, guests)?;
        Ok(Self { unmade, guests, ..Self::with(dir, settings) })
    }

    /// Whether the node is not there yet.
    pub fn is_unmade(&self) -> bool {
        self.unmade && !self.dir.join(settings::FILE).exists()
    }

    /// Makes the node if it was only looked at, and gives it the guests that were asked for.
    pub(super) fn make(&self) -> Result<(), Fault> {
        let settings = admin::open(&self.dir, self.guests)?;
        if self.unmade && settings != self.settings {
            let what = format!("another process made {} in the meantime, with other settings", self.dir.display());
            return Err(Fault::harmless(FaultKind::Stale, what).hint("plan again"));
        }
        Ok(())
    }
}

/// The settings of the node in `dir` with guests of this kind, and whether it is not there yet. Makes and changes
/// nothing.
fn look(dir: &Path, guests: Option<GuestKind>) -> Result<(Settings, bool), Fault> {
    let Some(settings) = Settings::read(dir)? else {
        vacant(dir)?;
        return Ok((Settings::of(guests.unwrap_or_default()), true));
    };
    let settings = match guests {
        Some(guests) if guests != settings.guests => with_guests(dir, settings, guests)?,
        _ => settings,
    };
    Ok((settings, false))
}
