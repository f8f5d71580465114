//! Requests at a steady pace from several clients, each with a deadline, and a ledger of what became of every one.
//!
//! What counts as the outcome of a request at its caller: the reply, if one is there by its deadline and a grace; the
//! broker's word that nobody serves the subject; or, at the end of the grace, that there is no answer. A caller wraps
//! each request in a limit of its own for that, since a client library may wait for ever to send it. A reply that comes
//! after all that is late: nobody waits for it, but it counts where two replies to one request would be wrong.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use async_nats::{HeaderMap, Message};
use futures_util::StreamExt as _;
use protocol::envelope::DEADLINE;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Requests a second, of all clients together.
pub(crate) const RATE: u32 = 200;
const CLIENTS: u32 = 4;
/// How long after the deadline a caller waits for its reply.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// Says when it was begun, and records each of its runs: those too whose replies are lost, as long as its cell lives.
pub(crate) const SCRIPT: &str = "
import time

runs = []

def main(input=None):
    if input is None:
        return runs
    runs.append([input, time.time()])
    return runs[-1]
";

/// What became of a request at its caller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The code of a reply.
    Reply(String),
    /// Nobody serves it.
    Nobody,
    /// Nothing came.
    NoAnswer,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Entry {
    deadline: SystemTime,
    /// When it was begun, as its reply says; in seconds since the epoch.
    started: Option<f64>,
    outcome: Option<Outcome>,
    /// From the deadline to the outcome, if that came later.
    late: Duration,
    replies: u32,
    /// Codes of replies that came when the caller had an outcome already.
    after: Vec<String>,
    waiter: Option<oneshot::Sender<Outcome>>,
}

/// All requests by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Rc<RefCell<BTreeMap<u64, Entry>>>, Rc<Cell<Duration>>);

impl Ledger {
    /// Sends requests from several clients on the broker at `url` until `work` is done, and waits for their outcomes.
    pub(crate) async fn keep<T>(&self, url: &str, timeout: Duration, work: impl Future<Output = T>) -> T {
        let stop = Rc::new(Cell::new(false));
        let local = tokio::task::LocalSet::new();
        local.spawn_local(measure_lag(Rc::clone(&self.1)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (ledger, stop, url) = (self.clone(), Rc::clone(&stop), url.to_owned());
                local.spawn_local(async move { ledger.client(&url, timeout, &stop).await })
            })
            .collect();
        local
            .run_until(async {
                let done = work.await;
                stop.set(true);
                for client in clients {
                    client.await.expect("a client");
                }
                done
            })
            .await
    }

    async fn client(&self, url: &str, timeout: Duration, stop: &Cell<bool>) {
        let options = async_nats::ConnectOptions::new().max_reconnects(None);
        let client = options.connect(url).await.expect("a broker");
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(format!("{inbox}.*")).await.expect("a subscription");
        let ledger = self.clone();
        let collector = tokio::task::spawn_local(async move {
            while let Some(message) = replies.next().await {
                ledger.note(&message);
            }
        });
        let mut tick = tokio::time::interval(Duration::from_secs(1) * CLIENTS / RATE);
        let mut waiting = Vec::new();
        while !stop.get() {
            tick.tick().await;
            let (ledger, client, inbox) = (self.clone(), client.clone(), inbox.clone());
            waiting.push(tokio::task::spawn_local(async move {
                ledger.request(&client, &inbox, timeout).await;
            }));
        }
        for request in waiting {
            request.await.expect("a request");
        }
        // Late replies may still come: a round trip to the broker brings what is there.
        let settled = tokio::time::timeout(Duration::from_secs(5), client.flush()).await;
        settled.expect("a broker").expect("a broker");
        collector.abort();
    }

    async fn request(&self, client: &async_nats::Client, inbox: &str, timeout: Duration) {
        let deadline = SystemTime::now() + timeout;
        let limit = Instant::now() + timeout;
        let (number, answer) = self.open(deadline);
        let exchange = async {
            let sent = client
                .publish_with_reply_and_headers(
                    "utility.run",
                    format!("{inbox}.{number}"),
                    headers(deadline),
                    body(number).into(),
                )
                .await;
            sent.expect("a client that sends");
            answer.await.expect("the ledger")
        };
        let outcome = tokio::time::timeout_at((limit + GRACE).into(), exchange).await;
        self.close(number, outcome.unwrap_or(Outcome::NoAnswer), limit);
    }

    fn open(&self, deadline: SystemTime) -> (u64, oneshot::Receiver<Outcome>) {
        let (waiter, answer) = oneshot::channel();
        let entry = Entry {
            deadline,
            started: None,
            outcome: None,
            late: Duration::ZERO,
            replies: 0,
            after: Vec::new(),
            waiter: Some(waiter),
        };
        let mut entries = self.0.borrow_mut();
        let number = entries.len() as u64;
        entries.insert(number, entry);
        (number, answer)
    }

    fn close(&self, number: u64, outcome: Outcome, limit: Instant) {
        let mut entries = self.0.borrow_mut();
        let entry = entries.get_mut(&number).expect("an entry");
        assert!(entry.outcome.is_none(), "two outcomes of request {number}");
        entry.outcome = Some(outcome);
        entry.late = Instant::now().saturating_duration_since(limit);
        entry.waiter = None;
    }

