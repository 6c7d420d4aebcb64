//! Names of resource pools.

use super::lexis::{Verdict, only};

/// Pattern of [`name`].
pub(crate) const POOL: &str = "^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2})?$";

/// Accepts the name of a resource pool, or nothing, which stands for no pool.
pub(super) fn name(text: &str) -> Verdict {
    if text.is_empty() {
        return Ok(());
    }
    only(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))?;
    if text.split('/').any(str::is_empty) {
        return Err("a slash needs a name before and after it".into());
    }
    if text.split('/').count() > 3 {
        return Err("it has more than three parts".into());
    }
    Ok(())
}
