//! Runs what is left to do for many messages in one task of the runtime. A task of the runtime for each would cost a block of memory that
//! is aligned, which takes the allocator several times as long, and a way through the runtime's queue each time that it goes on. The memory
//! that futures ran in is used again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Most places whose memory is kept though nothing runs in them.
const KEPT: usize = 256;
/// After so many polls the runtime has its turn: messages, answers of cells and deadlines wait.
const TURN: usize = 64;

/// Futures of one type, each of which runs until its end.
pub(super) struct Tasks<F>(Rc<RefCell<Places<F>>>);

struct Places<F> {
    /// `None` while its future is polled, and where no memory is kept.
    places: Vec<Option<Place<F>>>,
    /// Those in which nothing runs; first those that have memory.
    free: VecDeque<usize>,
    /// How many of these have memory.
    kept: usize,
    ready: Arc<Ready>,
}

/// Memory for a future, and what wakes it.
struct Place<F> {
    future: Pin<Box<Option<F>>>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// The places whose futures can go on.
#[derive(Default)]
struct Ready(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// In the order in which they could.
    numbers: Vec<usize>,
    /// Wakes who lets them.
    driver: Option<Waker>,
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves once there are some, which are then in `numbers`.
    async fn some(&self, numbers: &mut Vec<usize>) {
        poll_fn(|context| {
            let mut waiting = self.lock();
            if waiting.numbers.is_empty() {
                waiting.driver = Some(context.waker().clone());
                return Poll::Pending;
            }
            std::mem::swap(&mut waiting.numbers, numbers);
            Poll::Ready(())
        })
        .await;
    }
}

/// Wakes the future of a place. One that outlives it wakes the place's next one, for nothing.
struct Bell {
    number: usize,
    /// Whether it has rung since the future was last polled.
    rung: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            let mut waiting = self.ready.lock();
            waiting.numbers.push(self.number);
            let driver = waiting.driver.take();
            drop(waiting);
            if let Some(driver) = driver {
                driver.wake();
            }
        }
    }
}

