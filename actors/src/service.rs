//! The long-lived programs of the configuration (`[[service]]`): trusted, started with the node, kept running, stopped
//! with it. One program's life is in `program`, the reading of what it writes in `lines`; how a process is started and
//! signalled is in `process`.

pub mod lines;
mod program;

use std::rc::Rc;

use protocol::channels::supervisor_status::{Part, State};
use tokio::task::JoinHandle;

use crate::config;
use program::Program;

/// The programs of a node.
#[derive(Default)]
pub struct Services {
    programs: Vec<Rc<Program>>,
    keepers: std::cell::RefCell<Vec<JoinHandle<()>>>,
}

impl Services {
    /// The programs of that configuration, not started yet.
    #[must_use]
    pub fn new(services: &[config::Service]) -> Self {
        Self { programs: services.iter().cloned().map(Program::new).collect(), ..Self::default() }
    }

    /// Starts every program.
    pub fn start(&self) {
        let keepers = self.programs.iter().map(|program| tokio::task::spawn_local(Rc::clone(program).keep()));
        self.keepers.borrow_mut().extend(keepers);
    }

    /// How the programs are.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        self.programs.iter().map(|program| program.part()).collect()
    }

    /// The names of the programs among the parts of the node.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.programs.iter().map(|program| program.name()).collect()
    }

    /// Starts one anew; what it does is ended as at a stop.
    pub fn restart(&self, name: &str) {
        self.programs.iter().filter(|program| program.name() == name).for_each(|program| program.restart());
    }

    /// Resolves once each program is ready or stays down.
    pub async fn settled(&self) {
        for program in &self.programs {
            loop {
                let changed = program.changed.notified();
                if program.part().state != State::Restarting {
                    break;
                }
                changed.await;
            }
        }
    }

    /// Ends every program, each within its time.
    pub async fn stop(&self) {
        self.programs.iter().for_each(|program| program.stop());
        let keepers = std::mem::take(&mut *self.keepers.borrow_mut());
        for keeper in keepers {
            let _ended = keeper.await;
        }
    }
}
