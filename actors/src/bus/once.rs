//! A call that bears its caller's own id runs once however often it is sent: repeats join it or get what was kept.
//! A bare payload has no such id and passes by. How repeats are found and kept is in `repeat`.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use protocol::channel::Code as ChannelCode;
use protocol::envelope::Written;
use protocol::{Failure, Format, Id, Raw, actions, channels};

use super::Bus;
use super::intake::{self, Taken};
use crate::call::Answer;
use crate::repeat::{self, Entered, Named};
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome, Router};

/// Most bytes of kept outcomes of actions.
const MOST_OF_ACTIONS: usize = 60 << 20;
/// Most bytes of kept outcomes of channels.
const MOST_OF_CHANNELS: usize = 4 << 20;

/// The calls that run and what is kept of others.
pub(super) struct Repeats {
    actions: repeat::Repeats<Answer>,
    channels: repeat::Repeats<ChannelOutcome>,
}

impl Repeats {
    /// Keeps outcomes for `time`.
    pub(super) fn new(time: Duration) -> Self {
        Self {
            actions: repeat::Repeats::new(time, MOST_OF_ACTIONS),
            channels: repeat::Repeats::new(time, MOST_OF_CHANNELS),
        }
    }
}

/// How a call ended, for one caller or for several.
pub(super) enum Outcome {
    Own(Answer),
    Shared(Rc<Answer>),
}

impl Outcome {
    /// Why it failed, if it did.
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.answer().as_ref().err()
    }

    fn answer(&self) -> &Answer {
        match self {
            Self::Own(answer) => answer,
            Self::Shared(answer) => answer,
        }
    }

    /// The body of the reply, written into `room`.
    pub(super) fn write(&self, format: Format, id: &str, now: jiff::Timestamp, room: Vec<u8>) -> Written<'_> {
        match self.answer() {
            Ok(data) => Written::success(format, id, &Raw::trusted(format, data), now, room),
            Err(failure) => Written::failure(format, id, failure.clone(), now, room),
        }
    }
}

/// Runs an action's call, unless it repeats another.
pub(super) async fn action(
    bus: &Bus,
    router: &Router,
    spec: &'static actions::Spec,
    taken: Taken,
) -> Outcome {
    let Taken { call, token, late, .. } = taken;
    let named = Named {
        id: call.origin.request_id.clone(),
        subject: spec.name,
        project: call.origin.project.clone(),
        operator: None,
        parts: call.origin.stream.is_some(),
        format: call.format,
        payload: call.payload.clone(),
    };
    if let Some(late) = late {
        // Who sends the very same message again is late by its own timestamp, but asks for no work.
        return match bus.repeats.actions.find(&named) {
            Some(Entered::Kept(answer)) => Outcome::Shared(answer),
            _ => Outcome::Own(Err(call.origin.deadline.passed_in_queue(Some(late)))),
        };
    }
    let deadline = call.origin.deadline;
    match bus.repeats.actions.enter(named) {
        Entered::Kept(answer) => Outcome::Shared(answer),
        Entered::Joined(joined) => tokio::select! {
            biased;
            answer = joined.outcome() => {
                answer.map_or_else(|| Outcome::Own(Err(Failure::unavailable(spec.name, 100))), Outcome::Shared)
            }
            () = tokio::time::sleep(deadline.left()) => Outcome::Own(Err(deadline.passed_while_running())),
        },
        Entered::First(first) => {
            let _held = bus.held.hold(token, &call.origin);
            let answer = intake::run(router, spec, call).await;
            // Of what is kept, only itself is kept, and not what it is a part of.
            let answer = if spec.keeps { answer.map(|data| Bytes::copy_from_slice(&data)) } else { answer };
            let weight = if spec.keeps { weight(&answer) } else { None };
            Outcome::Shared(first.end(answer, weight))
        }
    }
}

/// Bytes that an answer holds if it is one that is kept: what the code itself returned or raised.
fn weight(answer: &Answer) -> Option<usize> {
    match answer {
        Ok(data) => Some(data.len()),
        Err(Failure::ActionFailed(details)) => {
            let texts = [&details.reason, &details.script, &details.exception, &details.output];
            Some(texts.into_iter().flatten().map(String::capacity).sum())
        }
        Err(
            Failure::Timeout(_)
            | Failure::ProcessDown(_)
            | Failure::InvalidResponse(_)
            | Failure::ActionUnknown(_)
            | Failure::RequestInvalid(_)
            | Failure::Overloaded(_)
            | Failure::Cancelled(_)
            | Failure::Unavailable(_),
        ) => None,
    }
}

/// Runs a channel's call, unless it repeats another. Without an `operator` it was a bare payload.
pub(super) async fn channel(
    bus: &Bus,
    router: &Router,
    spec: &'static channels::Spec,
    call: ChannelCall,
    operator: Option<Id>,
) -> ChannelOutcome {
    // Only what changes something needs to happen once.
    let (Some(operator), true) = (operator, spec.keeps) else {
        return router.channel(spec.name, call).await;
    };
    let named = Named {
        id: call.origin.request_id.clone(),
        subject: spec.name,
        project: call.origin.project.clone(),
        operator: Some(operator),
        parts: false,
        format: call.format,
        payload: call.payload.clone(),
    };
    let deadline = call.origin.deadline;
    let outcome = match bus.repeats.channels.enter(named) {
        Entered::Kept(outcome) => outcome,
        Entered::Joined(joined) => {
            let outcome = tokio::select! {
                biased;
                outcome = joined.outcome() => outcome,
                () = tokio::time::sleep(deadline.left()) => {
                    return Err(ChannelFailure::of(ChannelCode::Timeout));
                }
            };
            outcome.unwrap_or_else(|| Rc::new(Err(ChannelFailure::of(ChannelCode::ServiceFailure))))
        }
        Entered::First(first) => {
            let outcome = router.channel(spec.name, call).await;
            let weight = match &outcome {
                Ok(ChannelAnswer::Data(data)) => Some(data.to_string().len()),
                Ok(ChannelAnswer::Silence) | Err(_) => None,
            };
            first.end(outcome, weight)
        }
    };
    Rc::unwrap_or_clone(outcome)
}
