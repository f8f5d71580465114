//! Counters of each endpoint, as ADR-32 `STATS` wants them. The service API of the client library counts every
//! published message as a request, so these are our own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use protocol::actions::Role;

use super::gate::Gate;

/// The counters of one endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// The action, or the channel with its colon.
    pub name: &'static str,
    /// Who serves it.
    pub role: Role,
    /// How much of its role is let in.
    pub gate: Rc<Gate>,
    /// Messages handled.
    pub requests: Cell<u64>,
    /// Those that failed.
    pub errors: Cell<u64>,
    /// Code of the last failure.
    pub last_error: RefCell<String>,
    /// Time from arrival to reply, all together.
    pub processing: Cell<Duration>,
}

impl Endpoint {
    /// Counts one handled message.
    pub fn count(&self, took: Duration, error: Option<&str>) {
        self.requests.set(self.requests.get() + 1);
        self.processing.set(self.processing.get() + took);
        if let Some(code) = error {
            self.errors.set(self.errors.get() + 1);
            self.last_error.replace(code.to_owned());
        }
    }
}

/// All counters of the node.
#[derive(Debug, Default)]
pub struct Stats {
    endpoints: RefCell<Vec<Rc<Endpoint>>>,
    /// Messages without a reply subject, or with one outside the inboxes.
    pub dropped: Cell<u64>,
}

impl Stats {
    /// A new endpoint.
    pub fn endpoint(&self, name: &'static str, role: Role, gate: Rc<Gate>) -> Rc<Endpoint> {
        let endpoint = Rc::new(Endpoint {
            name,
            role,
            gate,
            requests: Cell::new(0),
            errors: Cell::new(0),
            last_error: RefCell::new(String::new()),
            processing: Cell::new(Duration::ZERO),
        });
        self.endpoints.borrow_mut().push(Rc::clone(&endpoint));
        endpoint
    }

    /// Every endpoint, in the order in which they were made.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Rc<Endpoint>> {
        self.endpoints.borrow().clone()
    }
}
