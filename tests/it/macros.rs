//! `macro.render` and `macro.renderMany`: the default macros, what a macro may answer, and what a caller learns when it fails.

mod results;

use std::collections::BTreeMap;

use harness::client::Client;
use harness::node::Options;
use harness::stage::Stage;
use harness::{script, tools};
use serde_json::{Value, json};

const MACROS: [&str; 5] = ["gallery", "photo_archive", "tag_cloud", "vimeo", "youtube"];

/// The golden files of a default script: name and content.
pub(crate) fn golden(slug: &str) -> Vec<(String, Value)> {
    let folder = tools::repository().join("scripts/golden").join(slug);
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).expect("golden files") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a golden file");
        cases.push((path.display().to_string(), serde_json::from_str(&text).expect("JSON")));
    }
    assert!(cases.len() >= 3, "{slug}: only {} golden files", cases.len());
    cases
}

async fn render(client: &Client, script: &str, context: &Value, raw: bool) -> Value {
    let answer =
        client.call("macro.render", &json!({"script": script, "context": context, "raw": raw})).await;
    assert!(answer.is_ok(), "{script}: {}", answer.body);
    answer.data().clone()
}

#[tokio::test]
async fn the_default_macros_answer_what_their_golden_files_hold() {
    let stage = Stage::open().await;
    let mut cases = 0;
    for slug in MACROS {
        for (name, case) in golden(slug) {
            let data = render(&stage.client, slug, &case["context"], true).await;
            assert_eq!(data, case["result"], "{name}");
            cases += 1;
        }
    }
    println!("{cases} golden cases");
    stage.close();
}

/// The elements of a fragment with their attributes in order of name, for HTML whose attributes are all quoted or bare.
fn elements(html: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut elements = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let name: String = tag.chars().take_while(|c| c.is_alphanumeric() || *c == '/').collect();
        let mut attributes = BTreeMap::new();
        let mut inside = tag[name.len()..].trim_start();
        while !inside.starts_with(['>', '/']) {
            let end = inside.find(['=', ' ', '>']).expect("an attribute ends");
            let (key, after) = inside.split_at(end);
            let quoted =
                after.strip_prefix("=\"").map(|value| value.split_once('"').expect("a closing quote"));
            let (value, after) = quoted.unwrap_or(("", after));
            attributes.insert(key.to_owned(), text_of(value));
            inside = after.trim_start();
        }
        rest = &inside[inside.find('>').expect("a tag ends")..];
        elements.push((name, attributes));
    }
    elements
}

/// Undoes the escapes that one writer of HTML may choose and another not.
fn text_of(escaped: &str) -> String {
    let replaced =
        [("&quot;", "\""), ("&#34;", "\""), ("&#x27;", "'"), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">")];
    let text = replaced.iter().fold(escaped.to_owned(), |text, (escape, plain)| text.replace(escape, plain));
    text.replace("&nbsp;", "\u{a0}").replace("&amp;", "&")
}

#[tokio::test]
async fn the_output_check_cuts_nothing_out_of_the_default_macros_and_changes_nothing_twice() {
    let same = "def render(context):\n    return {'html': context['params']['html']}\n";
    let stage = Stage::with(Options::new().script("same.py", script::render("same", same))).await;
    for slug in MACROS {
        for (name, case) in golden(slug) {
            let data = render(&stage.client, slug, &case["context"], false).await;
            let raw = case["result"]["html"].as_str().expect("html");
            let cleaned = data["html"].as_str().expect("html");
            // The check adds one attribute to links, and cuts nothing.
            let mut kept = elements(cleaned);
            kept.iter_mut().for_each(|(_, attributes)| drop(attributes.remove("rel")));
            assert_eq!(kept, elements(raw), "{name}");
            let again =
                render(&stage.client, "same", &script::context(&json!({"html": cleaned})), false).await;
            assert_eq!(again["html"], cleaned, "{name}");
        }
    }
    stage.close();
}

