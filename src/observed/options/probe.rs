//! A row that only tests have: what a new row costs is this much, and everything else follows.

use super::row::Row;
use super::taking::at_restart;
use super::value::{Value, Wish};
use crate::model::DesiredVm;

/// `balloon`, which a file wishes for in its description, as no key stands for it: `balloon 512`.
pub(super) static ROWS: &[Row] = &[Row {
    read: |live| Some(Value::Number(live.options.get("balloon")?.parse().ok()?)),
    wish: |vm, _| Wish::some(wished(vm).map(Value::Number)),
    write: |_, value, edit| edit.put("balloon", value.map(ToString::to_string).unwrap_or_default()),
    uptake: |taking| at_restart(taking, "the probe says so"),
    ..Row::own("balloon", &["balloon"])
}];

fn wished(vm: &DesiredVm) -> Option<u64> {
    vm.description.strip_prefix("balloon ")?.parse().ok()
}
