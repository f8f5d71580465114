//! The list of actions: one module each with its request, its reply and its wire name.
//!
//! Adding one is four steps: the types and their schema here, a line in [`ALL`], a handler, a line in the node's
//! router. A test says which one is missing.

pub mod content_render;
pub mod macro_render;
pub mod macro_render_many;
pub mod script_compile;
pub mod script_fetch;
pub mod transform_apply;
pub mod utility_run;

use schemars::{Schema, SchemaGenerator};

/// A role: a set of subjects that a node serves as one queue group.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs Python.
    Worker,
    /// Keeps scripts.
    Scripts,
    /// Watches its own node; no queue group, all nodes hear.
    Supervisor,
}

impl Role {
    /// The name on the command line and of the queue group.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Scripts => "scripts",
            Self::Supervisor => "supervisor",
        }
    }
}

/// What is fixed about an action.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The subject without a prefix.
    pub name: &'static str,
    /// Who serves it.
    pub role: Role,
    /// The time it is given if nobody says otherwise, in ms. A setting overrides it.
    pub timeout_ms: u64,
    /// Whether its outcome is kept for a while, for callers who ask again with the same id.
    pub keeps: bool,
    /// Whether its answer can come in parts.
    pub streams: bool,
    /// Whether parts ask it of each other. A node that stops serves it until what callers asked for has ended.
    pub between_parts: bool,
    /// Schema of the payload.
    pub request: fn(&mut SchemaGenerator) -> Schema,
    /// Schema of the data.
    pub reply: fn(&mut SchemaGenerator) -> Schema,
}

impl Spec {
    /// An action that is not in [`ALL`]: an installation adds it, and its schemas are not ours.
    #[must_use]
    pub fn added(name: &'static str, timeout_ms: u64) -> Self {
        let any = |_: &mut SchemaGenerator| Schema::from(true);
        Self {
            name,
            role: Role::Worker,
            timeout_ms,
            between_parts: false,
            keeps: false,
            streams: false,
            request: any,
            reply: any,
        }
    }
}

/// An action's types under its name.
pub trait Action {
    /// The subject without a prefix.
    const NAME: &'static str;
    /// Who serves it.
    const ROLE: Role;
    /// The time it is given if nobody says otherwise, in ms.
    const TIMEOUT_MS: u64;
    /// Whether its outcome is kept for a while, for callers who ask again with the same id.
    const KEEPS: bool = false;
    /// Whether its answer can come in parts.
    const STREAMS: bool = false;
    /// Whether parts ask it of each other.
    const BETWEEN_PARTS: bool = false;
    /// The payload.
    type Request: schemars::JsonSchema;
    /// The data of a success.
    type Reply: schemars::JsonSchema;
}

const fn spec<A: Action>() -> Spec {
    Spec {
        name: A::NAME,
        role: A::ROLE,
        timeout_ms: A::TIMEOUT_MS,
        keeps: A::KEEPS,
        streams: A::STREAMS,
        between_parts: A::BETWEEN_PARTS,
        request: SchemaGenerator::subschema_for::<A::Request>,
        reply: SchemaGenerator::subschema_for::<A::Reply>,
    }
}

/// Every action.
pub const ALL: &[Spec] = &[
    spec::<content_render::ContentRender>(),
    spec::<macro_render::MacroRender>(),
    spec::<macro_render_many::MacroRenderMany>(),
    spec::<script_compile::ScriptCompile>(),
    spec::<script_fetch::ScriptFetch>(),
    spec::<transform_apply::TransformApply>(),
    spec::<utility_run::UtilityRun>(),
];

/// The action of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Spec> {
    ALL.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_two_tokens_in_alphabetical_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(ALL.iter().all(|spec| spec.name.split('.').count() == 2));
    }

    #[test]
    fn no_payload_has_a_payload_key_at_its_top() {
        for spec in ALL {
            let mut generator = SchemaGenerator::default();
            (spec.request)(&mut generator);
            for schema in generator.definitions().values() {
                let text = schema.pointer("/properties/payload");
                assert!(text.is_none(), "{} would be taken for an envelope", spec.name);
            }
        }
    }
}
