//! The load of the soak: callers of every kind side by side, each with one request at a time, at a steady pace.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt as _;
use harness::client::{Client, packed, whole};
use harness::node::Options;
use harness::script;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

/// Scripts that are called again and again.
const WARM: usize = 6;
/// Scripts that are called in turn: more than are kept warm, so that their cells come and go.
const COLD: usize = 150;
/// Where the echo is.
const ECHO: &str = "soak.echo";
/// Longest wait for a reply; what was on its way while the broker died has none.
const LIMIT: Duration = Duration::from_secs(6);

const MACRO: &str = "
def render(context):
    items = [str(n) for n in range(50)]
    return {'html': '<b>' + context['params']['n'] + '</b><i>' + ','.join(items) + '</i>'}
";
const WAYS: &str = "
import os, time

def main(way):
    print('a line of', way)
    if way == 'raise':
        raise ValueError(way)
    if way == 'wrong':
        return {1: way}
    if way == 'exit':
        os._exit(3)
    if way == 'refused':
        open('/etc/hosts')
    if way == 'loop':
        while True:
            pass
    if way == 'memory':
        held = ['x' * (1 << 20) for n in range(100_000)]
    return {'way': way, 'numbers': list(range(100))}
";
const FRESH: &str = "
seen = []

def render(context):
    seen.append(1)
    return {'html': str(len(seen))}
";

/// With the scripts of the load.
pub(crate) fn scripts(options: Options) -> Options {
    let macros = (0..WARM).map(|n| format!("warm_{n}")).chain((0..COLD).map(|n| format!("cold_{n}")));
    let options = macros
        .fold(options, |options, slug| options.script(&format!("{slug}.py"), script::render(&slug, MACRO)));
    let fresh = script::render("fresh", FRESH).replacen("\nversion: 1\n", "\nversion: 1\nfresh: true\n", 1);
    let fails = ["raise", "wrong", "exit", "refused", "loop", "memory"];
    let names = fails.iter().map(|way| format!("way_{way}")).chain(["works".to_owned()]);
    names.fold(options.script("fresh.py", fresh), |options, slug| {
        options.script(&format!("{slug}.py"), script::main(&slug, WAYS))
    })
}

/// What became of the calls.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    outcomes: RefCell<BTreeMap<(&'static str, String), u64>>,
    warm: RefCell<Vec<Duration>>,
    echo: RefCell<Vec<Duration>>,
}

impl Ledger {
    /// How many calls of each kind had which outcome.
    pub(crate) fn outcomes(&self) -> BTreeMap<(&'static str, String), u64> {
        self.outcomes.borrow().clone()
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.outcomes.borrow().values().sum()
    }

    /// The times that 95 of 100 calls of warm macros, and as many echoes between them, stayed below since this was last
    /// asked, in ms.
    pub(crate) fn p95(&self) -> Option<(f64, f64)> {
        let p95 = |times: &RefCell<Vec<Duration>>| {
            let mut times = std::mem::take(&mut *times.borrow_mut());
            times.sort_unstable();
            times.get(times.len() * 95 / 100).map(|time| time.as_secs_f64() * 1e3)
        };
        p95(&self.warm).zip(p95(&self.echo))
    }

    fn note(&self, kind: &'static str, outcome: String) {
        *self.outcomes.borrow_mut().entry((kind, outcome)).or_default() += 1;
    }

