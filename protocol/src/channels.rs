//! The list of channels: one module each with its payload, its data and its wire name. See `actions` for the steps
//! of adding one.

pub mod script_check;
pub mod script_create;
pub mod script_defaults;
pub mod script_delete;
pub mod script_get;
pub mod script_history;
pub mod script_list;
pub mod script_rollback;
pub mod script_sync;
pub mod script_update;
pub mod supervisor_cancel;
pub mod supervisor_counters;
pub mod supervisor_drain;
pub mod supervisor_pool;
pub mod supervisor_restart;
pub mod supervisor_status;

use schemars::{Schema, SchemaGenerator};

use crate::actions::Role;

/// What is fixed about a channel.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The channel with its colon.
    pub name: &'static str,
    /// Who serves it.
    pub role: Role,
    /// The time it is given, in ms. A setting overrides it.
    pub timeout_ms: u64,
    /// Whether it changes something: its outcome is kept for a while, for callers who ask again with the same id.
    pub keeps: bool,
    /// Schema of the payload.
    pub request: fn(&mut SchemaGenerator) -> Schema,
    /// Schema of the data.
    pub reply: fn(&mut SchemaGenerator) -> Schema,
}

/// A channel's types under its name.
pub trait Channel {
    /// The channel with its colon.
    const NAME: &'static str;
    /// Who serves it.
    const ROLE: Role;
    /// The time it is given, in ms.
    const TIMEOUT_MS: u64 = 10_000;
    /// Whether it changes something: its outcome is kept for a while, for callers who ask again with the same id.
    const KEEPS: bool = false;
    /// The payload.
    type Request: schemars::JsonSchema;
    /// The data of a success.
    type Reply: schemars::JsonSchema;
}

const fn spec<C: Channel>() -> Spec {
    Spec {
        name: C::NAME,
        role: C::ROLE,
        timeout_ms: C::TIMEOUT_MS,
        keeps: C::KEEPS,
        request: SchemaGenerator::subschema_for::<C::Request>,
        reply: SchemaGenerator::subschema_for::<C::Reply>,
    }
}

/// Every channel.
pub const ALL: &[Spec] = &[
    spec::<script_check::ScriptCheck>(),
    spec::<script_create::ScriptCreate>(),
    spec::<script_defaults::ScriptDefaults>(),
    spec::<script_delete::ScriptDelete>(),
    spec::<script_get::ScriptGet>(),
    spec::<script_history::ScriptHistory>(),
    spec::<script_list::ScriptList>(),
    spec::<script_rollback::ScriptRollback>(),
    spec::<script_sync::ScriptSync>(),
    spec::<script_update::ScriptUpdate>(),
    spec::<supervisor_cancel::SupervisorCancel>(),
    spec::<supervisor_counters::SupervisorCounters>(),
    spec::<supervisor_drain::SupervisorDrain>(),
    spec::<supervisor_pool::SupervisorPool>(),
    spec::<supervisor_restart::SupervisorRestart>(),
    spec::<supervisor_status::SupervisorStatus>(),
];

/// The channel of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Spec> {
    ALL.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_two_words_around_a_colon_in_alphabetical_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(ALL.iter().all(|spec| spec.name.split(':').count() == 2 && !spec.name.contains('.')));
    }
}
