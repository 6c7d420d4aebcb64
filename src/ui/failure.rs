//! What a failed action is about, as people read it: the keys of the file, and where they stand.

use super::text::safe;
use crate::event::{Failure, KeyPlace};

/// One line for each place, such as `--> config.json:12:7: network_model`; only the keys where no place is known, and
/// nothing where there are none either.
pub(super) fn about(failure: &Failure) -> Vec<String> {
    if failure.places.is_empty() && !failure.keys.is_empty() {
        return vec![format!("--> {}", safe(&failure.keys.join(", ")))];
    }
    failure.places.iter().map(line).collect()
}

fn line(place: &KeyPlace) -> String {
    let KeyPlace { file, line, column, keys } = place;
    let keys = if keys.is_empty() { String::new() } else { format!(": {}", safe(&keys.join(", "))) };
    format!("--> {}:{line}:{column}{keys}", safe(file))
}
