//! The pipe alone: the node's own pool with real cells, without a broker and without envelopes. Cells on the core of the node and
//! on another one; and beside them, in the same rounds, cells of a build that has no lock.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use callboard::call::{Deadline, Origin};
use callboard::worker::ask::Asker;
use callboard::worker::job::{Done, Outcome, Work};
use callboard::worker::pool::{Bounds, Pool, Runs, circuit};
use callboard::worker::{python, script, zygote};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use harness::{processes, tools};
use protocol::Format;
use protocol::abi::Kind;
use protocol::actions::script_fetch;
use protocol::frame::cell::Function;
use protocol::script::Record;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::fixtures;
use crate::latencies::Latencies;
use crate::plan::Plan;
use crate::report::{Report, Unit};

/// Calls one after the other in a round.
const SEQUENTIAL: usize = 4_000;
/// Calls with many outstanding in a round.
const MANY: usize = 30_000;

/// A pool with a warm cell.
struct Cells {
    name: &'static str,
    pool: Rc<Pool>,
    runs: Runs,
    /// Its zygote and that one's cells, and the cores that they may use when nothing else is said.
    family: Vec<u32>,
}

/// Measures what a call costs between the pool and a cell.
pub(crate) async fn measure(plan: &Plan, report: &mut Report) {
    let all = sched_getaffinity(None).expect("the cores of this process");
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
    let mut pools = vec![Cells::start("cell", tools::cell(), false).await];
    if let Some(path) = without_lock() {
        is_refused(&path).await;
        pools.push(Cells::start("cell without the lock", path, true).await);
    }
    for round in 1..=plan.rounds {
        eprintln!("pipe: round {round} of {}", plan.rounds);
        // Who comes first has another neighbour before it: they take turns.
        let order: Vec<&Cells> =
            if round % 2 == 0 { pools.iter().rev().collect() } else { pools.iter().collect() };
        for cells in order {
            keep_to(std::process::id(), &[cores[0]]);
            for (column, core) in [("one core", cores.first()), ("two cores", cores.get(1))] {
                let Some(core) = core else { continue };
                cells.family.iter().for_each(|pid| keep_to(*pid, &[*core]));
                let latencies = cells.sequential(plan.some(SEQUENTIAL)).await;
                latencies.into_report(report, &format!("{}, {column}", cells.name), &[50, 95]);
            }
            cells.family.iter().for_each(|pid| keep_to(*pid, &cores));
            keep_to(std::process::id(), &cores);
            let rate = cells.many(plan.some(MANY)).await;
            report.add(&format!("{} / 64 outstanding", cells.name), Unit::Rate, rate);
        }
    }
    for column in ["one core / p50", "one core / p95", "two cores / p50", "two cores / p95"] {
        report.against(&format!("cell, {column}"), &format!("cell without the lock, {column}"));
    }
    report.against("cell / 64 outstanding", "cell without the lock / 64 outstanding");
    report.print("the pipe alone, and beside cells of a build without the lock");
    for cells in pools {
        cells.pool.stop().await;
    }
}

/// An extension module that locks nothing; `make bench` builds it.
fn without_lock() -> Option<PathBuf> {
    let path =
        PathBuf::from(std::env::var_os("CALLBOARD_CELL_WITHOUT_LOCK").filter(|path| !path.is_empty())?);
    assert!(path.exists(), "CALLBOARD_CELL_WITHOUT_LOCK names no file: {}", path.display());
    Some(path)
}

/// No pool runs anything in a cell that reports no lock, unless it is told to.
async fn is_refused(extension: &Path) {
    let pool = Pool::new(bounds(false), command(extension).await, Asker::Nobody);
    pool.ready().await;
    let cells = Cells { name: "", pool, runs: Runs::Script(Rc::new(simple())), family: Vec::new() };
    let outcome = cells.try_call().await;
    assert!(format!("{outcome:?}").contains("not_locked"), "{outcome:?}");
    cells.pool.stop().await;
}

fn keep_to(pid: u32, cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    sched_setaffinity(pid, &set).expect("a process that may be moved");
}

impl Cells {
    async fn start(name: &'static str, extension: PathBuf, unlocked: bool) -> Self {
        let before = family();
        let pool = Pool::new(bounds(unlocked), command(&extension).await, Asker::Nobody);
        pool.ready().await;
        let runs = Runs::Script(Rc::new(simple()));
        let cells = Self { name, pool, runs, family: Vec::new() };
        cells.sequential(500).await;
        cells.many(2_000).await;
        let family = family().into_iter().filter(|pid| !before.contains(pid)).collect();
        Self { family, ..cells }
    }

    async fn sequential(&self, count: usize) -> Latencies {
        let mut latencies = Latencies::default();
        for _ in 0..count {
            let begun = Instant::now();
            self.call().await;
            latencies.add(begun.elapsed());
        }
        latencies
    }

    async fn many(&self, count: usize) -> f64 {
        let begun = Instant::now();
        let mut under_way = FuturesUnordered::new();
        for _ in 0..count {
            if under_way.len() == 64 {
                under_way.next().await;
            }
            under_way.push(self.call());
        }
        while under_way.next().await.is_some() {}
        count as f64 / begun.elapsed().as_secs_f64()
    }

    async fn call(&self) {
        let outcome = self.try_call().await;
        assert!(matches!(outcome, Ok(Done::Returned(_))), "{outcome:?}");
    }

    async fn try_call(&self) -> Outcome {
        let input = Bytes::from_static(br#"{"env":{"isPreview":false},"params":{"name":"reader"}}"#);
        let (function, format) = (Function::Render, Format::Json);
        let work = Work::Call { function, entrypoint: None, format, input };
        self.pool.run(self.runs.clone(), work, Origin::own(Deadline::within(Duration::from_secs(5)))).await
    }
}

/// All processes below this one.
fn family() -> Vec<u32> {
    processes::below(std::process::id()).iter().map(|process| process.pid).collect()
}

async fn command(extension: &Path) -> zygote::Command {
    let interpreter = python::find(&callboard::config::Python::default()).await.expect("an interpreter");
    let (python, extension) = (interpreter.path, extension.to_owned());
    zygote::Command { python, extension, reach: zygote::Reach::Closed, tls: false, packages: None }
}

fn bounds(unlocked: bool) -> Bounds {
    let circuit = circuit::Rule { deaths: 0, window: Duration::ZERO, open: Duration::ZERO };
    Bounds {
        places: 2,
        cores: 2,
        warm: 8,
        queue: 1_000,
        spares: 0,
        calls_per_cell: u64::MAX,
        memory: 512 << 20,
        unlocked,
        grace: Duration::ZERO,
        circuit,
    }
}

fn simple() -> script::Script {
    let record = Record {
        id: protocol::Id::generate(),
        project: "default".to_owned(),
        slug: "simple".to_owned(),
        title: "simple".to_owned(),
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
    script::Script::new(script_fetch::Script { record, body: fixtures::SIMPLE.to_owned() }, &[])
}