#[tokio::test]
async fn a_default_macro_is_found_by_slug_and_alias_and_id() {
    let stage = Stage::open().await;
    let (_, case) = golden("photo_archive").swap_remove(0);
    let expected = render(&stage.client, "photo_archive", &case["context"], true).await;
    let record = stage.client.call("script.get", &json!({"slug": "photo_archive"})).await;
    let id = record.data()["record"]["id"].as_str().expect("an id").to_owned();
    for name in ["photo_album", &id] {
        assert_eq!(render(&stage.client, name, &case["context"], true).await, expected, "{name}");
    }
    stage.close();
}

/// Counts its calls in a global, so that a test can see which calls share a process.
const MANY: &str = "
def render(context):
    if context['params']['n'] == 3:
        raise ValueError('three')
    return {'html': str(context['params']['n'])}

def render_many(contexts):
    if any(context['params']['n'] > 100 for context in contexts):
        raise RuntimeError('the batch')
    return [{'html': 'batch ' + str(context['params']['n'])} for context in contexts]
";

#[tokio::test]
async fn render_many_answers_each_context_in_order() {
    let single = MANY.split("def render_many").next().expect("a beginning");
    let options = Options::new()
        .script("single.py", script::render("single", single))
        .script("batch.py", script::render("batch", MANY));
    let stage = Stage::with(options).await;
    let contexts: Vec<Value> = (0..1_000).map(|n| script::context(&json!({"n": n}))).collect();

    let answer =
        stage.client.call("macro.renderMany", &json!({"script": "single", "contexts": contexts})).await;
    let results = answer.data()["results"].as_array().expect("results").clone();
    assert_eq!(results.len(), 1_000);
    for (n, result) in results.iter().enumerate() {
        if n == 3 {
            assert_eq!(
                (&result["ok"], &result["error"]["code"]),
                (&json!(false), &json!("PY_ACTION_FAILED"))
            );
            assert_eq!(result["error"]["details"]["line"], 4, "{result}");
        } else {
            assert_eq!((&result["ok"], &result["data"]["html"]), (&json!(true), &json!(n.to_string())));
        }
    }

    let few = json!({"script": "batch", "contexts": &contexts[..5]});
    let answer = stage.client.call("macro.renderMany", &few).await;
    assert_eq!(answer.data()["results"][4]["data"]["html"], "batch 4");
    // The batch raises; one by one, only the third does.
    let all = json!({"script": "batch", "contexts": contexts});
    let answer = stage.client.call("macro.renderMany", &all).await;
    assert_eq!(answer.data()["results"][999]["data"]["html"], "999");
    assert_eq!(answer.data()["results"][3]["ok"], false);

    let none = stage.client.call("macro.renderMany", &json!({"script": "batch", "contexts": []})).await;
    assert_eq!(none.data()["results"], json!([]));
    let too_many = json!({"script": "batch", "contexts": vec![script::context(&json!({})); 1001]});
    let answer = stage.client.call("macro.renderMany", &too_many).await;
    assert_eq!(answer.complaint(), ("REQUEST_INVALID", "payload.contexts"));
    stage.close();
}

#[tokio::test]
async fn a_batch_of_the_wrong_length_runs_again_one_by_one() {
    let body =
        "def render(context):\n    return {'html': 'one'}\n\ndef render_many(contexts):\n    return []\n";
    let stage = Stage::with(Options::new().script("short.py", script::render("short", body))).await;
    let contexts = vec![script::context(&json!({})); 3];
    let answer =
        stage.client.call("macro.renderMany", &json!({"script": "short", "contexts": contexts})).await;
    let results = answer.data()["results"].as_array().expect("results");
    assert!(
        results.len() == 3 && results.iter().all(|result| result["data"]["html"] == "one"),
        "{}",
        answer.body
    );
    stage.close();
}