impl<F: Future<Output = ()> + 'static> Tasks<F> {
    /// Runs none yet.
    pub(super) fn new() -> Self {
        let ready = Arc::<Ready>::default();
        let places = Places { places: Vec::new(), free: VecDeque::new(), kept: 0, ready: Arc::clone(&ready) };
        let places = Rc::new(RefCell::new(places));
        let driven = Rc::clone(&places);
        let driver = async move {
            let (mut numbers, mut polls) = (Vec::new(), 0);
            loop {
                ready.some(&mut numbers).await;
                for number in numbers.drain(..) {
                    Places::poll(&driven, number);
                    polls += 1;
                    if polls % TURN == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        };
        // What a task of the runtime may do in a turn is little for so many. They have turns of their own.
        tokio::task::spawn_local(tokio::task::unconstrained(driver));
        Self(places)
    }

    /// Runs what `begin` makes from the next turn of the runtime on. It is made where it runs: it is large.
    pub(super) fn spawn(&self, begin: impl FnOnce() -> F) {
        let mut places = self.0.borrow_mut();
        let number = match places.free.pop_front() {
            Some(number) => number,
            None => {
                places.places.push(None);
                places.places.len() - 1
            }
        };
        let ready = Arc::clone(&places.ready);
        let Some(slot) = places.places.get_mut(number) else { return };
        let kept = slot.is_some();
        let place = slot.get_or_insert_with(|| Place::new(number, ready));
        place.future.set(Some(begin()));
        let bell = Arc::clone(&place.bell);
        places.kept -= usize::from(kept);
        drop(places);
        bell.wake();
    }
}

impl<F> Place<F> {
    fn new(number: usize, ready: Arc<Ready>) -> Self {
        let bell = Arc::new(Bell { number, rung: AtomicBool::new(false), ready });
        Self { future: Box::pin(None), waker: Waker::from(Arc::clone(&bell)), bell }
    }
}

impl<F: Future<Output = ()>> Places<F> {
    /// Lets the future of a place go on, if it has one. It may come back here itself.
    fn poll(places: &RefCell<Self>, number: usize) {
        let place = places.borrow_mut().places.get_mut(number).and_then(Option::take);
        let Some(mut place) = place else { return };
        // Sees what whoever has rung meanwhile, and need not ring again, did before.
        place.bell.rung.swap(false, Ordering::AcqRel);
        let (future, mut context) = (&mut place.future, Context::from_waker(&place.waker));
        let poll = AssertUnwindSafe(|| future.as_mut().as_pin_mut().map(|future| future.poll(&mut context)));
        let ended = match catch_unwind(poll) {
            Ok(polled) => polled.is_some_and(|polled| polled.is_ready()),
            Err(_) => {
                tracing::error!("the handling of a message panicked");
                true
            }
        };
        // Apart: what it holds may panic too when it goes, and has gone all the same.
        if ended && catch_unwind(AssertUnwindSafe(|| future.set(None))).is_err() {
            tracing::error!("the end of a message's handling panicked");
        }
        let mut places = places.borrow_mut();
        let keeps = !ended || places.kept < KEPT;
        if ended && keeps {
            places.kept += 1;
            places.free.push_front(number);
        } else if ended {
            places.free.push_back(number);
        }
        if let Some(slot) = places.places.get_mut(number).filter(|_| keeps) {
            *slot = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use futures_util::future::LocalBoxFuture;
    use tokio::sync::oneshot;

    use super::*;

    type Any = LocalBoxFuture<'static, ()>;

    /// How many places there are, and how many have memory.
    fn size(tasks: &Tasks<Any>) -> (usize, usize) {
        let places = tasks.0.borrow();
        (places.places.len(), places.places.iter().flatten().count())
    }

    #[actix_rt::test]
    async fn each_runs_to_its_end_whoever_wakes_it() {
        let (tasks, ended) = (Tasks::<Any>::new(), Rc::new(Cell::new(0)));
        for round in 0..3 {
            let mut senders = Vec::new();
            for number in 0..300 {
                let (sender, receiver) = oneshot::channel();
                let ended = Rc::clone(&ended);
                tasks.spawn(|| {
                    Box::pin(async move {
                        assert_eq!(receiver.await, Ok(number));
                        tokio::task::yield_now().await;
                        ended.set(ended.get() + 1);
                    })
                });
                senders.push((sender, number));
            }
            tokio::task::yield_now().await;
            assert_eq!(ended.get(), round * 300);
            let thread = std::thread::spawn(move || {
                senders.into_iter().for_each(|(sender, number)| sender.send(number).unwrap());
            });
            while ended.get() < (round + 1) * 300 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            thread.join().unwrap();
            assert_eq!(size(&tasks), (300, KEPT));
        }
    }

    #[actix_rt::test]
    async fn many_leave_the_runtime_its_turns() {
        let (tasks, left) = (Tasks::<Any>::new(), Rc::new(Cell::new(1_000)));
        for _ in 0..left.get() {
            let left = Rc::clone(&left);
            tasks.spawn(|| Box::pin(async move { left.set(left.get() - 1) }));
        }
        let mut turns = 0;
        while left.get() > 0 {
            tokio::task::yield_now().await;
            turns += 1;
        }
        assert!(turns >= 1_000 / TURN, "{turns}");
    }

    #[actix_rt::test]
    async fn one_that_can_always_go_on_holds_nobody_up() {
        let tasks = Tasks::<Any>::new();
        tasks.spawn(|| {
            Box::pin(poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::Pending
            }))
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (sender, receiver) = oneshot::channel();
        tasks.spawn(|| Box::pin(async move { sender.send(()).unwrap() }));
        receiver.await.unwrap();
    }

    #[actix_rt::test]
    async fn a_panic_is_one_futures_own() {
        let (tasks, (sender, receiver)) = (Tasks::<Any>::new(), oneshot::channel());
        let dropped = Rc::new(());
        let held = Rc::clone(&dropped);
        tasks.spawn(|| {
            Box::pin(async move {
                let _held = held;
                tokio::task::yield_now().await;
                panic!("as it should");
            })
        });
        tasks.spawn(|| {
            Box::pin(async move {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                sender.send(()).unwrap();
            })
        });
        receiver.await.unwrap();
        assert_eq!(Rc::strong_count(&dropped), 1);
    }

    #[actix_rt::test]
    async fn what_panics_when_it_goes_takes_nobody_along() {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("as it should");
            }
        }
        let tasks = Tasks::<Any>::new();
        for panics in [false, true] {
            tasks.spawn(|| {
                let held = Bad;
                Box::pin(poll_fn(move |_| {
                    let _held = &held;
                    assert!(!panics, "as it should");
                    Poll::Ready(())
                }))
            });
        }
        let (sender, receiver) = oneshot::channel();
        tasks.spawn(|| Box::pin(async move { sender.send(()).unwrap() }));
        tokio::time::timeout(Duration::from_secs(20), receiver).await.expect("a turn").unwrap();
        assert_eq!((tasks.0.borrow().free.len(), size(&tasks)), (3, (3, 3)));
    }

    #[actix_rt::test]
    async fn what_was_begun_runs_to_its_end_though_nothing_more_can_begin() {
        let (tasks, (sender, receiver)) = (Tasks::<Any>::new(), oneshot::channel());
        tasks.spawn(|| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                sender.send(()).unwrap();
            })
        });
        drop(tasks);
        receiver.await.unwrap();
    }

    #[actix_rt::test]
    async fn a_waker_of_one_that_has_ended_does_no_harm_to_the_next() {
        let (tasks, kept) = (Tasks::<Any>::new(), Rc::new(RefCell::new(None)));
        let first = Rc::clone(&kept);
        tasks.spawn(|| {
            Box::pin(poll_fn(move |context| {
                first.replace(Some(context.waker().clone()));
                Poll::Ready(())
            }))
        });
        while kept.borrow().is_none() {
            tokio::task::yield_now().await;
        }
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        tasks.spawn(|| {
            Box::pin(poll_fn(move |_| {
                counted.set(counted.get() + 1);
                if counted.get() < 3 { Poll::Pending } else { Poll::Ready(()) }
            }))
        });
        for _ in 0..10 {
            kept.borrow().as_ref().unwrap().wake_by_ref();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(polls.get(), 3);
        assert_eq!(size(&tasks), (1, 1));
    }

    #[actix_rt::test]
    async fn a_future_may_begin_another() {
        let tasks = Rc::new(Tasks::<Any>::new());
        let (sender, receiver) = oneshot::channel();
        let inner = Rc::clone(&tasks);
        tasks.spawn(|| {
            Box::pin(async move {
                inner.spawn(|| Box::pin(async move { sender.send(7).unwrap() }));
            })
        });
        assert_eq!(receiver.await, Ok(7));
    }
}
