//! What is about to be said. Each write to the broker wakes it, and what that costs is the same for one message as for thirty: while many
//! are known to follow, those that wait may wait for them.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// From so many messages that are about to be said, others wait for them.
const MANY: usize = 8;
/// Nothing waits any more once so many bytes do.
const LUMP: usize = 32 << 10;
/// Longest wait; the runtime's clock makes up to twice of it.
const LONGEST: Duration = Duration::from_millis(1);

/// How many messages are about to be said, each within a moment if nothing goes wrong. Clones are the same count.
#[derive(Debug, Clone, Default)]
pub struct Upcoming(Rc<Cell<usize>>);

/// One of them. It is counted until this is dropped.
#[derive(Debug)]
pub struct Expected(Upcoming);

impl Upcoming {
    /// Counts one more.
    #[must_use]
    pub fn expect(&self) -> Expected {
        self.0.set(self.0.get() + 1);
        Expected(self.clone())
    }

    /// How many are counted.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.get()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let Upcoming(count) = &self.0;
        count.set(count.get() - 1);
    }
}

/// The wait of what is to be written to one connection.
pub(super) struct Hold {
    upcoming: Upcoming,
    timer: Pin<Box<Sleep>>,
    holds: bool,
}

impl Hold {
    pub(super) fn new(upcoming: &Upcoming) -> Self {
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { upcoming: upcoming.clone(), timer, holds: false }
    }

    /// Whether `waiting` bytes, of whole frames, wait for more; then the task is woken at the end of that.
    pub(super) fn holds(&mut self, waiting: usize, context: &mut Context<'_>) -> bool {
        let many = self.upcoming.0.get() >= MANY;
        let may = many && (1..LUMP).contains(&waiting);
        if may && !self.holds {
            self.timer.as_mut().reset(Instant::now() + LONGEST);
        }
        self.holds = may && self.timer.as_mut().poll(context).is_pending();
        self.holds
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    /// What it says without the runtime having a turn, so that no timer ends meanwhile.
    async fn holds(hold: &mut Hold, waiting: usize) -> bool {
        poll_fn(|context| Poll::Ready(hold.holds(waiting, context))).await
    }

    #[actix_rt::test]
    async fn what_waits_waits_for_many_but_neither_for_few_nor_behind_much_nor_for_long() {
        let upcoming = Upcoming::default();
        let mut hold = Hold::new(&upcoming);
        let mut expected: Vec<_> = (1..MANY).map(|_| upcoming.expect()).collect();
        assert!(!holds(&mut hold, 1).await, "for few");
        expected.push(upcoming.expect());
        assert!(holds(&mut hold, 1).await && holds(&mut hold, LUMP - 1).await, "for many");
        assert!(!holds(&mut hold, LUMP).await, "behind much");
        assert!(!holds(&mut hold, 0).await, "nothing is there to wait");
        for _ in 0..2 {
            assert!(holds(&mut hold, 1).await, "again");
            let end = |context: &mut Context<'_>| {
                if hold.holds(1, context) { Poll::Pending } else { Poll::Ready(()) }
            };
            tokio::time::timeout(Duration::from_secs(20), poll_fn(end)).await.expect("an end");
        }
        assert!(holds(&mut hold, 1).await);
        expected.pop();
        assert!(!holds(&mut hold, 1).await, "for those that did not come");
    }
}
