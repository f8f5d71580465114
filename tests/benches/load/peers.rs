//! `make bench-peers`: what others make of the same functions at 64 outstanding, in the same rounds. Those that answer
//! requests over NATS get the same load from the same client; the others bring a client of their own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use harness::broker::Broker;
use harness::node::{Node, Options};
use harness::{tools, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Request};
use crate::fixtures;
use crate::plan::Plan;
use crate::report::{Report, Unit};

/// Calls that are under way at a time.
const OUTSTANDING: usize = 64;

/// A peer that runs.
struct Peer {
    name: &'static str,
    speaks: Speaks,
    /// Calls in a round: simple, medium.
    counts: [usize; 2],
    /// Ended with this one.
    processes: Vec<Process>,
}

/// How it is called.
enum Speaks {
    /// Requests over NATS to this subject.
    Nats(&'static str),
    /// Its own protocol: its process makes the load when it is told to.
    Own,
}

/// A program of Python that has said that it is ready.
struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Whether it makes rounds of its own, and ends when it is told of no more.
    makes_rounds: bool,
    /// What it needs while it runs.
    _server: Option<Server>,
}

/// A redis-server on a free port.
struct Server {
    child: Child,
    _folder: TempDir,
}

/// Measures all peers that this machine can run.
pub(crate) async fn measure(plan: &Plan, report: &mut Report) {
    // What taskiq keeps results in.
    let store = TempDir::with_prefix("callboard-jetstream-").expect("a temporary folder");
    let settings = format!("max_payload: 8MB\njetstream {{ store_dir: {:?} }}\n", store.path());
    let broker = Broker::with(&settings);
    let url = broker.url();
    let options =
        fixtures::files().into_iter().fold(Options::new(), |all, (file, text)| all.script(file, text));
    let node = Node::start(&url, &options);
    let client = Client::connect(&url).await;
    let mut peers = start(&url);
    let kinds = [("simple", fixtures::simple()), ("medium", fixtures::medium())];
    for round in 0..=plan.rounds {
        eprintln!("peers: round {round} of {} (0 warms up)", plan.rounds);
        for (number, (kind, context)) in kinds.iter().enumerate() {
            let payload = fixtures::render(kind, context, true);
            let count = plan.some([20_000, 6_000][number]);
            let ours = client.many(&Request::json("macro.render", &payload), count, OUTSTANDING).await.rate;
            let mut rates = vec![("Callboard", ours)];
            let mut ended = Vec::new();
            for peer in &mut peers {
                match peer.round(&client, &payload, plan.some(peer.counts[number])).await {
                    Some(rate) => rates.push((peer.name, rate)),
                    None => ended.push(peer.name),
                }
            }
            for name in &ended {
                println!("not measured to the end: {name}, which has failed in round {round} of {kind}");
            }
            peers.retain(|peer| !ended.contains(&peer.name));
            // The first round only warms up.
            for (name, rate) in rates.into_iter().filter(|_| round > 0) {
                report.add(&format!("{name} / {kind}"), Unit::Rate, rate);
                // The ratio is Callboard's to the peer's.
                let reverse = format!("Callboard beside {name} / {kind}");
                if name != "Callboard" {
                    report.add(&reverse, Unit::Rate, ours);
                    report.against(&reverse, &format!("{name} / {kind}"));
                }
            }
        }
    }
    report.print("peers: calls a second with 64 outstanding, and how many times as many Callboard makes in the same round");
    drop(peers);
    assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
}

fn start(url: &str) -> Vec<Peer> {
    let service = |script: &str, subject: &str| Process::start("peers", script, &[url, subject], &[], None);
    let mut peers = vec![
        Peer {
            name: "nats-py",
            speaks: Speaks::Nats("peers.one"),
            counts: [10_000, 3_000],
            processes: vec![service("nats_py.py", "peers.one")],
        },
        Peer {
            name: "nats-py, two processes",
            speaks: Speaks::Nats("peers.two"),
            counts: [10_000, 3_000],
            processes: vec![service("nats_py.py", "peers.two"), service("nats_py.py", "peers.two")],
        },
        Peer {
            name: "FastStream",
            speaks: Speaks::Nats("peers.faststream"),
            counts: [2_000, 800],
            processes: vec![service("faststream_nats.py", "peers.faststream")],
        },
    ];
    let own = |name, process, counts| Peer { name, speaks: Speaks::Own, counts, processes: vec![process] };
    let variables = [("PEER_URL", url)];
    let taskiq = Process::start("peers", "taskiq_nats_worker.py", &[], &variables, None);
    peers.push(own("taskiq with taskiq-nats", taskiq, [200, 100]));
    match Server::start() {
        Some((server, url)) => {
            let variables = [("PEER_URL", url.as_str())];
            let celery = Process::start("peers", "celery_redis.py", &[], &variables, Some(server));
            peers.push(own("Celery on Redis", celery, [400, 200]));
        }
        None => println!("not measured: Celery on Redis; apt-get install redis-server"),
    }
    match environment("ray").and_then(|_| Process::try_start("ray", "ray_actors.py", &[], &[], None)) {
        Some(ray) => peers.push(own("Ray actors", ray, [2_000, 1_000])),
        None => println!("not measured: Ray, which could not be installed or does not start here"),
    }
    peers
}

/// The interpreter of an environment that `make bench-peers` has made; none if it could not.
fn environment(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("BENCH_PEERS").expect("run `make bench-peers`"));
    Some(folder.join(name).join("bin/python")).filter(|path| path.exists())
}

impl Peer {
    /// Calls a second; nothing once a peer that makes its own load has failed under it.
    async fn round(&mut self, client: &Client, payload: &Value, count: usize) -> Option<f64> {
        match self.speaks {
            Speaks::Nats(subject) => {
                Some(client.many(&Request::json(subject, payload), count, OUTSTANDING).await.rate)
            }
            Speaks::Own => {
                let told = json!({"request": payload, "count": count, "outstanding": OUTSTANDING});
                let process = self.processes.first_mut().expect("its process");
                writeln!(process.stdin.as_mut()?, "{told}").ok()?;
                process.line().parse().ok()
            }
        }
    }
}

impl Process {
    fn start(
        packages: &str,
        script: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
        server: Option<Server>,
    ) -> Self {
        let process = Self::try_start(packages, script, arguments, variables, server);
        process.unwrap_or_else(|| panic!("{script} did not get ready"))
    }

    /// None if it ends before it is ready.
    fn try_start(
        packages: &str,
        script: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
        server: Option<Server>,
    ) -> Option<Self> {
        let python = environment(packages).expect("run `make bench-peers`");
        let folder = tools::repository().join("tests/benches/peers");
        let mut child = Command::new(python)
            .arg(folder.join(script))
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peer");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let makes_rounds = arguments.is_empty();
        let mut process = Self { child, stdin, stdout, makes_rounds, _server: server };
        (process.line() == "ready").then_some(process)
    }

    /// The next line that it writes; blocks, as the peer is all that runs then.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the peer writes");
        line.trim_end().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        if self.makes_rounds {
            // Its workers end with it: it must come to its own end.
            let _rest = std::io::copy(&mut self.stdout, &mut std::io::sink());
        }
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Server {
    /// Starts one if the machine has the program.
    fn start() -> Option<(Self, String)> {
        let folder = TempDir::with_prefix("callboard-redis-").expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        wait::until("redis-server to listen", std::time::Duration::from_secs(10), answers);
        Some((Self { child, _folder: folder }, format!("redis://127.0.0.1:{port}/0")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
