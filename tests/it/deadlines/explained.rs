//! Ways to fail, and what their callers are told: the cause, the line, and what to do about it.

use std::time::Duration;

use harness::client::Answer;
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::{Value, json};

use super::deaths::cell_at_work;

/// One way to fail.
struct Case {
    name: &'static str,
    /// A macro's body; it takes its context as `c`.
    body: &'static str,
    code: &'static str,
    /// Where the line stands in the details, and which it may be.
    line: (&'static str, &'static [u64]),
    /// More that must stand in the details: a path, and what its text holds.
    holds: &'static [(&'static str, &'static str)],
}

const DEATH: &str = "/death/line";
const PLAIN: &str = "/line";

const CASES: [Case; 20] = [
    Case {
        name: "endless loop",
        body: "def render(c):\n    print('so far')\n    while True: pass\n",
        code: "PY_TIMEOUT",
        line: (DEATH, &[3]),
        holds: &[
            ("/death/advice", "loop"),
            ("/death/signal", "SIGKILL"),
            ("/output", "so far\n"),
            ("/stage", "running"),
        ],
    },
    Case {
        name: "catastrophic regular expression",
        body: "import re\ndef render(c):\n    return re.match('(a+)+$', 'a' * 64 + 'b')\n",
        code: "PY_TIMEOUT",
        line: (DEATH, &[3]),
        holds: &[("/death/advice", "deadline")],
    },
    Case {
        name: "big integer power",
        body: "def render(c):\n    n = 10\n    return str(n ** n ** n)\n",
        code: "PY_TIMEOUT",
        line: (DEATH, &[3]),
        holds: &[("/death/advice", "deadline")],
    },
    Case {
        name: "long sleep",
        body: "import time\ndef render(c):\n    time.sleep(3600)\n",
        code: "PY_TIMEOUT",
        line: (DEATH, &[3]),
        holds: &[("/death/advice", "deadline")],
    },
    Case {
        name: "loop that catches everything",
        body: "def render(c):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n",
        code: "PY_TIMEOUT",
        line: (DEATH, &[4]),
        holds: &[("/death/advice", "loop")],
    },
    Case {
        name: "recursion",
        body: "def render(c):\n    return render(c)\n",
        code: "PY_ACTION_FAILED",
        line: (PLAIN, &[2]),
        holds: &[("/reason", "raised"), ("/exception", "RecursionError")],
    },
    Case {
        name: "memory bomb",
        body: "def render(c):\n    kept = []\n    while True: kept.append(bytearray(1 << 24))\n",
        code: "PY_ACTION_FAILED",
        line: (PLAIN, &[3]),
        holds: &[("/reason", "memory"), ("/exception", "MemoryError")],
    },
    Case {
        name: "huge reply",
        body: "\ndef render(c):\n    return {'html': 'x' * (8 << 20)}\n",
        code: "PY_INVALID_RESPONSE",
        line: (PLAIN, &[2]),
        holds: &[("/reason", "too_large"), ("/path", "result")],
    },
    Case {
        name: "huge print",
        body: "def render(c):\n    while True: print('y' * 1000)\n",
        code: "PY_TIMEOUT",
        line: (DEATH, &[2]),
        holds: &[("/output", "[cut]"), ("/output", "yyyy")],
    },
    Case {
        name: "os._exit",
        body: "import os\ndef render(c):\n    print('bye')\n    os._exit(7)\n",
        code: "PY_PROCESS_DOWN",
        line: (DEATH, &[4]),
        holds: &[("/death/exit", "7"), ("/death/advice", "does not exit"), ("/output", "bye")],
    },
    Case {
        name: "bytecode crash",
        // A constant sixteen gigabytes past the end of the others: nearer ones may happen to be memory.
        body: "from dis import opmap as op\ndef f(): pass\ndef render(c):\n    far = [op['EXTENDED_ARG'], 127, *[op['EXTENDED_ARG'], 255] * 2, op['LOAD_CONST'], 255]\n    f.__code__ = f.__code__.replace(co_code=bytes(far) * 100)\n    f()\n",
        code: "PY_PROCESS_DOWN",
        line: (DEATH, &[2, 6]),
        holds: &[("/death/signal", "SIGSEGV"), ("/death/advice", "bytecode")],
    },
    Case {
        name: "blocked write",
        body: "import os\ndef render(c):\n    print('x')\n    os.write(3, b'x' * (64 << 20))\n",
        code: "PY_PROCESS_DOWN",
        line: (DEATH, &[4]),
        holds: &[("/reason", "protocol"), ("/death/advice", "pipe"), ("/output", "x\n")],
    },
    Case {
        name: "reply of wrong shape",
        body: "\n\ndef render(c):\n    return {'html': 5}\n",
        code: "PY_INVALID_RESPONSE",
        line: (PLAIN, &[3]),
        holds: &[("/path", "result.html"), ("/problem", "str"), ("/script", "case")],
    },
    Case {
        name: "not a number",
        body: "def render(c):\n    return {'html': '', 'data': {'items': [1, float('nan')]}}\n",
        code: "PY_INVALID_RESPONSE",
        line: (PLAIN, &[1]),
        holds: &[("/path", "result.data.items[1]")],
    },
    Case {
        name: "wrong key type",
        body: "def render(c):\n    print('about to')\n    return {'html': '', 'data': {'a': {1: 2}}}\n",
        code: "PY_INVALID_RESPONSE",
        line: (PLAIN, &[1]),
        holds: &[("/path", "result.data.a"), ("/output", "about to")],
    },
    Case {
        name: "refused file",
        body: "def render(c):\n    return open('/etc/passwd').read()\n",
        code: "PY_ACTION_FAILED",
        line: (PLAIN, &[2]),
        holds: &[("/refused", "open"), ("/exception", "files:read")],
    },
    Case {
        name: "loop after a refusal that was caught",
        body: "def render(c):\n    try: open('/etc/passwd')\n    except OSError: pass\n    while True: pass\n",
        code: "PY_TIMEOUT",
        line: (DEATH, &[4]),
        holds: &[("/death/refused", "open")],
    },
    Case {
        name: "endless loop at the top level",
        body: "x = 1\nwhile True: pass\ndef render(c): pass\n",
        code: "PY_TIMEOUT",
        line: (DEATH, &[2]),
        holds: &[("/death/advice", "top level")],
    },
    Case {
        name: "exit at the top level",
        body: "import os\n\nos._exit(5)\ndef render(c): pass\n",
        code: "PY_PROCESS_DOWN",
        line: (DEATH, &[3]),
        holds: &[("/death/exit", "5")],
    },
    Case {
        name: "raised exception",
        body: "def inner():\n    raise KeyError('k')\ndef render(c):\n    print('then')\n    inner()\n",
        code: "PY_ACTION_FAILED",
        line: (PLAIN, &[2]),
        holds: &[("/reason", "raised"), ("/exception", "KeyError: 'k'"), ("/output", "then")],
    },
];

