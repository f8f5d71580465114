//! The program's command line: the line `ready`, exit statuses, and what goes to stdout and what to stderr.

mod lifecycle;
mod running;
mod scripts;

use std::io::Write;
use std::process::{Output, Stdio};

use harness::node::{self, Options};
use harness::script;
use harness::stage::Stage;
use harness::tools;
use serde_json::{Value, json};

/// What the program says to these words; `input` on stdin.
fn run(words: &[&str], input: &str) -> Output {
    let mut command = node::program();
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("callboard starts");
    // It may end before it has read all.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("its output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn json_on_stdout(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

#[tokio::test]
async fn call_prints_the_data_and_nothing_else_on_stdout() {
    let stage = Stage::open().await;
    let url = stage.node.url();
    let payload = json!({"script": "word_count", "input": "one two three"}).to_string();
    for words in [
        vec!["call", "utility.run", &payload, "--nats", url],
        vec!["call", "utility.run", "-", "--nats", url],
        vec!["call", "utility.run", &payload, "--msgpack", "--nats", url],
    ] {
        let output = run(&words, &payload);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        assert_eq!(json_on_stdout(&output)["result"]["words"], 3);
    }
    let output = run(&["call", "script:get", r#"{"slug":"youtube"}"#, "--json", "--nats", url], "");
    assert_eq!(
        (&json_on_stdout(&output)["success"], &json_on_stdout(&output)["channel"]),
        (&json!(true), &json!("script:get"))
    );
    stage.close();
}

#[tokio::test]
async fn the_exit_status_tells_the_class_of_the_code() {
    let body = "def main(input=None):\n    while input == 'forever':\n        pass\n    raise ValueError('CANARY-b0a7')\n";
    let stage = Stage::with(Options::new().script("bad.py", script::main("bad", body))).await;
    let url = stage.node.url().to_owned();
    let cases: [(&[&str], i32, &str); 10] = [
        (&["call", "utility.run", r#"{"script":"word_count"}"#], 0, ""),
        (&["call", "utility.run", "{"], 2, ""),
        (&["call", "utility.run", "{}"], 2, "REQUEST_INVALID"),
        (&["call", "script.list", r#"{"kind":1}"#], 2, "VALIDATION_ERROR"),
        (&["call", "nobody.serves", "{}"], 3, "nobody.serves"),
        (&["call", "script.get", r#"{"slug":"missing"}"#], 5, "SCRIPT_NOT_FOUND"),
        (&["call", "utility.run", r#"{"script":"missing"}"#], 5, "script_missing"),
        (
            &["call", "utility.run", r#"{"script":"bad","input":"forever"}"#, "--timeout", "300"],
            6,
            "PY_TIMEOUT",
        ),
        (&["call", "utility.run", r#"{"script":"bad"}"#], 1, "line 4"),
        (&["call", "utility.run", "--nonsense"], 2, "--nonsense"),
    ];
    for (words, status, said) in cases {
        let output = run(&[words, &["--nats", &url]].concat(), "");
        assert_eq!(output.status.code(), Some(status), "{words:?}: {}", text(&output.stderr));
        assert_eq!(output.stdout.is_empty(), status != 0, "{words:?}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(said), "{words:?}: no `{said}` in {}", text(&output.stderr));
    }
    stage.close();
    let output = run(&["call", "utility.run", "{}", "--nats", &url], "");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

#[tokio::test]
async fn every_reading_command_speaks_json() {
    let stage = Stage::open().await;
    let url = stage.node.url();
    let status = json_on_stdout(&run(&["status", "--json", "--nats", url], ""));
    assert!(status.to_string().contains(stage.node.name()), "{status}");
    let scripts = json_on_stdout(&run(&["scripts", "list", "--json", "--kind", "macro", "--nats", url], ""));
    assert!(
        scripts.to_string().contains("photo_archive") && !scripts.to_string().contains("word_count"),
        "{scripts}"
    );
    let ran = run(&["scripts", "run", "word_count", "--input", "\"a b\"", "--json", "--nats", url], "");
    assert_eq!(json_on_stdout(&ran).pointer("/data/result/words"), Some(&json!(2)), "{}", text(&ran.stdout));
    let plain = run(&["status", "--nats", url], "");
    assert!(text(&plain.stdout).contains(stage.node.name()) && !text(&plain.stdout).contains('\u{1b}'));
    stage.close();
}

#[tokio::test]
async fn a_script_is_run_with_its_result_on_stdout_and_its_words_on_stderr() {
    let stage = Stage::open().await;
    let output = run(&["scripts", "run", "word_count", "--input", "\"a b\"", "--nats", stage.node.url()], "");
    assert_eq!(json_on_stdout(&output)["words"], 2);
    assert!(text(&output.stderr).contains("2 words"), "{}", text(&output.stderr));
    let missing = run(&["scripts", "run", "no_such_script", "--nats", stage.node.url()], "");
    assert!(missing.stdout.is_empty() && missing.status.code() != Some(0));
    stage.close();
}

#[tokio::test]
async fn files_are_checked_as_compilers_report() {
    let stage = Stage::open().await;
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.py"), folder.path().join("bad.py"));
    std::fs::write(&good, "def main(input=None):\n    pass\n").unwrap();
    std::fs::write(&bad, "x = 1\nif x\n").unwrap();
    let (good, bad) = (good.display().to_string(), bad.display().to_string());
    let output = run(&["scripts", "check", &good, "--nats", stage.node.url()], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = run(&["scripts", "check", &good, &bad, "--nats", stage.node.url()], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(&format!("{bad}:2:")), "{}", text(&output.stdout));
    stage.close();
}

#[tokio::test]
async fn the_readmes_calls_run_as_they_stand() {
    let readme = std::fs::read_to_string(tools::repository().join("README.md")).unwrap();
    let lines: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("$ callboard call ")).collect();
    assert!(lines.len() >= 3, "{lines:?}");
    let stage = Stage::open().await;
    for line in lines {
        let mut command = std::process::Command::new("bash");
        command.arg("-c").arg(format!("\"$PROGRAM\" call {line}")).env("PROGRAM", tools::callboard());
        let output = command.env("NATS_URL", stage.node.url()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
    }
    stage.close();
}

#[test]
fn a_setting_that_does_not_exist_is_refused_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("callboard.toml");
    std::fs::write(&file, "[worker]\nplaces = 2\nplacess = 3\n").unwrap();
    let output = run(&["config", "show", "--config", &file.display().to_string()], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("placess"), "{}", text(&output.stderr));

    std::fs::write(&file, "[worker]\nplaces = 2\n").unwrap();
    let mut command = node::program();
    command.args(["config", "show", "--origin", "--config"]).arg(&file).env("CALLBOARD_WORKER__QUEUE", "7");
    let shown = text(&command.output().unwrap().stdout);
    for (key, value, origin) in [("places", "2", "callboard.toml"), ("queue", "7", "CALLBOARD_WORKER__QUEUE")]
    {
        let line =
            shown.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("no {key} in {shown}"));
        assert!(line.contains(value) && line.contains(origin), "{line}");
    }
    let mut command = node::program();
    command.args(["config", "show"]).env("CALLBOARD_WORKER__PLACES", "many");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("CALLBOARD_WORKER__PLACES"), "{}", text(&output.stderr));
}

#[test]
fn help_and_completions_know_every_command() {
    let help = text(&run(&["--help"], "").stdout);
    let completions = text(&run(&["completions", "bash"], "").stdout);
    for command in ["dev", "node", "call", "demo", "doctor", "status", "scripts", "config", "completions"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "no {command} in {help}");
        assert!(completions.contains(command), "no {command} in the completions");
    }
    assert_eq!(run(&["nonsense"], "").status.code(), Some(2));
    assert!(text(&run(&["--version"], "").stdout).starts_with("callboard "));
}

#[test]
fn the_doctor_finds_nothing_wrong_where_tests_run() {
    let mut command = node::program();
    let data = tempfile::tempdir().unwrap();
    command.args(["doctor", "--json"]).env("CALLBOARD_NODE__DATA", data.path());
    command.env("CALLBOARD_NATS_SERVER", tools::nats_server());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("executable_memory"), "{}", text(&output.stdout));
    let mut command = node::program();
    command.args(["doctor", "--json"]).env("CALLBOARD_NODE__DATA", data.path());
    command
        .env("CALLBOARD_NATS_SERVER", tools::nats_server())
        .env("CALLBOARD_PYTHON", "/nonexistent/python3");
    assert_eq!(command.output().unwrap().status.code(), Some(1), "blind to a missing interpreter");
}

#[test]
fn the_service_unit_uses_words_that_the_program_knows() {
    let unit = std::fs::read_to_string(tools::repository().join("deploy/systemd/callboard.service")).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command line");
    let mut words = line.split_whitespace().skip(1);
    let help = text(&run(&[words.next().expect("a command"), "--help"], "").stdout);
    let flags: Vec<&str> = words.filter(|word| word.starts_with("--")).collect();
    assert!(flags.len() >= 3);
    for flag in flags {
        assert!(help.contains(flag), "no {flag} in {help}");
    }
}

#[test]
fn the_demonstration_renders_a_page_and_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let mut command = node::program();
    command.arg("demo").arg("--out").arg(&page).env("CALLBOARD_NATS_SERVER", tools::nats_server());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let html = std::fs::read_to_string(page).unwrap();
    for part in [
        "<!doctype html>",
        "macro-youtube",
        "macro-vimeo",
        "macro-gallery",
        "macro-photo-archive",
        "macro-tag-cloud",
        "macro-error",
    ] {
        assert!(html.to_lowercase().contains(part), "no {part} in the page");
    }
    assert!(text(&output.stdout).contains("broken_clock"), "{}", text(&output.stdout));
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_node_at_a_time() {
    let stage = harness::stage::Stage::open().await;
    let (url, data) = (stage.broker.url(), stage.node.data().to_owned());
    let second =
        move || harness::node::program().args(["dev", "--nats", &url, "--data"]).arg(data).output().unwrap();
    let output = tokio::task::spawn_blocking(second).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another node") && said.contains("--data"), "{said}");
    stage.close();
}
