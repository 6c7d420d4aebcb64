//! Where the VMs of a report stand in the config.

use std::collections::BTreeMap;

use super::Region;
use super::annotations::Mark;
use crate::config::spans::LineIndex;
use crate::config::{self, Source};
use crate::diag::Span;

/// Finds lines and columns of VMs, as the config is now.
pub struct Places {
    file: String,
    vms: BTreeMap<u32, (Region, BTreeMap<String, Region>)>,
}

impl Places {
    /// The places in a config. Without its text only the file itself can be named.
    #[must_use]
    pub fn of(file: &str, source: Option<&Source>) -> Self {
        let text = source.map_or("", |source| &source.text);
        let lines = LineIndex::new(text);
        let region = |span: Span| {
            let (line, column) = lines.place(text, span.start);
            let (end_line, end_column) = lines.place(text, span.end);
            Region { line, column, end_line, end_column }
        };
        let vms = config::places(text).into_iter().map(|(vm, (own, keys))| {
            (vm, (region(own), keys.into_iter().map(|(key, span)| (key, region(span))).collect()))
        });
        Self { file: file.to_owned(), vms: vms.collect() }
    }

    /// The place of a VM, or of the first of these keys that it says itself.
    pub(super) fn mark<'k>(&self, vm: Option<u32>, keys: impl IntoIterator<Item = &'k str>) -> Mark<'_> {
        let place = vm.and_then(|vm| self.vms.get(&vm));
        let region = place.map(|(own, said)| keys.into_iter().find_map(|key| said.get(key)).unwrap_or(own));
        Mark { file: &self.file, region: region.copied() }
    }
}
