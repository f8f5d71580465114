//! Which actor handles which action and channel: one table. The bus asks here and nowhere else.

use bytes::Bytes;
use protocol::channel::{Code, Validation};
use protocol::{Failure, Format, Problem, raw};
use serde_json::Value;

use crate::call::{Call, Origin};
use crate::slot::Slot;
use crate::worker::Answering;
use crate::worker::operations as op;
use crate::{scripts, supervisor, worker};

/// Who handles an action, and how.
#[derive(Clone, Copy)]
enum Action {
    Worker(worker::Handle),
    Scripts(scripts::Handle),
}

/// Who handles a channel, and how.
#[derive(Clone, Copy)]
enum Channel {
    Scripts(scripts::ChannelHandle),
    Supervisor(supervisor::ChannelHandle),
}

const ACTIONS: &[(&str, Action)] = &[
    ("content.render", Action::Worker(|worker, call| Box::pin(op::content_render::handle(worker, call)))),
    ("macro.render", Action::Worker(|worker, call| Box::pin(op::macro_render::handle(worker, call)))),
    (
        "macro.renderMany",
        Action::Worker(|worker, call| Box::pin(op::macro_render_many::handle(worker, call))),
    ),
    ("script.compile", Action::Worker(|worker, call| Box::pin(op::script_compile::handle(worker, call)))),
    ("script.fetch", Action::Scripts(|scripts, call| Box::pin(scripts::fetch::handle(scripts, call)))),
    ("transform.apply", Action::Worker(|worker, call| Box::pin(op::transform_apply::handle(worker, call)))),
    ("utility.run", Action::Worker(|worker, call| Box::pin(op::utility_run::handle(worker, call)))),
];

const CHANNELS: &[(&str, Channel)] = &[
    ("script:check", Channel::Scripts(|scripts, call| Box::pin(scripts::check::handle(scripts, call)))),
    ("script:create", Channel::Scripts(|scripts, call| Box::pin(scripts::create::handle(scripts, call)))),
    ("script:defaults", Channel::Scripts(|scripts, call| Box::pin(scripts::defaults::handle(scripts, call)))),
    ("script:delete", Channel::Scripts(|scripts, call| Box::pin(scripts::delete::handle(scripts, call)))),
    ("script:get", Channel::Scripts(|scripts, call| Box::pin(scripts::get::handle(scripts, call)))),
    ("script:history", Channel::Scripts(|scripts, call| Box::pin(scripts::history::handle(scripts, call)))),
    ("script:list", Channel::Scripts(|scripts, call| Box::pin(scripts::list::handle(scripts, call)))),
    ("script:rollback", Channel::Scripts(|scripts, call| Box::pin(scripts::rollback::handle(scripts, call)))),
    ("script:sync", Channel::Scripts(|scripts, call| Box::pin(scripts::sync::handle(scripts, call)))),
    ("script:update", Channel::Scripts(|scripts, call| Box::pin(scripts::update::handle(scripts, call)))),
    (
        "supervisor:cancel",
        Channel::Supervisor(|watched, call| Box::pin(supervisor::cancel::handle(watched, call))),
    ),
    (
        "supervisor:counters",
        Channel::Supervisor(|watched, call| Box::pin(supervisor::counters::handle(watched, call))),
    ),
    (
        "supervisor:drain",
        Channel::Supervisor(|watched, call| Box::pin(supervisor::drain::handle(watched, call))),
    ),
    (
        "supervisor:pool",
        Channel::Supervisor(|watched, call| Box::pin(supervisor::pool::handle(watched, call))),
    ),
    (
        "supervisor:restart",
        Channel::Supervisor(|watched, call| Box::pin(supervisor::restart::handle(watched, call))),
    ),
    (
        "supervisor:status",
        Channel::Supervisor(|watched, call| Box::pin(supervisor::status::handle(watched, call))),
    ),
];

/// A call of a channel.
#[derive(Debug, Clone)]
pub struct ChannelCall {
    /// What belongs to it whoever handles it.
    pub origin: Origin,
    /// The encoding of the payload.
    pub format: Format,
    /// The encoded payload.
    pub payload: Bytes,
    /// Where the answer goes; the same on every node that hears the call.
    pub reply_to: String,
}

impl ChannelCall {
    /// Reads the payload.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` naming the path.
    pub fn read<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, ChannelFailure> {
        raw::read_object(self.format, &self.payload, "payload").map_err(ChannelFailure::validation)
    }
}

/// What a channel's handler returns.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelAnswer {
    /// The data.
    Data(Value),
    /// The call is for another node.
    Silence,
}

