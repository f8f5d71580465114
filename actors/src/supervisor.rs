//! The actor that every node has: it says what the node is and how it is, and does what an operator asks of it. It
//! looks at parts and reaches them through closures that the node hands it, so that it knows no other actor.
//!
//! One file a channel; `heartbeat` says that the node lives, `cluster` is what it knows of others.

pub mod cancel;
pub mod cluster;
pub mod counters;
pub mod drain;
pub mod heartbeat;
pub mod pool;
pub mod restart;
pub mod status;

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use futures_util::future::LocalBoxFuture;
use protocol::actions::Role;
use protocol::channel::Code;
use protocol::channels::supervisor_counters::{self, Counted};
use protocol::channels::supervisor_pool::Resize;
use protocol::channels::supervisor_status::{NamedPool, Part, Pool, State};
use tokio::sync::Notify;

use crate::bus::Bus;
use crate::router::{ChannelCall, ChannelFailure, ChannelOutcome};

/// Looks at an actor; nothing once it has gone for good.
pub type Look = Box<dyn Fn() -> Option<Part>>;

/// Looks at what a worker has counted.
pub type Count = Box<dyn Fn(&supervisor_counters::Request, bool) -> Option<Counted>>;

/// How the supervisor looks at the rest of the node, and reaches it.
pub struct Watched {
    /// To tell and ask other nodes; has the node's name, id, start and the calls that it holds.
    pub bus: Rc<Bus>,
    /// What it serves.
    pub roles: Vec<Role>,
    /// Whether it takes calls.
    pub taking: Rc<Cell<bool>>,
    /// How its other actors are.
    pub parts: Box<dyn Fn() -> Vec<Part>>,
    /// How the supervisor itself is; known once it is there.
    pub itself: OnceCell<Look>,
    /// How the programs of its configuration are.
    pub services: Box<dyn Fn() -> Vec<Part>>,
    /// How its cells of scripts are, where it is a worker.
    pub pool: Box<dyn Fn() -> Option<Pool>>,
    /// How its other pools are, where it has any.
    pub pools: Box<dyn Fn() -> Vec<NamedPool>>,
    /// What it has counted of calls of scripts, where it is a worker; with histograms or without.
    pub counted: Count,
    /// The actions that its configuration adds.
    pub actions: Vec<String>,
    /// Changes how many cells it has; whether it is a worker.
    pub resize: Box<dyn Fn(Resize) -> bool>,
    /// The parts that can be made anew, and how.
    pub anew: Vec<(String, Box<dyn Fn()>)>,
    /// Told when the node shall stop.
    pub drain: Notify,
    /// How long running calls may go on then, in ms.
    pub drain_ms: u64,
    /// Whether the node has begun to stop.
    pub leaving: Cell<bool>,
    /// What is known of other nodes.
    pub cluster: cluster::Cluster,
}

impl Watched {
    /// Whether the node takes calls, all of its parts answer, and cells can be had.
    #[must_use]
    pub fn ready(&self) -> bool {
        let forks = (self.pool)().is_none_or(|pool| pool.zygote.is_some())
            && (self.pools)().iter().all(|named| named.pool.zygote.is_some());
        self.taking.get() && forks && self.all_parts().iter().all(|part| part.state == State::Up)
    }

    /// How every actor of the node is.
    #[must_use]
    pub fn actors(&self) -> Vec<Part> {
        let mut parts = (self.parts)();
        parts.extend(self.itself.get().and_then(|itself| itself()));
        parts
    }

    /// How its actors and programs are.
    #[must_use]
    pub fn all_parts(&self) -> Vec<Part> {
        let mut parts = self.actors();
        parts.extend((self.services)());
        parts
    }

    /// Whether `node` names this one.
    #[must_use]
    pub fn is_called(&self, node: &str) -> bool {
        self.bus.node == node
    }
}

/// The actor.
pub struct Supervisor {
    watched: Rc<Watched>,
}

impl Supervisor {
    /// An actor that looks at `watched`.
    #[must_use]
    pub fn new(watched: Rc<Watched>) -> Self {
        Self { watched }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

/// Handles a channel of this role.
pub type ChannelHandle = fn(Rc<Watched>, ChannelCall) -> LocalBoxFuture<'static, ChannelOutcome>;

/// A call of a channel of this role.
#[derive(Message)]
#[rtype(result = "ChannelOutcome")]
pub struct RunChannel {
    /// What handles it.
    pub handle: ChannelHandle,
    /// The call.
    pub call: ChannelCall,
}

impl Handler<RunChannel> for Supervisor {
    type Result = ResponseFuture<ChannelOutcome>;

    fn handle(&mut self, message: RunChannel, _: &mut Self::Context) -> Self::Result {
        crate::faults::point("supervisor");
        (message.handle)(Rc::clone(&self.watched), message.call)
    }
}

/// The failure of a call that this node's kind cannot serve.
fn not_here(path: &str, problem: &str) -> ChannelFailure {
    ChannelFailure::validation(protocol::Problem::new(path, problem))
}

/// The failure of a call that came while the node stops.
fn stopping() -> ChannelFailure {
    ChannelFailure {
        debug: Some("the node is stopping".to_owned()),
        ..ChannelFailure::of(Code::ServiceFailure)
    }
}
