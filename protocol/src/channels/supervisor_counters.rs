//! `supervisor:counters`: what a node, or all of them, have counted of calls of scripts.

use serde::{Deserialize, Serialize};

use super::Channel;
use super::supervisor_status::Gathering;
use crate::abi::Kind;
use crate::actions::Role;
use crate::counters::Figures;
use crate::envelope::Project;
use crate::id::Id;

/// Names the types of `supervisor:counters`.
#[derive(Debug)]
pub struct SupervisorCounters;

impl Channel for SupervisorCounters {
    const NAME: &'static str = "supervisor:counters";
    const ROLE: Role = Role::Supervisor;
    type Request = Request;
    type Reply = Reply;
}

/// Most scripts in a question, and in an answer.
pub const MOST: usize = 250;

/// The payload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SupervisorCountersRequest")]
pub struct Request {
    /// Only the node of this name answers; without it every node does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Asks for the sum over all nodes: one of them asks the others and answers for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<bool>,
    /// A node's own question to the others while it gathers what is asked with `cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gathering: Option<Gathering>,
    /// Whose scripts; those of all projects if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// Only these; the ones with the most calls if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 250))]
    pub scripts: Option<Vec<Id>>,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SupervisorCountersReply")]
pub struct Reply {
    /// The node's name.
    pub node: String,
    /// The node's own id, a new one at each start.
    pub id: Id,
    /// What was counted.
    #[serde(flatten)]
    pub counted: Counted,
    /// Whose figures these are the sum of, where `cluster` was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Sources>,
}

/// What was counted since the start of the node, or of all nodes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Counted")]
pub struct Counted {
    /// Scripts that were called, the ones with the most calls first.
    pub scripts: Vec<Script>,
    /// All calls, by what their scripts are for.
    pub kinds: Vec<OfKind>,
    /// How often a script's figures were given up because a node keeps those of so many only.
    pub forgotten: u64,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ScriptCounted")]
pub struct Script {
    /// Whose it is.
    pub project: String,
    /// Its id. All of its versions are counted together.
    pub id: Id,
    /// Its slug, when it was called last.
    pub slug: String,
    /// The version that was called last.
    pub version: u64,
    /// What was counted.
    #[serde(flatten)]
    pub figures: Figures,
}

/// All scripts of a kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "KindCounted")]
pub struct OfKind {
    /// What they are for.
    pub kind: Kind,
    /// What was counted.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Who has answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "CountersSources")]
pub struct Sources {
    /// The workers whose figures are in it, by name.
    pub nodes: Vec<String>,
    /// The workers that live and have not answered, by name.
    pub missing: Vec<String>,
    /// Whether the figures are not those of all: somebody is missing, or nobody could be asked.
    pub partial: bool,
}