impl ChannelAnswer {
    /// Data of one of our own types.
    pub fn of<T: serde::Serialize>(data: &T) -> Self {
        Self::Data(serde_json::to_value(data).unwrap_or_default())
    }
}

/// Why a channel's call failed.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelFailure {
    /// The code; the texts follow from it.
    pub code: Code,
    /// The code's data.
    pub data: Option<Value>,
    /// For developers; without content.
    pub debug: Option<String>,
}

impl ChannelFailure {
    /// A failure that its code says all of.
    #[must_use]
    pub fn of(code: Code) -> Self {
        Self { code, data: None, debug: None }
    }

    /// A field that breaks its schema or a rule.
    #[must_use]
    pub fn validation(problem: Problem) -> Self {
        let debug = Some(problem.to_string());
        let data = serde_json::to_value(Validation { fields: vec![problem] }).ok();
        Self { code: Code::ValidationError, data, debug }
    }
}

/// What a failed action means to the channel that asked for it.
impl From<Failure> for ChannelFailure {
    fn from(failure: Failure) -> Self {
        let code = match &failure {
            Failure::Timeout(_) => Code::Timeout,
            Failure::RequestInvalid(problem) => return Self::validation(problem.clone()),
            Failure::ProcessDown(_)
            | Failure::InvalidResponse(_)
            | Failure::ActionFailed(_)
            | Failure::ActionUnknown(_)
            | Failure::Overloaded(_)
            | Failure::Cancelled(_)
            | Failure::Unavailable(_) => Code::ServiceFailure,
        };
        let reason = failure.reason().unwrap_or_default();
        Self { code, data: None, debug: Some(format!("{} {reason}", failure.code())) }
    }
}

/// What a channel's handler returns.
pub type ChannelOutcome = Result<ChannelAnswer, ChannelFailure>;

/// The actors of this node.
pub struct Router {
    /// Of role `worker`.
    pub worker: Option<worker::Door>,
    /// Of role `scripts`.
    pub scripts: Option<Slot<scripts::Scripts>>,
    /// Of every node.
    pub supervisor: Slot<supervisor::Supervisor>,
}

impl Router {
    /// Hands a call to the actor of its action. Its answer, or `UNAVAILABLE` if the actor is down.
    pub fn action(&self, name: &'static str, call: Call) -> Answering {
        let found = ACTIONS.iter().find(|(known, _)| *known == name);
        match (found.map(|(_, action)| *action), &self.worker, &self.scripts) {
            (Some(Action::Worker(handle)), Some(door), _) => door.run(|state| handle(state, call)),
            (Some(Action::Scripts(handle)), _, Some(slot)) => {
                let slot = slot.clone();
                Box::pin(async move { slot.send(scripts::Run { handle, call }).await? })
            }
            // What is subscribed to and has no line here is one of the configured ones.
            (None, Some(door), _) => door.run(|state| Box::pin(worker::action::handle(state, name, call))),
            _ => Box::pin(std::future::ready(Err(Failure::unavailable(name, 1_000)))),
        }
    }

    /// Hands a call to the actor of its channel.
    ///
    /// # Errors
    /// What the actor answered; `SERVICE_FAILURE` if it is down.
    pub async fn channel(&self, name: &'static str, call: ChannelCall) -> ChannelOutcome {
        let found = CHANNELS.iter().find(|(known, _)| *known == name);
        match (found.map(|(_, channel)| *channel), &self.scripts) {
            (Some(Channel::Scripts(handle)), Some(slot)) => {
                slot.send(scripts::RunChannel { handle, call }).await?
            }
            (Some(Channel::Supervisor(handle)), _) => {
                self.supervisor.send(supervisor::RunChannel { handle, call }).await?
            }
            (Some(Channel::Scripts(_)) | None, _) => Err(ChannelFailure::of(Code::ServiceFailure)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_operation_has_a_line_here() {
        let actions: Vec<_> = ACTIONS.iter().map(|(name, _)| *name).collect();
        let listed: Vec<_> = protocol::actions::ALL.iter().map(|spec| spec.name).collect();
        assert_eq!(actions, listed, "an action is in protocol::actions::ALL or here, but not in both");
        let channels: Vec<_> = CHANNELS.iter().map(|(name, _)| *name).collect();
        let listed: Vec<_> = protocol::channels::ALL.iter().map(|spec| spec.name).collect();
        assert_eq!(channels, listed, "a channel is in protocol::channels::ALL or here, but not in both");
    }
}
