//! A node under a mixed load for a long time (`SOAK_SECONDS`, an hour by default): what it holds of the machine and how long
//! its calls take must not grow. The load is in `mixture`, what growing means in `trend`.

mod mixture;
mod trend;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::broker::Broker;
use harness::client::Client;
use harness::figures::Figures;
use harness::node::{Node, Options};
use harness::processes::Process;
use mixture::{Ledger, every};
use trend::Series;

/// How long it takes if nobody says.
const SECONDS: u64 = 3_600;
/// What is kept of calls for those who ask again is kept two minutes: that must have filled up in the first half.
const SHORTEST: u64 = 300;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// Looks between two lines.
const LINE: usize = 12;
/// Between two deaths of the broker.
const BROKER: Duration = Duration::from_secs(47);
/// What is set aside for the node to settle before the first look.
const SETTLE: Duration = Duration::from_secs(10);

/// A figure that must not grow.
struct Watched {
    name: &'static str,
    unit: &'static str,
    /// What it may rise by in the second half of a run.
    tolerance: Tolerance,
    series: RefCell<Series>,
}

/// What a figure may rise by in the second half of a run: less than one kept object, descriptor or process in a thousand calls
/// makes in half an hour, and more than caches, sled's pages and the allocator's rounding make.
#[derive(Clone, Copy)]
enum Tolerance {
    /// So much.
    Of(f64),
    /// Such a part of its mean.
    Share(f64),
}

impl Watched {
    fn new(name: &'static str, unit: &'static str, tolerance: Tolerance) -> Self {
        Self { name, unit, tolerance, series: RefCell::default() }
    }

    fn push(&self, begin: Instant, figure: f64) {
        self.series.borrow_mut().push(begin.elapsed().as_secs_f64(), figure);
    }

    /// Says how it went; whether it grows.
    fn judge(&self) -> bool {
        let line = self.series.borrow().line();
        let tolerance = match self.tolerance {
            Tolerance::Of(much) => much,
            Tolerance::Share(part) => part * line.mean,
        };
        let grows = line.grows(tolerance);
        println!(
            "{:>20}: mean {:.1} {unit}, rises by {:+.2} ± {:.2} {unit} in the second half, tolerated {tolerance:.1}{}",
            self.name,
            line.mean,
            line.rise,
            line.error,
            if grows { "  GROWS" } else { "" },
            unit = self.unit,
        );
        grows
    }
}

/// All that is looked at.
struct Watch {
    node: Watched,
    zygote: Watched,
    descriptors: Watched,
    zygote_descriptors: Watched,
    cells: Watched,
    /// In echoes, since other programs of the machine slow both down.
    p95: Watched,
    milliseconds: Cell<f64>,
}

impl Watch {
    fn new() -> Self {
        let of = |name, unit, tolerance| Watched::new(name, unit, Tolerance::Of(tolerance));
        Self {
            node: of("node's memory", "MiB", 3.0),
            zygote: of("zygote's memory", "MiB", 1.0),
            descriptors: of("node's descriptors", "", 3.0),
            zygote_descriptors: of("zygote's descriptors", "", 1.0),
            cells: of("cells", "", 4.0),
            p95: Watched::new("p95 of warm calls", "× an echo's", Tolerance::Share(0.5)),
            milliseconds: Cell::new(f64::NAN),
        }
    }

    fn all(&self) -> [&Watched; 6] {
        let Self { node, zygote, descriptors, zygote_descriptors, cells, p95, milliseconds: _ } = self;
        [node, zygote, descriptors, zygote_descriptors, cells, p95]
    }

    fn look(&self, begin: Instant, node: &Node, ledger: &Ledger) {
        let mib = |figures: &Figures| figures.resident as f64 / 1_024.0;
        let figures = Figures::of(node.pid());
        self.node.push(begin, mib(&figures));
        self.descriptors.push(begin, figures.descriptors as f64);
        self.cells.push(begin, node.cells().len() as f64);
        if let Some(zygote) = zygote(node) {
            let figures = Figures::of(zygote.pid);
            self.zygote.push(begin, mib(&figures));
            self.zygote_descriptors.push(begin, figures.descriptors as f64);
        }
        if let Some((warm, echo)) = ledger.p95() {
            self.p95.push(begin, warm / echo);
            self.milliseconds.set(warm);
        }
    }

    fn line(&self, begin: Instant, ledger: &Ledger) {
        let last = |watched: &Watched| watched.series.borrow().last();
        println!(
            "{:>5} s: node {:.1} MiB, zygote {:.1} MiB, {} descriptors, {} cells, p95 {:.2} ms ({:.1} echoes), {} calls so far",
            begin.elapsed().as_secs(),
            last(&self.node),
            last(&self.zygote),
            last(&self.descriptors),
            last(&self.cells),
            self.milliseconds.get(),
            last(&self.p95),
            ledger.calls(),
        );
    }
}

/// The node's child that has children of its own.
fn zygote(node: &Node) -> Option<Process> {
    harness::processes::children(node.pid()).into_iter().next()
}

