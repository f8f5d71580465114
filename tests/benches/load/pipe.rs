//! The pipe alone: the node's own pool with real cells, without a broker and without envelopes.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use callboard::call::{Cancel, Deadline, Origin};
use callboard::worker::ask::Asker;
use callboard::worker::job::{Done, Work};
use callboard::worker::pool::{Bounds, Pool, Runs, circuit};
use callboard::worker::{python, script, zygote};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use harness::tools;
use protocol::Format;
use protocol::abi::Kind;
use protocol::actions::script_fetch;
use protocol::envelope::{Project, RequestId};
use protocol::frame::cell::Function;
use protocol::script::Record;

use crate::figures::Latencies;

/// Calls one after the other.
const SEQUENTIAL: usize = 10_000;
/// Calls with many outstanding.
const MANY: usize = 100_000;

/// Prints what a call costs between the pool and a cell.
pub(crate) async fn print(body: &str) {
    let interpreter = python::find(&callboard::config::Python::default()).await.expect("an interpreter");
    let command = zygote::Command {
        python: interpreter.path,
        extension: tools::cell(),
        reach: zygote::Reach::Closed,
        packages: None,
    };
    let circuit = circuit::Rule { deaths: 0, window: Duration::ZERO, open: Duration::ZERO };
    let bounds = Bounds {
        places: 2,
        cores: 2,
        warm: 8,
        queue: 1_000,
        spares: 0,
        calls_per_cell: u64::MAX,
        memory: 512 << 20,
        unlocked: false,
        grace: Duration::ZERO,
        circuit,
    };
    let pool = Pool::new(bounds, command, Asker::Nobody);
    pool.ready().await;
    let runs = Runs::Script(Rc::new(trivial(body)));
    let mut latencies = Latencies::new();
    for number in 0..SEQUENTIAL + 100 {
        let begun = Instant::now();
        call(&pool, &runs).await;
        if number >= 100 {
            latencies.add(begun.elapsed());
        }
    }
    let begun = Instant::now();
    let mut under_way = FuturesUnordered::new();
    for _ in 0..MANY {
        if under_way.len() == 64 {
            under_way.next().await;
        }
        under_way.push(call(&pool, &runs));
    }
    while under_way.next().await.is_some() {}
    let rate = MANY as f64 / begun.elapsed().as_secs_f64();
    println!("\nthe pipe alone: {latencies}; with 64 outstanding {rate:.0} calls a second");
    pool.stop().await;
}

async fn call(pool: &Pool, runs: &Runs) {
    let input = Bytes::from_static(br#"{"env":{"isPreview":false},"params":{"name":"reader"}}"#);
    let (deadline, cancel) = (Deadline::within(Duration::from_secs(5)), Cancel::default());
    let origin = Origin {
        request_id: RequestId::generate(),
        correlation: protocol::Id::generate(),
        project: Project::default(),
        deadline,
        cancel: cancel.clone(),
        stream: None,
    };
    let work =
        Work::Call { function: Function::Render, entrypoint: None, format: Format::Json, input, origin };
    let outcome = pool.run(runs.clone(), work, deadline, cancel).await;
    assert!(matches!(outcome, Ok(Done::Returned(_))), "{outcome:?}");
}

fn trivial(body: &str) -> script::Script {
    let record = Record {
        id: protocol::Id::generate(),
        project: "default".to_owned(),
        slug: "trivial".to_owned(),
        title: "trivial".to_owned(),
        kind: Kind::Macro,
        entrypoint: "render".to_owned(),
        enabled: true,
        version: 1,
        content_hash: "0".repeat(64),
        aliases: Vec::new(),
        order: 0,
        fresh: false,
        capabilities: Vec::new(),
        created_at: 0,
        updated_at: 0,
        file_hash: String::new(),
        origin: "user".to_owned(),
    };
    script::Script::new(script_fetch::Script { record, body: body.to_owned() }, &[])
}