    /// Sends a request and notes what came of it; the data of a success.
    async fn ask(
        &self,
        client: &Client,
        kind: &'static str,
        subject: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Option<Value> {
        let answer = tokio::time::timeout(LIMIT, client.try_send(subject, headers, body)).await;
        let Ok(Ok(answer)) = answer else {
            self.note(kind, "lost".to_owned());
            return None;
        };
        self.note(kind, answer.code().to_owned());
        if kind == "warm" {
            self.warm.borrow_mut().push(answer.took);
        }
        answer.is_ok().then(|| answer.data().clone())
    }
}

/// Calls `act` with 0, 1, 2 … at this pace until `end`, never twice at a time.
pub(crate) async fn every<F: Future<Output = ()>>(pace: Duration, end: Instant, act: impl Fn(usize) -> F) {
    let mut tick = tokio::time::interval(pace);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0.. {
        tick.tick().await;
        if Instant::now() >= end {
            return;
        }
        act(n).await;
    }
}

fn render(script: &str, n: usize) -> Value {
    json!({"script": script, "context": script::context(&json!({"n": n.to_string()}))})
}

async fn macros(client: &Client, ledger: &Ledger, kind: &'static str, count: usize, n: usize) {
    let payload = render(&format!("{kind}_{}", n % count), n);
    let body = payload.to_string();
    if let Some(data) = ledger.ask(client, kind, "macro.render", HeaderMap::new(), body).await {
        let html = data["html"].as_str().expect("HTML");
        assert!(html.starts_with(&format!("<b>{n}</b>")), "the reply to another call: {html}");
    }
}

/// A macro that is always warm, and an echo beside it: how long that takes is how busy the machine is.
async fn warm(client: &Client, ledger: &Ledger, n: usize) {
    macros(client, ledger, "warm", WARM, n).await;
    let begin = Instant::now();
    let echoed = tokio::time::timeout(LIMIT, client.nats().request(ECHO, Bytes::from(vec![b'x'; 120]))).await;
    if matches!(echoed, Ok(Ok(_))) {
        ledger.echo.borrow_mut().push(begin.elapsed());
    }
}

/// Answers echoes over a connection of its own until `end`.
async fn echo(url: &str, end: Instant) {
    let nats = async_nats::connect(url.to_owned()).await.expect("a broker");
    let mut requests = nats.subscribe(ECHO).await.expect("a subscription");
    while let Ok(Some(request)) = tokio::time::timeout_at(end.into(), requests.next()).await {
        if let Some(reply) = request.reply {
            // One that the broker does not carry is no echo, and not counted.
            let _ = nats.publish(reply, request.payload).await;
        }
    }
}

async fn batch(client: &Client, ledger: &Ledger, n: usize) {
    let contexts: Vec<Value> = (0..20).map(|k| script::context(&json!({"n": format!("{n}.{k}")}))).collect();
    let payload = json!({"script": "warm_0", "contexts": contexts});
    let body = rmp_serde::to_vec_named(&payload).expect("MessagePack");
    ledger.ask(client, "batch", "macro.renderMany", packed(), body).await;
}

async fn page(client: &Client, ledger: &Ledger, n: usize) {
    let text = "A *paragraph* with some text in it and `code`.\n\n".repeat(20);
    let macros: String = (0..5)
        .map(|k| format!("[[cold_{} n=\"{n}\"]] and [[warm_{k} n=\"x\"]]\n\n", (n + k) % COLD))
        .collect();
    let payload = json!({
        "content": format!("# Page {n}\n\n{text}{macros}[[no_such_macro]] [[way_raise]]\n"),
        "format": "markdown",
        "env": {"isPreview": true},
    });
    let body = payload.to_string();
    ledger.ask(client, "page", "content.render", HeaderMap::new(), body).await;
}

/// A utility in a whole envelope, so that its result is kept for those who ask again; sometimes one does.
async fn utility(client: &Client, ledger: &Ledger, n: usize) {
    let payload = json!({"script": "works", "input": "n".repeat(n % 2000)});
    let body = whole("utility.run", &payload, &json!({"timeoutMs": 5_000})).to_string();
    for _ in 0..=usize::from(n.is_multiple_of(4)) {
        ledger.ask(client, "utility", "utility.run", HeaderMap::new(), body.clone()).await;
    }
}

/// A call that fails in one way or another.
async fn failure(client: &Client, ledger: &Ledger, n: usize) {
    let (kind, way) = [
        ("raised", "raise"),
        ("wrong", "wrong"),
        ("exited", "exit"),
        ("refused", "refused"),
        ("killed", "loop"),
        ("memory", "memory"),
    ][n % 6];
    let payload = json!({"script": format!("way_{way}"), "input": way});
    let more = json!({"timeoutMs": if way == "loop" { 40 } else { 5_000 }});
    let body = whole("utility.run", &payload, &more).to_string();
    ledger.ask(client, kind, "utility.run", HeaderMap::new(), body).await;
}

/// Requests that are none.
async fn nonsense(client: &Client, ledger: &Ledger, n: usize) {
    let bodies: [&[u8]; 5] =
        [b"", b"{", b"[[[[", b"{\"script\": 5}", b"{\"payload\": {}, \"requestId\": \"\"}"];
    let body = Bytes::from_static(bodies[n % bodies.len()]);
    ledger.ask(client, "nonsense", "macro.render", HeaderMap::new(), body).await;
}

/// A caller that connects, calls once and goes; now and then without waiting for its answer.
async fn visitor(url: &str, ledger: &Ledger, n: usize) {
    let connected = async_nats::connect(url.to_owned()).await;
    let Ok(nats) = connected else {
        ledger.note("visitor", "no broker".to_owned());
        return;
    };
    let body = Bytes::from(render("warm_1", n).to_string());
    let answer = nats.request("macro.render", body);
    if n.is_multiple_of(3) {
        let gone = tokio::time::timeout(Duration::from_micros(200), answer).await;
        ledger.note("visitor", if gone.is_ok() { "OK" } else { "gone" }.to_owned());
        return;
    }
    let outcome = match tokio::time::timeout(LIMIT, answer).await {
        Ok(Ok(_)) => "OK",
        _ => "lost",
    };
    ledger.note("visitor", outcome.to_owned());
}

/// All callers until `end`.
pub(crate) async fn run(client: &Client, url: &str, ledger: &Ledger, end: Instant) {
    let pace = Duration::from_millis;
    tokio::join!(
        echo(url, end),
        every(pace(8), end, |n| warm(client, ledger, n)),
        every(pace(60), end, |n| macros(client, ledger, "cold", COLD, n)),
        every(pace(200), end, |n| batch(client, ledger, n)),
        every(pace(150), end, |n| page(client, ledger, n)),
        every(pace(40), end, |n| utility(client, ledger, n)),
        every(pace(250), end, |n| failure(client, ledger, n)),
        every(pace(300), end, |n| nonsense(client, ledger, n)),
        every(pace(500), end, |n| visitor(url, ledger, n)),
        every(pace(100), end, |n| async move {
            let body = render("fresh", n).to_string();
            ledger.ask(client, "fresh", "macro.render", HeaderMap::new(), body).await;
        }),
    );
}
