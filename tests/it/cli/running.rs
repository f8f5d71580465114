//! `callboard scripts run`: what a utility prints appears while it runs, and Ctrl-C ends it where it runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use harness::node::{self, Options};
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::json;

use super::text;

const STEPS: &str = "
import time

def main(input=None):
    input = input or {}
    print('one', input.get('name'))
    time.sleep(input.get('seconds', 0))
    print('two')
    if input.get('raises'):
        raise ValueError('on request')
    return input
";

fn start(stage: &Stage, words: &[&str]) -> Child {
    let mut command = node::program();
    command.args(["scripts", "run", "steps"]).args(words).args(["--nats", stage.node.url()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("callboard starts")
}

fn options() -> Options {
    Options::new().script("steps.py", script::main("steps", STEPS))
}

#[tokio::test]
async fn lines_appear_while_the_script_runs_and_the_result_alone_is_on_standard_output() {
    let stage = Stage::with(options()).await;
    let mut run = start(&stage, &["--param", "seconds=3", "--param", "name=Ada"]);
    let mut stderr = BufReader::new(run.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "one Ada\n");
    assert!(run.try_wait().unwrap().is_none(), "the line came after the end");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!((rest.as_str(), output.status.code()), ("two\n", Some(0)));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result, json!({"seconds": 3, "name": "Ada"}));
    stage.close();
}

#[tokio::test]
async fn each_way_to_end_has_the_exit_status_of_its_class() {
    let stage = Stage::with(options()).await;
    let run = |words: &[&str]| start(&stage, words).wait_with_output().unwrap();
    let raised = run(&["--param", "raises=true"]);
    let said = text(&raised.stderr);
    assert_eq!(raised.status.code(), Some(1), "{said}");
    assert_eq!((said.matches("one None").count(), said.matches("two").count()), (1, 1), "{said}");
    assert!(said.contains("ValueError: on request") && text(&raised.stdout).is_empty(), "{said}");
    let late = run(&["--param", "seconds=60", "--timeout", "500"]);
    let said = text(&late.stderr);
    assert_eq!((late.status.code(), said.matches("one None").count()), (Some(6), 1), "{said}");
    assert!(said.contains("PY_TIMEOUT"), "{said}");
    assert_eq!(run(&["--param", "nonsense"]).status.code(), Some(2));
    let whole = run(&["--json"]);
    let reply: serde_json::Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!((&reply["data"]["stdout"], text(&whole.stderr).as_str()), (&json!("one None\ntwo\n"), ""));
    stage.close();
}

#[tokio::test]
async fn an_interrupt_ends_the_script_where_it_runs_and_says_so() {
    let stage = Stage::with(options()).await;
    let mut run = start(&stage, &["--param", "seconds=60"]);
    let mut stderr = BufReader::new(run.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("cancelling") && rest.contains("CANCELLED"), "{rest}");
    assert_eq!(run.wait().unwrap().code(), Some(1));
    wait::eventually("the cell to be free", Duration::from_secs(10), || async {
        let status = stage.client.call("supervisor.status", &json!({})).await;
        let cells = status.data()["pool"]["cells"].as_array().expect("cells").clone();
        cells.iter().all(|cell| cell["busy"] == false).then_some(())
    })
    .await;
    stage.close();
}
