//! What cells ask of the node while a call runs in them, and how a call ends that waits: the places that such calls lend
//! to others, the answers they get, and the grace they have when they are cancelled.
//!
//! A call that waits for the node needs no processor, so its cell gives its place back. It takes one again before its
//! answer is delivered, even if none is free: for as long as such a call then runs, more cells run than there are
//! places. Were it to queue for a place instead, its answer would age in the node while others that hold places may
//! wait for the very same provider.

use std::rc::{Rc, Weak};
use std::time::Instant;

use bytes::Bytes;
use protocol::Failure;
use protocol::capability::Capability;
use protocol::failure::Cancelled;
use protocol::frame::ask::{Answer, Ask, COMPLETE, Cancel, Dropped, LARGEST_PAYLOAD, MOST, Outcome};
use protocol::frame::{self, Header, Operation};

use super::{Pool, count, death};
use crate::call::{By, cancelled};
use crate::worker::ask::{self, Answered};
use crate::worker::cell::{Cell, Pending};
use crate::worker::job::{Job, Work};

impl Pool {
    /// A frame of a running call that is no answer; `None` if it is one.
    pub(super) fn hear_running(
        &self,
        cell: &Rc<Cell>,
        header: Header,
        body: &Bytes,
    ) -> Option<Result<(), String>> {
        match header.operation {
            Operation::Ask => Some(self.hear_ask(cell, header.sequence, body)),
            Operation::Drop => Some(self.hear_drop(cell, header.sequence, body)),
            _ => None,
        }
    }

    /// A cell asks for something. What an honest one would not ask is why it is ended.
    fn hear_ask(&self, cell: &Rc<Cell>, sequence: u64, body: &Bytes) -> Result<(), String> {
        let granted = {
            let state = self.state.borrow();
            let runs = state.groups.get(&cell.key).map(|group| &group.runs);
            runs.is_some_and(|runs| runs.capabilities().contains(&Capability::Llm))
        };
        if !granted {
            return Err("a question that it may not ask".to_owned());
        }
        let Ask { ask, action, payload } = frame::borrow(body).map_err(|error| error.to_string())?;
        if action != COMPLETE || payload.len() > LARGEST_PAYLOAD {
            return Err("a question that nobody asks".to_owned());
        }
        let payload = body.slice_ref(payload);
        let mut state = cell.state_mut();
        let flight = state.flights.front_mut().filter(|flight| flight.sequence == sequence);
        let Some(flight) = flight else { return Err("a question out of turn".to_owned()) };
        if flight.asks.len() >= MOST || flight.asks.contains_key(&ask) {
            return Err("more questions than a call may have".to_owned());
        }
        let origin = match (flight.job.as_ref(), flight.grace) {
            (Some(Job { work: Work::Call { .. }, origin, .. }), _) => Some(origin.clone()),
            (None, Some(_)) => None,
            _ => return Err("a question of no call".to_owned()),
        };
        let (pool, asking, asker) = (Weak::clone(&self.this), Rc::downgrade(cell), self.asker.clone());
        let task = Self::vital(Weak::clone(&self.this), async move {
            let answered = match origin {
                Some(origin) => asker.complete(origin, payload).await,
                // Its caller has had an answer already.
                None => {
                    Err(ask::failed(&Failure::Cancelled(Cancelled { by: By::Request.as_str().to_owned() })))
                }
            };
            if let Some((pool, cell)) = pool.upgrade().zip(asking.upgrade()) {
                pool.deliver(&cell, sequence, ask, answered);
            }
        });
        flight.asks.insert(ask, Pending::new(&task));
        Ok(())
    }

    /// A cell no longer wants an answer; it may have come meanwhile.
    fn hear_drop(&self, cell: &Rc<Cell>, sequence: u64, body: &Bytes) -> Result<(), String> {
        let Dropped { ask } = frame::read(body).map_err(|error| error.to_string())?;
        let mut state = cell.state_mut();
        match state.flights.front_mut().filter(|flight| flight.sequence == sequence) {
            Some(flight) => {
                flight.asks.remove(&ask);
                Ok(())
            }
            None => Err("gives up a question out of turn".to_owned()),
        }
    }

    /// Gives a cell the answer to its question, if the call still runs and wants it.
    fn deliver(&self, cell: &Rc<Cell>, sequence: u64, ask: u32, answered: Answered) {
        let wanted = {
            let mut state = cell.state_mut();
            let flight = state.flights.front_mut().filter(|flight| flight.sequence == sequence);
            flight.is_some_and(|flight| flight.asks.remove(&ask).is_some())
        };
        if !wanted {
            return;
        }
        self.take_place(cell);
        let outcome = match &answered {
            Ok(data) => Outcome::Data(serde_bytes::Bytes::new(data)),
            Err(failed) => Outcome::Failed(failed.clone()),
        };
        // Both kinds of outcome were bounded where they came in.
        if let Err(error) = cell.tell(Operation::Answer, sequence, &Answer { ask, outcome }) {
            tracing::error!(%error, "an answer cannot be given to a cell");
        }
    }

    /// Lets others have the place of a cell while its call waits for the node, and takes it back when the call goes on
    /// for another reason than an answer.
    pub(super) fn look_at_place(&self, cell: &Rc<Cell>) {
        let (asks, lent, holds) = {
            let state = cell.state();
            let asks = state.flights.front().filter(|front| !front.asks.is_empty());
            (asks.map(|front| front.sequence), state.lent, state.holds_place)
        };
        let waits = asks.is_some_and(|sequence| cell.waits(sequence));
        if waits && holds {
            let mut state = cell.state_mut();
            state.holds_place = false;
            state.lent = true;
            drop(state);
            let mut state = self.state.borrow_mut();
            state.running -= 1;
            state.lent += 1;
        } else if lent && !waits {
            self.take_place(cell);
        }
    }

    /// A cell's place is no longer lent: it has one again, or needs none.
    pub(super) fn end_lending(&self, cell: &Rc<Cell>) {
        if std::mem::take(&mut cell.state_mut().lent) {
            self.state.borrow_mut().lent -= 1;
        }
    }

    /// Answers the running call of a cell, and lets the call itself have its grace to come to an end. What stands
    /// behind it goes elsewhere.
    pub(super) fn end_gently(&self, cell: &Rc<Cell>, now: Instant) {
        let scene = self.scene(cell);
        let (sequence, job, begun) = {
            let mut state = cell.state_mut();
            let Some(front) = state.flights.front_mut() else { return };
            front.grace = Some(now + self.bounds.grace);
            front.asks.clear();
            (front.sequence, front.job.take(), front.begun)
        };
        if let Some(job) = job {
            let failure =
                job.origin.cancel.by().map_or_else(|| death::waited(&job, begun, &scene), cancelled);
            job.end(Err(failure));
        }
        if cell.note_cancelled(sequence).is_err()
            || cell.tell(Operation::Cancel, sequence, &Cancel {}).is_err()
        {
            tracing::warn!("a cell cannot be told of a cancel");
        }
        self.take_place(cell);
        self.withdraw(cell, 1);
    }

    /// Ends a cell whose call has not come to its end within its grace.
    pub(super) fn end_grace(&self, cell: &Rc<Cell>) {
        count(&self.counts.killed);
        let (begun, waiting) = self.part_flights(cell);
        self.let_go(cell);
        // Others that had begun are lost with it: nobody can say how far they came.
        for (job, at) in begun {
            let failure = death::neighbour(&job, at);
            job.end(Err(failure));
        }
        self.recover(cell, waiting, false);
    }
}
