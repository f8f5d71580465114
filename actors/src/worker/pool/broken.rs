//! A pool whose own code has panicked: nobody can say what of its state is still true, so it is given up as a whole and
//! the worker gets a new one. Cells that die are no such case; see `pool::event`.

use std::cell::Cell as Flag;
use std::panic::AssertUnwindSafe;
use std::rc::Weak;

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use super::Pool;
use crate::worker::cell::Phase;

/// Whether the pool's code has panicked.
#[derive(Debug, Default)]
pub(super) struct Broken {
    flag: Flag<bool>,
    told: Notify,
}

impl Broken {
    fn set(&self) {
        self.flag.set(true);
        self.told.notify_waiters();
    }
}

/// Held while code of the pool runs in a task of others, whose panic says nothing about the pool by itself.
pub(in crate::worker) struct Inside<'a>(&'a Broken);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set();
        }
    }
}

impl Pool {
    /// Whether its own code has panicked.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.flag.get()
    }

    /// Resolves once its own code has panicked.
    pub async fn broken(&self) {
        loop {
            let told = self.broken.told.notified();
            if self.is_broken() {
                return;
            }
            told.await;
        }
    }

    /// Ends the zygote and every cell, and fails all that waits. The pool is of no use after that.
    pub fn give_up(&self) {
        self.closing.send_replace(true);
        let Ok(mut state) = self.state.try_borrow_mut() else { return };
        let state = std::mem::take(&mut *state);
        for cell in state.cells.values() {
            // The jobs in it go, and with them the senders of their outcomes: whoever waits is told at once.
            cell.state_mut().flights.clear();
            cell.enter(Phase::Gone);
            cell.kill();
        }
        drop(state);
    }

    pub(in crate::worker) fn inside(&self) -> Inside<'_> {
        Inside(&self.broken)
    }

    /// Runs a task without which the pool is of no use: if it panics, the pool is broken.
    pub(crate) fn vital(
        this: Weak<Self>,
        task: impl Future<Output = ()> + 'static,
    ) -> tokio::task::JoinHandle<()> {
        tokio::task::spawn_local(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err()
                && let Some(pool) = this.upgrade()
            {
                pool.broken.set();
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use protocol::Failure;

    use super::*;
    use crate::call::{Deadline, Origin};
    use crate::worker::ask::Asker;
    use crate::worker::job::{Outcome, Work};
    use crate::worker::pool::Runs;
    use crate::worker::{bounds, zygote};

    /// A call in a pool that has no zygote: it waits.
    async fn call(pool: Rc<Pool>) -> Outcome {
        let deadline = Deadline::within(Duration::from_secs(60));
        pool.run(Runs::Compiler, Work::Load, Origin::own(deadline)).await
    }

    #[actix_rt::test]
    async fn a_pool_whose_task_panicked_fails_what_waits_and_takes_nothing_more() {
        let nowhere = zygote::Command {
            python: "/nowhere".into(),
            extension: "/nowhere".into(),
            reach: zygote::Reach::Closed,
            tls: false,
            packages: None,
        };
        let pool = Pool::new(bounds(&crate::config::Worker::default()), nowhere, Asker::Nobody);
        let waiting = tokio::task::spawn_local(call(Rc::clone(&pool)));
        tokio::task::yield_now().await;
        assert!(!pool.is_broken() && !waiting.is_finished());
        drop(Pool::vital(Rc::downgrade(&pool), async { panic!("a panic for the test") }));
        tokio::time::timeout(Duration::from_secs(5), pool.broken()).await.unwrap();
        pool.give_up();
        let outcome = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
        assert!(matches!(outcome, Err(Failure::Unavailable(_))), "{outcome:?}");
        let outcome = tokio::time::timeout(Duration::from_secs(5), call(Rc::clone(&pool))).await.unwrap();
        assert!(matches!(outcome, Err(Failure::Unavailable(_))), "{outcome:?}");
    }

    #[actix_rt::test]
    async fn a_panic_inside_of_the_pool_breaks_it_and_one_elsewhere_does_not() {
        let broken = Broken::default();
        drop(Inside(&broken));
        assert!(!broken.flag.get());
        let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let _inside = Inside(&broken);
            panic!("a panic for the test");
        }));
        assert!(unwound.is_err() && broken.flag.get());
    }
}
