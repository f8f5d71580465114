//! `[[service]]`: programs that the node starts, finds ready, watches, starts again and stops. Each is real Python.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::broker::Broker;
use harness::client::Client;
use harness::node::{Node, Options};
use harness::processes::{self, Process};
use harness::{script, tools, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Answers pings and ends when it is told to, or as its first word says.
const CONDUCTOR: &str = "
import os, signal, subprocess, sys, time

case = sys.argv[1] if len(sys.argv) > 1 else ''
print('hello from', case, sorted(os.environ), os.getcwd(), flush=True)
if case == 'crash':
    sys.exit(3)
if case == 'deaf':
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if case == 'child':
    subprocess.Popen(['sleep', '1000'])
if case == 'flood':
    if os.fork() == 0:
        while True:
            os.write(1, b'x' * 100 + b'\\n')
    os.write(2, b'y' * 1_000_000 + b'\\n')
pings = 0
while True:
    line = sys.stdin.readline()
    if case in ('never', 'deaf-never'):
        continue
    if line == 'ping\\n':
        pings += 1
        if case == 'hangs' and pings > 3:
            time.sleep(3600)
        print('pong', flush=True)
    elif line in ('shutdown\\n', ''):
        if case == 'deaf':
            time.sleep(3600)
        print('goodbye', flush=True)
        break
";

/// A node with one program, and the folder of its file.
struct Played {
    node: Node,
    client: Client,
    broker: Broker,
    folder: TempDir,
}

fn write(folder: &Path, more: &str, case: &str) -> String {
    std::fs::write(folder.join("conductor.py"), CONDUCTOR).expect("a program");
    let file = folder.join("callboard.toml");
    // Not what the search path finds, which may be a script that sets an environment of its own.
    let python = tools::python().display().to_string();
    let text = format!(
        "[[service]]\nname = \"conductor\"\ncommand = [\"{python}\", \"conductor.py\", \"{case}\"]\n{more}\n"
    );
    std::fs::write(&file, text).expect("a configuration");
    file.display().to_string()
}

async fn play(case: &str, more: &str) -> Played {
    let folder = TempDir::with_prefix("callboard-service-").expect("a temporary folder");
    let file = write(folder.path(), more, case);
    let broker = Broker::start();
    let node = Node::start(&broker.url(), &Options::new().argument("--config").argument(&file));
    let client = Client::connect(&broker.url()).await;
    Played { node, client, broker, folder }
}

impl Played {
    async fn status(&self) -> Value {
        self.client.call("supervisor.status", &json!({})).await.data().clone()
    }

    async fn part(&self) -> Value {
        let status = self.status().await;
        let parts = status["parts"].as_array().expect("parts");
        let found = parts.iter().find(|part| part["name"] == "service:conductor");
        found.unwrap_or_else(|| panic!("no program in {status}")).clone()
    }

    async fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait::eventually(what, Duration::from_secs(30), || async {
            let part = self.part().await;
            fits(&part).then_some(part)
        })
        .await
    }

    /// The program's own processes: all that the node has started but the zygote and its cells.
    fn programs(&self) -> Vec<Process> {
        let zygote = |process: &Process| {
            let words = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            String::from_utf8_lossy(&words).contains("libcallboard_cell")
        };
        let children = processes::children(self.node.pid());
        children.into_iter().filter(|process| !zygote(process)).collect()
    }

    /// The one that answers.
    fn program(&self) -> Process {
        wait::until("the program", Duration::from_secs(10), || {
            self.programs().into_iter().find(|process| process.name.starts_with("python"))
        })
    }
}

#[tokio::test]
async fn a_program_is_ready_before_the_node_says_so_and_ends_when_it_is_told() {
    let played = play("calm", "env = {WORD = \"a b\"}\nstop_ms = 60000").await;
    let part = played.part().await;
    assert_eq!((&part["state"], &part["restarts"]), (&json!("up"), &json!(0)), "the node was ready first");
    assert_eq!(played.status().await["ready"], true);
    let folder = played.folder.path().canonicalize().unwrap().display().to_string();
    let program = played.program();
    let begin = Instant::now();
    let stopped = played.node.stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.left.is_empty() && !program.runs(), "{:?}", stopped.left);
    assert!(begin.elapsed() < Duration::from_secs(20), "a program that ends at once was waited for");
    // LC_CTYPE is what Python itself adds.
    let said = |words: &str| assert!(stopped.stderr.contains(words), "no `{words}` in {}", stopped.stderr);
    said("goodbye");
    said(&folder);
    assert!(
        stopped.stderr.contains("['LC_CTYPE', 'PATH', 'WORD']")
            || stopped.stderr.contains("['PATH', 'WORD']"),
        "another environment than was named: {}",
        stopped.stderr
    );
    assert!(!stopped.stderr.contains("pong"), "answers to pings stand in the log");
    drop(played.broker);
}

#[tokio::test]
async fn a_program_that_dies_comes_back_and_one_that_always_dies_stays_down() {
    let played = play("calm", "").await;
    for restarts in 1..=2 {
        let program = played.program();
        program.kill();
        let part =
            played.until("it to be back", |part| part["restarts"] == restarts && part["state"] == "up").await;
        assert_eq!(part["restarts"], restarts);
        assert_ne!(played.program(), program);
    }
    drop(played);

    let played = play("crash", "").await;
    let part = played.until("it to be given up", |part| part["state"] == "failed").await;
    assert_eq!(part["restarts"], 5);
    assert_eq!(played.status().await["ready"], false, "a node without its program says that it is ready");
    let payload = json!({"script": "word_count", "input": "a b"});
    assert!(played.client.call("utility.run", &payload).await.is_ok(), "the node went down with its program");
    // With what it needs an operator brings it back.
    write(played.folder.path(), "", "");
    std::fs::write(played.folder.path().join("conductor.py"), CONDUCTOR.replace("sys.exit(3)", "pass"))
        .unwrap();
    let restart = json!({"node": played.node.name(), "part": "service:conductor"});
    assert!(played.client.call("supervisor.restart", &restart).await.is_ok());
    played.until("it to be back", |part| part["state"] == "up").await;
    assert_eq!(played.node.stop().code, Some(0));
}