    fn note(&self, message: &Message) {
        let number: u64 = message.subject.rsplit('.').next().expect("a token").parse().expect("a number");
        let mut started = None;
        let outcome = match message.status {
            Some(async_nats::StatusCode::NO_RESPONDERS) => Outcome::Nobody,
            Some(status) => panic!("status {status} of the broker"),
            None => {
                let body: Value = serde_json::from_slice(&message.payload).expect("JSON");
                started = body.pointer("/data/result/1").and_then(Value::as_f64);
                Outcome::Reply(code(&body))
            }
        };
        let mut entries = self.0.borrow_mut();
        let entry = entries.get_mut(&number).expect("an entry");
        entry.replies += 1;
        entry.started = started;
        match (entry.waiter.take(), outcome) {
            (Some(waiter), outcome) => waiter.send(outcome).expect("a caller that waits"),
            (None, Outcome::Reply(code)) => entry.after.push(code),
            (None, Outcome::Nobody | Outcome::NoAnswer) => {}
        }
    }

    /// How many requests had which outcome.
    pub(crate) fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        let mut counts = BTreeMap::new();
        for entry in self.0.borrow().values() {
            let outcome = entry.outcome.clone().expect("an outcome of every request");
            *counts.entry(outcome).or_default() += 1;
        }
        counts
    }

    /// How many replies of which code came when their callers no longer waited.
    pub(crate) fn after(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for code in self.0.borrow().values().flat_map(|entry| &entry.after) {
            *counts.entry(code.clone()).or_default() += 1;
        }
        counts
    }

    /// The requests that got more than one reply.
    pub(crate) fn twice(&self) -> Vec<u64> {
        let entries = self.0.borrow();
        entries.iter().filter(|(_, entry)| entry.replies > 1).map(|(number, _)| *number).collect()
    }

    /// How far behind this process itself was at worst: no outcome can be noted sooner than that.
    pub(crate) fn lag(&self) -> Duration {
        self.1.get()
    }

    /// The longest time from a deadline to the outcome at the caller.
    pub(crate) fn latest(&self) -> Duration {
        self.0.borrow().values().map(|entry| entry.late).max().unwrap_or_default()
    }

    /// How many requests there are so far.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// How many of the last requests all had a good reply, without the first `before`.
    pub(crate) fn good_at_the_end(&self, before: usize) -> usize {
        let good = |entry: &&Entry| entry.outcome == Some(Outcome::Reply("OK".to_owned()));
        let entries = self.0.borrow();
        let new = entries.values().skip(before).collect::<Vec<_>>();
        new.into_iter().rev().skip_while(|entry| entry.outcome.is_none()).take_while(good).count()
    }

    /// Asks the script for its runs and holds them, and those that replies tell of, against the deadlines.
    pub(crate) async fn runs(&self, client: &harness::client::Client) -> Runs {
        let answer = client.call("utility.run", &json!({"script": "record"})).await;
        let runs: Vec<(u64, f64)> =
            serde_json::from_value(answer.data()["result"].clone()).expect("numbers and times");
        let entries = self.0.borrow();
        let mut counts = HashMap::new();
        let mut late = BTreeSet::new();
        let told = entries.iter().filter_map(|(number, entry)| Some((*number, entry.started?)));
        runs.iter().for_each(|(number, _)| *counts.entry(*number).or_insert(0) += 1);
        for (number, started) in told.chain(runs.iter().copied()) {
            let started = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(started);
            // A deadline on the wire has whole milliseconds, and the clock is read a moment after the start.
            if started > entries[&number].deadline + Duration::from_millis(20) {
                late.insert(number);
            }
        }
        let twice = counts.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect();
        Runs { all: runs.len(), late: late.into_iter().collect(), twice }
    }

    /// Enters a request into the ledger with a deadline that has passed, sends it without one, and takes it out again.
    /// Whether [`Ledger::runs`] finds it.
    pub(crate) async fn finds_a_late_run(&self, client: &harness::client::Client) -> bool {
        let (number, _) = self.open(SystemTime::now() - Duration::from_secs(1));
        assert!(client.send("utility.run", HeaderMap::new(), body(number)).await.is_ok());
        let runs = self.runs(client).await;
        self.0.borrow_mut().remove(&number);
        runs.late == [number]
    }
}

/// The runs of the script.
#[derive(Debug)]
pub(crate) struct Runs {
    /// How many there were.
    pub(crate) all: usize,
    /// Requests that were begun after their deadline.
    pub(crate) late: Vec<u64>,
    /// Requests that were begun more than once.
    pub(crate) twice: Vec<u64>,
}

/// Notes how late a timer of this process is at worst.
async fn measure_lag(worst: Rc<Cell<Duration>>) {
    let pace = Duration::from_millis(5);
    let mut tick = tokio::time::interval(pace);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = Instant::now() + pace;
        tick.tick().await;
        worst.set(worst.get().max(Instant::now().saturating_duration_since(due)));
    }
}

fn headers(deadline: SystemTime) -> HeaderMap {
    let epoch = deadline.duration_since(SystemTime::UNIX_EPOCH).expect("a clock that is right");
    let mut headers = HeaderMap::new();
    headers.insert(DEADLINE, epoch.as_millis().to_string());
    headers
}

fn body(number: u64) -> String {
    json!({"script": "record", "input": number}).to_string()
}

/// The code of a reply, and the stage at which a deadline met it.
fn code(body: &Value) -> String {
    let code = body.pointer("/error/code").and_then(Value::as_str).unwrap_or("OK").to_owned();
    match body.pointer("/error/details/stage").and_then(Value::as_str) {
        Some(stage) => format!("{code} {stage}"),
        None => code,
    }
}
