//! Modules that cannot be offered: the node does not start, and says why and where.

use std::process::Stdio;

use harness::broker::Broker;
use harness::node;

/// What a node says that is given this module, and does not start.
fn refused(broker: &Broker, module: &str, more: &str) -> String {
    let place = tempfile::tempdir().expect("a folder");
    let configuration = place.path().join("callboard.toml");
    std::fs::write(place.path().join("mine.py"), module).expect("a module");
    let text = format!("[actions]\nmodules = [\"mine.py\"{more}]\n");
    std::fs::write(&configuration, text).expect("a configuration");
    let mut command = node::program();
    command.args(["dev", "--nats", &broker.url(), "--data"]).arg(place.path());
    command.arg("--config").arg(&configuration).stdin(Stdio::null());
    let output = command.output().expect("callboard runs");
    assert!(!output.status.success(), "it started with {module}");
    assert!(output.stdout.is_empty(), "it said that it was ready with {module}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_module_that_cannot_be_offered_keeps_the_node_from_starting_and_says_where() {
    const HEAD: &str = "import typing\nfrom callboard import action\n";
    let broker = Broker::start();
    for (module, more, words) in [
        ("def broken(:\n", "", &["mine.py:1", "SyntaxError"][..]),
        ("import none_of_these\n", "", &["mine.py:1", "none_of_these"]),
        ("x = 1\n", "", &["mine.py", "registers 1 to 64 actions"]),
        ("", ", \"missing.py\"", &["mine.py"]),
        ("@action('macro.mine')\ndef f(payload): pass\n", "", &["macro.mine", "one of Callboard's own"]),
        ("@action('llm.complete')\ndef f(payload): pass\n", "", &["llm.complete", "one of Callboard's own"]),
        ("@action('*.>')\ndef f(payload): pass\n", "", &["a name is two to four words"]),
        ("@action('a.b', capabilities=['root'])\ndef f(payload): pass\n", "", &["no capability", "root"]),
        ("@action('a.b')\ndef f(payload: set): pass\n", "", &["mine.py:3", "cannot be a part of a payload"]),
        ("@action('a.b')\ndef f(one, two): pass\n", "", &["mine.py:3", "must take one parameter"]),
        ("@action('a.b', timeout_s=-1)\ndef f(payload): pass\n", "", &["mine.py:3", "timeout_s"]),
        (
            "for _ in '12':\n    @action('a.b')\n    def f(payload): pass\n",
            "",
            &["mine.py:4", "registered twice"],
        ),
        (
            "class T(typing.TypedDict):\n    payload: int\n@action('a.b')\ndef f(payload: T): pass\n",
            "",
            &["a.b", "would be taken for an envelope"],
        ),
        ("while True: pass\n", "", &["mine.py", "load_timeout"]),
        ("import os; os._exit(3)\n", "", &["mine.py"]),
    ] {
        let module =
            if module.starts_with(['d', 'i', 'w']) { module.to_owned() } else { format!("{HEAD}{module}") };
        let said = refused(&broker, &module, more);
        for word in words {
            assert!(said.contains(word), "{word:?} is not in what was said to {module:?}: {said}");
        }
    }
}
