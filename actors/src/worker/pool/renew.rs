//! Another zygote in the place of one that works: new cells come from the new one at once, those of the old one finish
//! what they run, and then it goes.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::{Cell, Pool};
use crate::worker::zygote::{self, Zygote};

/// How often it is looked whether the last cell of an old zygote has gone.
const LOOK: Duration = Duration::from_millis(50);

impl Pool {
    /// Asks for another zygote.
    pub fn renew(&self) {
        self.renewal.notify_one();
    }

    /// Lets no cell that there is take more calls than it has, and says which the last one is.
    fn retire_cells(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        state.zygote = None;
        state.cells.values().for_each(|cell| cell.state_mut().retires = true);
        state.next
    }

    /// The cells up to that number.
    fn cells_until(&self, last: u64) -> Vec<Rc<Cell>> {
        self.state.borrow().cells.values().filter(|cell| cell.id <= last).cloned().collect()
    }
}

/// Another zygote, once one is asked for; whatever fails leaves the old one in its place.
pub(super) async fn next(pool: &Weak<Pool>, command: &zygote::Command) -> Rc<Zygote> {
    loop {
        // The pool itself is not held, so that it can be dropped.
        let renewal = pool.upgrade().map(|pool| Rc::clone(&pool.renewal));
        let Some(renewal) = renewal else { return std::future::pending().await };
        renewal.notified().await;
        match Zygote::start(command).await {
            Ok(zygote) => return Rc::new(zygote),
            Err(error) => tracing::error!(%error, "there is no new zygote; the old one stays"),
        }
    }
}

/// Sees an old zygote to its end. Must be called before the new one forks anything.
pub(super) fn retire(pool: &Weak<Pool>, old: Rc<Zygote>) {
    let Some(last) = pool.upgrade().map(|pool| pool.retire_cells()) else { return };
    tracing::info!(pid = old.pid, "the zygote is replaced");
    let owner = Weak::clone(pool);
    let pool = Weak::clone(pool);
    let retiring = async move {
        while let Some(here) = pool.upgrade() {
            for cell in here.cells_until(last).iter().filter(|cell| cell.idle()) {
                here.let_go(cell);
            }
            if here.cells_until(last).is_empty() {
                break;
            }
            drop(here);
            let event = tokio::time::timeout(LOOK, old.event()).await;
            let Some(here) = pool.upgrade() else { break };
            match event {
                Ok(Some(event)) => here.hear_zygote(event),
                Ok(None) => {
                    here.lose_cells(here.cells_until(last));
                    break;
                }
                Err(_elapsed) => {}
            }
        }
        old.reap().await;
    };
    drop(Pool::vital(owner, retiring));
}
