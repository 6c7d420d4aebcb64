//! How the HA manager is to look after a VM.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::Deserializer;

use super::words::words;
use crate::config::limits::MAX_TRIES;
use crate::model::HaState;

/// Says how the HA manager is to look after the VM.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawHa {
    /// Sets the state in which the HA manager keeps the VM; without it, `started` or `stopped`, as the VM's own `started`
    /// says. The two must not contradict each other, and one of them is enough.
    #[schemars(schema_with = "state", title = "State", example = &"started")]
    pub(in crate::config) state: Option<HaState>,
    /// Sets how often the HA manager starts the VM again on the same node when it does not come up.
    #[schemars(title = "Restarts", range(min = 0, max = MAX_TRIES), example = 3, extend("default" = 1))]
    pub(in crate::config) max_restart: Option<u32>,
    /// Sets how often the HA manager tries another node when the VM does not come up on its own.
    #[schemars(title = "Other nodes", range(min = 0, max = MAX_TRIES), example = 2, extend("default" = 1))]
    pub(in crate::config) max_relocate: Option<u32>,
}

/// What says in a schema that `null` has a meaning there.
pub(crate) const NULLABLE: &str = "nullable";

/// Makes the schema of it, or of `null`, which takes what is inherited away.
pub(super) fn ha(generator: &mut SchemaGenerator) -> Schema {
    let mut ha = RawHa::json_schema(generator);
    ha.insert("type".to_owned(), serde_json::json!(["object", "null"]));
    ha.insert(NULLABLE.to_owned(), true.into());
    ha
}

/// Makes the schema of the words for the state.
fn state(_: &mut SchemaGenerator) -> Schema {
    words(HaState::ALL.iter().map(|state| (state.as_str(), state.meaning())))
}

/// What says how the HA manager is to look after a VM, or `null`, by which it is not to.
#[derive(Debug)]
pub(crate) struct RawHaOrNull(pub(in crate::config) Option<RawHa>);

/// Reads it: to serde a `null` is a key that is not there.
pub(super) fn some_ha<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RawHaOrNull>, D::Error> {
    Option::deserialize(from).map(|ha| Some(RawHaOrNull(ha)))
}