/// Looks again and again until `end`; a line each minute.
async fn watch(watch: &Watch, node: &Node, ledger: &Ledger, begin: Instant, end: Instant) {
    every(LOOK, end, |n| async move {
        if begin.elapsed() > SETTLE {
            watch.look(begin, node, ledger);
        }
        if n % LINE == LINE - 1 {
            watch.line(begin, ledger);
        }
    })
    .await;
}

/// Kills the broker and starts it again until `end`; how often.
async fn restarts(broker: Broker, end: Instant) -> (Broker, u64) {
    let broker = RefCell::new(broker);
    let times = Cell::new(0);
    every(BROKER, end, |n| {
        if n > 0 {
            let mut broker = broker.borrow_mut();
            broker.kill();
            broker.start_again();
            times.set(times.get() + 1);
        }
        async {}
    })
    .await;
    (broker.into_inner(), times.get())
}

/// What each kind of call must have come to at least once a minute, and all that it may come to.
const EXPECTED: [(&str, &str, &[&str]); 15] = [
    ("warm", "OK", &[]),
    ("cold", "OK", &[]),
    ("fresh", "OK", &[]),
    ("batch", "OK", &[]),
    ("page", "OK", &[]),
    ("utility", "OK", &[]),
    ("visitor", "OK", &["gone", "no broker"]),
    ("visitor", "gone", &["OK", "no broker"]),
    ("nonsense", "REQUEST_INVALID", &[]),
    ("raised", "PY_ACTION_FAILED", &[]),
    ("refused", "PY_ACTION_FAILED", &[]),
    ("memory", "PY_ACTION_FAILED", &["PY_PROCESS_DOWN"]),
    ("wrong", "PY_INVALID_RESPONSE", &[]),
    ("exited", "PY_PROCESS_DOWN", &[]),
    ("killed", "PY_TIMEOUT", &[]),
];

/// What may become of any call while the broker is away, or parts of the node cannot reach each other …
const WITHOUT_BROKER: [&str; 2] = ["lost", "UNAVAILABLE"];
/// … and on a machine that has too much else to do.
const LATE: &str = "PY_TIMEOUT";

/// Holds the outcomes to what they must be: nine in ten as expected, the others for a reason that is known.
fn outcomes_are_right(outcomes: &BTreeMap<(&'static str, String), u64>, minutes: u64, restarts: u64) {
    for (kind, expected, others) in EXPECTED {
        let of_kind = || outcomes.iter().filter(|((of, _), _)| *of == kind);
        let right = |outcome: &str| outcome == expected || others.contains(&outcome);
        let known = |outcome: &str| right(outcome) || outcome == LATE || WITHOUT_BROKER.contains(&outcome);
        let count = outcomes.get(&(kind, expected.to_owned())).copied().unwrap_or_default();
        assert!(count >= minutes, "{count} times {expected} of {kind}: the load was another");
        let strange: Vec<_> = of_kind().filter(|((_, outcome), _)| !known(outcome)).collect();
        assert!(strange.is_empty(), "{strange:?}");
        let sum = |all: &mut dyn Iterator<Item = u64>| all.sum::<u64>();
        let all = sum(&mut of_kind().map(|(_, count)| *count));
        let right = sum(&mut of_kind().filter(|((_, outcome), _)| right(outcome)).map(|(_, count)| *count));
        assert!(right * 10 >= all * 9, "{right} of {all} calls of {kind} ended as they should");
    }
    let away = outcomes.iter().filter(|((_, outcome), _)| WITHOUT_BROKER.contains(&outcome.as_str()));
    let away: u64 = away.map(|(_, count)| count).sum();
    // Each of the callers has one call at a time, and the next one finds the broker back or waits for it.
    assert!(away <= 30 * restarts, "{away} calls found no broker, which died {restarts} times");
}

#[tokio::test]
async fn nothing_grows_under_a_mixed_load() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(Ok(SECONDS), |text| text.parse());
    let seconds = seconds.expect("SOAK_SECONDS is a number of seconds");
    assert!(seconds >= SHORTEST, "SOAK_SECONDS must be at least {SHORTEST}");
    let options = Options::new().setting("WORKER__CIRCUIT_DEATHS", "0").setting("WORKER__MEMORY_MB", "64");
    let broker = Broker::start();
    let node = Node::start(&broker.url(), &mixture::scripts(options));
    let client = Client::connect(&broker.url()).await;
    let url = broker.url();

    let (ledger, watched) = (Ledger::default(), Watch::new());
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let load = mixture::run(&client, &url, &ledger, end);
    let ((), (), (broker, restarts)) =
        tokio::join!(load, watch(&watched, &node, &ledger, begin, end), restarts(broker, end));

    let outcomes = ledger.outcomes();
    println!("{} calls, {restarts} deaths of the broker: {outcomes:?}", ledger.calls());
    let growing: Vec<&str> =
        watched.all().into_iter().filter(|watched| watched.judge()).map(|watched| watched.name).collect();
    outcomes_are_right(&outcomes, seconds / 60, restarts);
    assert!(restarts > 0, "the broker did not die");
    assert!(growing.is_empty(), "{growing:?} grow");
    let stopped = node.stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.left.is_empty(), "left behind: {:?}", stopped.left);
    drop(broker);
}
