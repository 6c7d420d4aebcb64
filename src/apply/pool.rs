//! Resource pools.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{Key, Outcome, is_kept, kept};

impl Performing<'_> {
    /// Puts the VM into a pool, or takes it out of the one that it is in, after a last look whether it is still the one
    /// that was planned.
    pub(super) fn set_pool(&mut self, from: Option<&str>, pool: Option<&str>) -> Result<Outcome, Failure> {
        let id = self.id();
        let live = self.live()?;
        if live.pool.as_deref() == pool {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        // No digest covers it.
        if live.pool.as_deref() != from {
            let what = format!("VM {id} changed since the plan: its pool is now {}", said(live.pool.as_ref()));
            return Err(stale(what, hints::LOOK_WHAT_DIFFERS));
        }
        // It counts as applied when the record says so in the end, wherever that is interrupted.
        let desired = pool.unwrap_or_default();
        let is_other = |key: &str, value: &str| key == Key::Pool.name() && !is_kept(value, &kept(desired));
        self.write_record(&|record| record.applied.retain(|key, value| !is_other(key, value)))?;
        let op = HostOp::SetPool { vm: id, from: live.pool, to: pool.map(ToOwned::to_owned) };
        self.host(&op, &|| {
            let is_so = self.live()?.pool.as_deref() == pool;
            Ok(if is_so { Holds::Yes } else { Holds::No })
        })?;
        let now = self.live()?;
        if now.pool.as_deref() != pool {
            let what =
                format!("the pool of VM {id} is still {}, though the target reported success", said(now.pool.as_ref()));
            return Err(failure(what, Some(hints::PLAN_AGAIN)));
        }
        self.found(now);
        Ok(self.action.outcome)
    }
}

fn said(pool: Option<&String>) -> String {
    pool.map_or_else(|| "none".to_owned(), |pool| format!("`{pool}`"))
}