#[tokio::test]
async fn a_program_that_never_becomes_ready_is_given_up_within_its_time() {
    let begin = Instant::now();
    let played = play("never", "ready_ms = 1500\nstop_ms = 500").await;
    assert!(begin.elapsed() > Duration::from_millis(1_500), "the node did not wait for it");
    let part = played.part().await;
    assert_eq!((&part["state"], &part["restarts"]), (&json!("failed"), &json!(0)));
    assert!(played.programs().iter().all(|process| !process.runs()), "it still runs");
    assert_eq!(played.node.stop().code, Some(0));
}

#[tokio::test]
async fn a_program_that_ignores_all_is_killed_with_its_children_in_time() {
    let played = play("deaf", "stop_ms = 1000").await;
    let program = played.program();
    let begin = Instant::now();
    let stopped = played.node.stop();
    let took = begin.elapsed();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.left.is_empty() && !program.runs(), "{:?}", stopped.left);
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&took), "after {took:?}");
    assert!(stopped.stderr.contains("did not end in time"), "{}", stopped.stderr);
    drop(played.broker);

    let played = play("child", "").await;
    let stopped = played.node.stop();
    assert!(stopped.left.is_empty(), "what the program had started is left: {:?}", stopped.left);
}

#[tokio::test]
async fn nothing_is_left_of_a_program_whose_node_is_killed() {
    let played = play("deaf", "").await;
    let stopped = played.node.end(rustix::process::Signal::KILL);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
}

#[tokio::test]
async fn a_program_that_hangs_is_started_again() {
    let played = play("hangs", "ping_ms = 300").await;
    let part = played.until("it to be started again", |part| part["restarts"].as_u64() > Some(0)).await;
    assert_ne!(part["state"], "failed");
    let stopped = played.node.stop();
    assert!(stopped.stderr.contains("does not answer"), "{}", stopped.stderr);
}

#[tokio::test]
async fn a_program_that_floods_its_output_disturbs_nobody() {
    let played = play("flood", "ping_ms = 1000").await;
    let payload = json!({"script": "youtube", "context": script::context(&json!({"id": "dQw4w9WgXcQ"}))});
    let mut slowest = Duration::ZERO;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        let answer = played.client.call("macro.render", &payload).await;
        assert!(answer.is_ok(), "{}", answer.body);
        slowest = slowest.max(answer.took);
    }
    println!("the slowest call took {slowest:?}");
    assert!(slowest < Duration::from_secs(3), "a call took {slowest:?}");
    let part = played.part().await;
    assert_eq!((&part["state"], &part["restarts"]), (&json!("up"), &json!(0)), "its answers were lost");
    let stopped = played.node.stop();
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
    assert!(stopped.stderr.contains("left_out"), "nobody is told that lines are missing");
    let log = stopped.stderr.len();
    assert!(log < 400_000, "{log} bytes of log");
    assert!(stopped.stderr.lines().all(|line| line.len() < 5_000), "a long line was not cut");
}

#[test]
fn what_is_no_service_is_refused_with_its_line() {
    let folder = TempDir::with_prefix("callboard-service-").expect("a temporary folder");
    let file = folder.path().join("callboard.toml");
    let good = "[[service]]\nname = \"a\"\ncommand = [\"true\"]\n";
    let cases = [
        ("[[service]]\nname = \"a\"\n", "service.command"),
        ("[[service]]\ncommand = [\"true\"]\n", "service.name"),
        (&format!("{good}commands = 1\n"), ":4"),
        (&format!("{good}ready = \"soon\"\n"), "ping, line or none"),
        (&format!("{good}env = {{\"A B\" = \"c\"}}\n"), "service.env"),
        (&format!("{good}env = {{A = 1}}\n"), "service.env"),
        (&format!("{good}stop_ms = -1\n"), "service.stop_ms"),
        (&format!("{good}{good}"), "given twice"),
        ("[[service]]\nname = \"a\"\ncommand = []\n", "service.command"),
        ("[service]\nname = \"a\"\n", "unknown setting service"),
        ("service = 1\n", "unknown setting service"),
    ];
    for (text, said) in cases {
        std::fs::write(&file, text).unwrap();
        let mut command = harness::node::program();
        let output = command.args(["config", "show", "--config"]).arg(&file).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}: {stderr}");
        assert!(
            stderr.contains(said) && stderr.contains("callboard.toml"),
            "{text}: no `{said}` in {stderr}"
        );
    }
    std::fs::write(&file, format!("{good}env = {{WORD = \"CANARY-5c1e\"}}\n")).unwrap();
    let output = harness::node::program()
        .args(["config", "show", "--origin", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let line = shown
        .lines()
        .find(|line| line.contains("service.a"))
        .unwrap_or_else(|| panic!("no service in {shown}"));
    assert!(line.contains("WORD") && line.contains("callboard.toml:2"), "{line}");
    assert!(!shown.contains("CANARY"), "what may be secret is shown: {shown}");
}