#[tokio::test]
async fn a_failure_names_the_line_and_gives_the_caller_what_was_printed() {
    let body = "import sys\n\n\ndef inner(text):\n    raise ValueError(text)\n\n\ndef render(context):\n    \
                print('to stdout')\n    print('to stderr', file=sys.stderr)\n    inner('CANARY-77aa')\n";
    let stage = Stage::with(Options::new().script("broken.py", script::render("broken", body))).await;
    let answer = stage
        .client
        .call("macro.render", &json!({"script": "broken", "context": script::context(&json!({}))}))
        .await;
    assert_eq!(answer.code(), "PY_ACTION_FAILED");
    let details = answer.details();
    assert_eq!((&details["reason"], &details["script"]), (&json!("raised"), &json!("broken")));
    assert_eq!(details["line"], 5, "{details}");
    let exception = details["exception"].as_str().expect("an exception");
    for part in ["ValueError: CANARY-77aa", "line 5", "line 11", "in render"] {
        assert!(exception.contains(part), "no `{part}` in {exception}");
    }
    let output = details["output"].as_str().expect("output");
    assert!(output.contains("to stdout") && output.contains("to stderr"), "{output}");
    assert_eq!(answer.body["error"]["message"], "the action failed");
    assert!(!format!("{:?}", answer.headers).contains("CANARY"), "content in a header: {:?}", answer.headers);
    let stopped = stage.close();
    for part in ["CANARY", "to stdout", "to stderr"] {
        assert!(!stopped.stderr.contains(part), "content in the log: {}", stopped.stderr);
    }
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let disabled = script::render("off", "def render(context):\n    return {'html': ''}\n")
        .replace("enabled: true", "enabled: false");
    let options = Options::new()
        .script("off.py", disabled)
        .script("torn.py", script::render("torn", "x = 1\ndef render(context:\n    return 1\n"))
        .script("empty.py", script::render("empty", "x = 1\n"))
        .script("early.py", script::render("early", "x = 1\n\nraise OSError('at import')\n"));
    let stage = Stage::with(options).await;
    for (slug, reason, line) in [
        ("no_such_script", "script_missing", None),
        ("off", "script_disabled", None),
        ("word_count", "wrong_kind", None),
        ("torn", "syntax", Some(2)),
        ("empty", "entrypoint_missing", None),
        ("early", "raised", Some(3)),
    ] {
        let request = json!({"script": slug, "context": script::context(&json!({}))});
        let answer = stage.client.call("macro.render", &request).await;
        assert_eq!(answer.code(), "PY_ACTION_FAILED", "{slug}: {}", answer.body);
        assert_eq!(answer.details()["reason"], reason, "{slug}: {}", answer.body);
        assert_eq!(answer.details()["line"].as_u64(), line, "{slug}: {}", answer.body);
    }
    stage.close();
}

#[tokio::test]
async fn an_error_that_is_hostile_itself_is_still_reported() {
    let body = "
class Rude(Exception):
    def __str__(self):
        raise SystemExit(3)

class Long(Exception):
    pass

def render(context):
    case = context['params']['case']
    if case == 'rude':
        raise Rude()
    if case == 'long':
        raise Long('x' * 10_000_000)
    if case == 'exit':
        raise SystemExit(0)
    if case == 'interrupt':
        raise KeyboardInterrupt()
    if case == 'recursion':
        return render(context)
    return {'html': case}
";
    let stage = Stage::with(Options::new().script("rude.py", script::render("rude", body))).await;
    for case in ["rude", "long", "exit", "interrupt", "recursion"] {
        let request = json!({"script": "rude", "context": script::context(&json!({"case": case}))});
        let answer = stage.client.call("macro.render", &request).await;
        assert_eq!(answer.code(), "PY_ACTION_FAILED", "{case}: {}", answer.body);
        assert!(answer.bytes.len() < 20_000, "{case}: {} bytes", answer.bytes.len());
        let fine = render(&stage.client, "rude", &script::context(&json!({"case": "fine"})), false).await;
        assert_eq!(fine["html"], "fine");
    }
    stage.close();
}
