//! Tests of `repeat`: what is a repeat, what is kept, and that it goes.

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn named(id: &str, payload: &str) -> Named {
    Named {
        id: RequestId::new(id).unwrap(),
        subject: "utility.run",
        project: Project::default(),
        operator: None,
        parts: false,
        format: Format::Json,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

fn first(repeats: &Repeats<u32>, named: Named) -> First<u32> {
    match repeats.enter(named) {
        Entered::First(first) => first,
        Entered::Joined(_) | Entered::Kept(_) => panic!("taken for a repeat"),
    }
}

fn joined(repeats: &Repeats<u32>, named: Named) -> Joined<u32> {
    match repeats.enter(named) {
        Entered::Joined(joined) => joined,
        Entered::First(_) | Entered::Kept(_) => panic!("not taken for a repeat of a running call"),
    }
}

fn kept(repeats: &Repeats<u32>, named: &Named) -> Option<u32> {
    match repeats.find(named) {
        Some(Entered::Kept(outcome)) => Some(*outcome),
        _ => None,
    }
}

async fn local<F: Future>(test: F) -> F::Output {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn who_calls_again_while_the_first_runs_gets_its_outcome() {
    local(async {
        let repeats = Repeats::new(LONG, 10_000);
        let first = first(&repeats, named("r", "{}"));
        let others = [joined(&repeats, named("r", "{}")), joined(&repeats, named("r", "{}"))];
        first.end(7, None);
        for other in others {
            assert_eq!(other.outcome().await.as_deref(), Some(&7));
        }
        assert!(repeats.0.state.borrow().by_id.is_empty(), "something is left of a call that is over");
    })
    .await;
}

#[tokio::test]
async fn whatever_differs_makes_another_request() {
    local(async {
        let repeats = Repeats::new(LONG, 10_000);
        let changes: [fn(&mut Named); 6] = [
            |named| named.id = RequestId::new("s").unwrap(),
            |named| named.subject = "macro.render",
            |named| named.project = Project::new("other").unwrap(),
            |named| named.operator = Some(Id::generate()),
            |named| named.format = Format::MessagePack,
            |named| named.payload = Bytes::from_static(b"{\"a\":1}"),
        ];
        let running = first(&repeats, named("r", "{}"));
        let ask = |change: fn(&mut Named)| {
            let mut other = named("r", "{}");
            change(&mut other);
            other
        };
        for change in changes {
            drop(first(&repeats, ask(change)));
        }
        running.end(7, Some(1));
        assert_eq!(kept(&repeats, &named("r", "{}")), Some(7));
        for change in changes {
            assert_eq!(kept(&repeats, &ask(change)), None);
        }
    })
    .await;
}

#[tokio::test]
async fn a_first_call_that_is_lost_holds_nobody() {
    local(async {
        let repeats = Repeats::<u32>::new(LONG, 10_000);
        let lost = first(&repeats, named("r", "{}"));
        let waits = joined(&repeats, named("r", "{}"));
        drop(lost);
        assert!(waits.outcome().await.is_none());
        drop(first(&repeats, named("r", "{}")));
    })
    .await;
}

#[tokio::test]
async fn an_outcome_goes_by_a_timer_and_not_at_the_next_call() {
    local(async {
        let repeats = Repeats::new(Duration::from_millis(50), 10_000);
        for id in ["r", "s"] {
            first(&repeats, named(id, "{}")).end(7, Some(1));
        }
        assert_eq!(repeats.0.state.borrow().order.len(), 2);
        let end = Instant::now() + Duration::from_secs(20);
        while repeats.0.sweeping.get() {
            assert!(Instant::now() < end, "the outcomes are still there");
            tokio::task::yield_now().await;
        }
        let state = repeats.0.state.borrow();
        assert!(state.by_id.is_empty() && state.order.is_empty() && state.weight == 0);
    })
    .await;
}

#[tokio::test]
async fn the_oldest_go_first_when_there_is_too_much() {
    local(async {
        let repeats = Repeats::new(LONG, 3 * (OVERHEAD + 100));
        for (number, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
            first(&repeats, named(id, "{}")).end(u32::try_from(number).unwrap(), Some(100));
        }
        let left: Vec<_> = ["a", "b", "c", "d"].map(|id| kept(&repeats, &named(id, "{}"))).to_vec();
        assert_eq!(left, [None, Some(1), Some(2), Some(3)]);
        first(&repeats, named("huge", "{}")).end(9, Some(3 * (OVERHEAD + 100)));
        assert_eq!(kept(&repeats, &named("huge", "{}")), None, "larger than all that may be kept");
        assert_eq!(kept(&repeats, &named("d", "{}")), Some(3), "dropped for one that is not kept");
        assert!(repeats.0.state.borrow().weight <= 3 * (OVERHEAD + 100));
    })
    .await;
}

#[tokio::test]
async fn one_id_cannot_stand_for_any_number_of_calls() {
    local(async {
        let repeats = Repeats::new(LONG, 1 << 20);
        for number in 0..3 * MOST_OF_ID {
            first(&repeats, named("r", &number.to_string())).end(1, Some(1));
        }
        let state = repeats.0.state.borrow();
        assert_eq!(state.by_id.get(&RequestId::new("r").unwrap()).map(Vec::len), Some(MOST_OF_ID));
        assert_eq!(state.order.len(), MOST_OF_ID);
    })
    .await;
}
