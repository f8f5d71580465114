//! The actor that every node has: it says what the node is and how it is. It looks at parts through closures that
//! the node hands it, so that it knows no other actor.

use std::cell::{Cell, OnceCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use futures_util::future::LocalBoxFuture;
use protocol::actions::Role;
use protocol::channels::supervisor_cancel as cancel;
use protocol::channels::supervisor_status::{Part, Pool, Reply, Request, State};

use serde::Serialize;

use crate::bus::Bus;
use crate::call::Held;
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Looks at an actor; nothing once it has gone for good.
pub type Look = Box<dyn Fn() -> Option<Part>>;

/// How the supervisor looks at the rest of the node.
pub struct Watched {
    /// The node's name.
    pub node: String,
    /// When it was started.
    pub started: jiff::Timestamp,
    /// What it serves.
    pub roles: Vec<Role>,
    /// Whether it takes calls.
    pub taking: Rc<Cell<bool>>,
    /// How its other actors are.
    pub parts: Box<dyn Fn() -> Vec<Part>>,
    /// How the supervisor itself is; known once it is there.
    pub itself: OnceCell<Look>,
    /// How its cells are, where it is a worker.
    pub pool: Box<dyn Fn() -> Option<Pool>>,
    /// The actions that its configuration adds.
    pub actions: Vec<String>,
    /// The calls that it holds.
    pub held: Held,
}

impl Watched {
    /// Whether the node takes calls, all of its parts answer, and cells can be had.
    #[must_use]
    pub fn ready(&self) -> bool {
        let forks = (self.pool)().is_none_or(|pool| pool.zygote.is_some());
        self.taking.get() && forks && self.all_parts().iter().all(|part| part.state == State::Up)
    }

    /// How every actor of the node is.
    #[must_use]
    pub fn all_parts(&self) -> Vec<Part> {
        let mut parts = (self.parts)();
        parts.extend(self.itself.get().and_then(|itself| itself()));
        parts
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

/// `supervisor:status`.
///
/// # Errors
/// The payload breaks its schema.
pub async fn status(watched: Rc<Watched>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    if request.node.is_some_and(|node| node != watched.node) {
        return Ok(ChannelAnswer::Silence);
    }
    Ok(ChannelAnswer::of(&Reply {
        node: watched.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: watched.started.to_string(),
        roles: watched.roles.clone(),
        ready: watched.ready(),
        parts: watched.all_parts(),
        pool: (watched.pool)(),
        actions: watched.actions.clone(),
    }))
}

/// How often a node says that it lives.
const BEAT: Duration = Duration::from_secs(2);

/// What a node says every two seconds on `supervisor.heartbeat.<node>`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeat<'a> {
    node: &'a str,
    version: &'static str,
    roles: &'a [Role],
    ready: bool,
    /// Places that are free; none where the node is no worker.
    free: Option<u32>,
    queued: Option<u32>,
    /// The scripts that have a warm cell, by project and slug.
    warm: Vec<String>,
}

/// Says that the node lives, as long as it does.
pub async fn beat(watched: Weak<Watched>, bus: Rc<Bus>) {
    while let Some(watched) = watched.upgrade() {
        let pool = (watched.pool)();
        let free = pool.as_ref().map(|pool| pool.places.saturating_sub(pool.running));
        let cells = pool.iter().flat_map(|pool| &pool.cells);
        let heartbeat = Heartbeat {
            node: &watched.node,
            version: env!("CARGO_PKG_VERSION"),
            roles: &watched.roles,
            ready: watched.ready(),
            free,
            queued: pool.as_ref().map(|pool| pool.queued),
            warm: cells.map(|cell| format!("{}/{}", cell.project, cell.script)).collect(),
        };
        bus.tell(&format!("supervisor.heartbeat.{}", watched.node), &heartbeat).await;
        drop(watched);
        tokio::time::sleep(BEAT).await;
    }
}

/// How long a node that does not hold a call leaves the answer to the one that does.
const OTHERS_FIRST: Duration = Duration::from_millis(250);

/// `supervisor:cancel`.
///
/// # Errors
/// The payload breaks its schema.
pub async fn cancel(watched: Rc<Watched>, call: ChannelCall) -> ChannelOutcome {
    let request: cancel::Request = call.read()?;
    let found = watched.held.cancel(&request.request_id, request.token.as_ref());
    if !found {
        tokio::time::sleep(OTHERS_FIRST).await;
    }
    Ok(ChannelAnswer::of(&cancel::Reply { found }))
}