/// A text of what stands at a path, whatever its type.
fn at(details: &Value, path: &str) -> String {
    match details.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn check(case: &Case, answer: &Answer) {
    let name = case.name;
    assert_eq!(answer.code(), case.code, "{name}: {}", answer.body);
    let details = answer.details();
    let (path, lines) = case.line;
    let line = details.pointer(path).and_then(Value::as_u64);
    assert!(
        line.is_some_and(|line| lines.contains(&line)),
        "{name}: {path} is {line:?}, not one of {lines:?}: {details}"
    );
    for (path, part) in case.holds {
        assert!(at(details, path).contains(part), "{name}: no {part:?} at {path}: {details}");
    }
    if let Some(death) = details.get("death") {
        let phases = &death["phases"];
        // Each script is new: its first call has waited for a cell.
        assert!(
            phases["started"].as_f64() > Some(0.0) && phases["loaded"].as_f64() > Some(0.0),
            "{name}: {death}"
        );
        assert!(
            phases["run"].is_number()
                || at(death, "/advice").contains("top level")
                || name.contains("top level"),
            "{name}: {death}"
        );
        assert!(death["peakBytes"].as_u64() > Some(1 << 20), "{name}: {death}");
        assert!(!at(death, "/advice").is_empty(), "{name}: {death}");
    }
}

#[tokio::test]
async fn each_way_to_fail_is_explained_with_its_cause_and_line_and_disturbs_no_other() {
    let slug = |n: usize| format!("case_{n}");
    let options = CASES.iter().enumerate().fold(super::options(), |options, (n, case)| {
        options.script(&format!("{}.py", slug(n)), script::render(&slug(n), case.body))
    });
    let stage = Stage::with(options.setting("WORKER__MEMORY_MB", "192")).await;
    for (n, case) in CASES.iter().enumerate() {
        let payload = json!({"script": slug(n), "context": script::context(&json!({}))});
        // What ends by itself has the time that a busy machine may take.
        let timeout = if case.code == "PY_TIMEOUT" { 600 } else { 20_000 };
        let answer = stage.client.call_whole("macro.render", &payload, &json!({"timeoutMs": timeout})).await;
        check(case, &answer);
        let other = super::call(&stage.client, "others", "", 5_000).await;
        assert!(other.is_ok(), "after {}: {}", case.name, other.body);
    }
    println!("{} ways to fail, each with its cause and line", CASES.len());
    stage.close();
}

#[tokio::test]
async fn a_process_that_is_stopped_from_outside_is_explained_with_its_line() {
    let body = "def render(c):\n    print('on')\n    while True: pass\n";
    let stage = Stage::with(Options::new().script("stopped.py", script::render("stopped", body))).await;
    let payload = json!({"script": "stopped", "context": script::context(&json!({}))});
    let halted = async { cell_at_work(&stage.client, "stopped").await.halt() };
    let more = json!({"timeoutMs": 3_000});
    let (answer, ()) = tokio::join!(stage.client.call_whole("macro.render", &payload, &more), halted);
    assert_eq!(answer.code(), "PY_TIMEOUT", "{}", answer.body);
    assert!(answer.took < Duration::from_millis(3_100), "took {:?}", answer.took);
    let details = answer.details();
    assert_eq!(details["death"]["line"], 3, "{details}");
    assert!(at(details, "/death/advice").contains("SIGSTOP"), "{details}");
    assert!(at(details, "/output").contains("on"), "{details}");
    stage.close();
}

#[tokio::test]
async fn a_cell_that_was_there_before_the_call_has_cost_it_no_time() {
    let stage = Stage::with(super::options()).await;
    assert!(super::call(&stage.client, "cases", "", 20_000).await.is_ok());
    let answer = super::call(&stage.client, "cases", "loop", 600).await;
    assert_eq!(answer.code(), "PY_TIMEOUT", "{}", answer.body);
    let phases = &answer.details()["death"]["phases"];
    assert!(phases["run"].as_f64() > Some(0.0), "{phases}");
    assert_eq!((&phases["started"], &phases["loaded"]), (&Value::Null, &Value::Null), "{phases}");
    stage.close();
}

#[tokio::test]
async fn a_system_call_that_only_attackers_make_is_explained_as_an_attack() {
    let native = include_str!("../../security/native.py");
    let body = format!("{native}\n\ndef main(input=None):\n    call(Memory(), 'unshare', 512)\n");
    let stage = Stage::with(Options::new().script("attack.py", script::main("attack", &body))).await;
    let answer = stage.client.call("utility.run", &json!({"script": "attack"})).await;
    assert_eq!(answer.code(), "PY_PROCESS_DOWN", "{}", answer.body);
    let death = &answer.details()["death"];
    assert_eq!(death["signal"], "SIGSYS", "{death}");
    assert_eq!(death["refused"], "kill_list", "{death}");
    assert!(at(death, "/advice").contains("attack"), "{death}");
    stage.close();
}

#[tokio::test]
async fn a_cell_in_which_memory_ran_out_is_not_used_again() {
    let body = "import os\n\ndef main(input=None):\n    if input:\n        raise MemoryError\n    return os.getpid()\n";
    let stage = Stage::with(Options::new().script("short.py", script::main("short", body))).await;
    let run = async |input: Value| {
        stage.client.call("utility.run", &json!({"script": "short", "input": input})).await
    };
    let process = run(Value::Null).await.data()["result"].clone();
    assert_eq!(run(Value::Null).await.data()["result"], process, "a warm cell serves again");
    let failed = run(json!(1)).await;
    assert_eq!((failed.code(), at(failed.details(), "/reason").as_str()), ("PY_ACTION_FAILED", "memory"));
    assert_ne!(run(Value::Null).await.data()["result"], process);
    stage.close();
}
