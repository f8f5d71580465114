//! Script files and their channels: what an editor saves is what the next call runs.

mod channels;
mod counting;
mod crashes;
mod killed;
mod races;
mod syncing;

use std::time::Duration;

use harness::client::{Answer, Client};
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

/// Longest time from saving a file to the first call that runs it.
const SEEN: Duration = Duration::from_secs(5);

fn says(text: &str) -> String {
    script::render("board", &format!("def render(context):\n    return {{'html': '{text}'}}\n"))
}

async fn render(client: &Client, slug: &str) -> Answer {
    client.call("macro.render", &json!({"script": slug, "context": script::context(&json!({}))})).await
}

async fn until_it_says(client: &Client, text: &str) {
    wait::eventually(&format!("the macro to say {text}"), SEEN, || async {
        let answer = render(client, "board").await;
        (answer.is_ok() && answer.data()["html"] == text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_saved_file_is_what_the_next_calls_run() {
    let first = says("one");
    let stage = Stage::with(Options::new().script("board.py", &*first)).await;
    until_it_says(&stage.client, "one").await;
    let before = stage.client.call("script.get", &json!({"slug": "board"})).await.data()["record"].clone();
    for text in ["two", "three"] {
        stage.node.write_script("board.py", &first.replace("'one'", &format!("'{text}'")));
        until_it_says(&stage.client, text).await;
    }
    let after = stage.client.call("script.get", &json!({"slug": "board"})).await.data()["record"].clone();
    assert_eq!(
        (&after["id"], &after["slug"], &after["kind"]),
        (&before["id"], &json!("board"), &json!("macro"))
    );
    assert_ne!(after["contentHash"], before["contentHash"]);
    stage.close();
}

#[tokio::test]
async fn files_come_and_go_while_the_node_runs() {
    let stage = Stage::open().await;
    assert_eq!(render(&stage.client, "board").await.details()["reason"], "script_missing");
    stage.node.write_script("board.py", &says("here"));
    until_it_says(&stage.client, "here").await;
    std::fs::remove_file(stage.node.data().join("scripts/board.py")).unwrap();
    wait::eventually("the script to be gone", SEEN, || async {
        let answer = render(&stage.client, "board").await;
        (!answer.is_ok()).then(|| assert_eq!(answer.code(), "PY_ACTION_FAILED"))
    })
    .await;
    stage.close();
}

#[tokio::test]
async fn a_file_that_does_not_parse_is_current_and_says_where() {
    let first = says("one");
    let stage = Stage::with(Options::new().script("board.py", &*first)).await;
    until_it_says(&stage.client, "one").await;
    stage.node.write_script("board.py", &first.replace("def render(context):", "def render(context:"));
    let answer = wait::eventually("the broken file to be seen", SEEN, || async {
        let answer = render(&stage.client, "board").await;
        (!answer.is_ok()).then_some(answer)
    })
    .await;
    assert_eq!(
        (answer.code(), &answer.details()["reason"]),
        ("PY_ACTION_FAILED", &json!("syntax")),
        "{}",
        answer.body
    );
    assert_eq!(answer.details()["line"], 1, "{}", answer.body);
    stage.node.write_script("board.py", &first);
    until_it_says(&stage.client, "one").await;
    stage.close();
}

#[tokio::test]
async fn a_file_without_metadata_is_a_utility_of_its_own_name() {
    let text = "def main(input=None):\n    return [input, 1]\n";
    let stage = Stage::with(Options::new().script("plain.py", text)).await;
    let answer = stage.client.call("utility.run", &json!({"script": "plain", "input": "x"})).await;
    assert_eq!(answer.data()["result"], json!(["x", 1]));
    let record = stage.client.call("script.get", &json!({"slug": "plain"})).await.data()["record"].clone();
    assert_eq!(
        (&record["kind"], &record["title"], &record["version"]),
        (&json!("utility"), &json!("plain"), &json!(1))
    );
    stage.close();
}

async fn slugs(client: &Client, narrowed: &Value) -> Vec<String> {
    let answer = client.call("script.list", narrowed).await;
    let scripts = answer.data()["scripts"].as_array().expect("scripts").clone();
    scripts.iter().filter_map(|record| record["slug"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_list_narrows_by_kind_and_text_and_state() {
    let off = says("off").replace("enabled: true", "enabled: false");
    let stage = Stage::with(Options::new().script("board.py", off)).await;
    let defaults =
        ["clean_bookmark", "gallery", "photo_archive", "tag_cloud", "vimeo", "word_count", "youtube"];
    let mut all = defaults.to_vec();
    all.insert(0, "board");
    assert_eq!(slugs(&stage.client, &json!({})).await, all);
    assert_eq!(slugs(&stage.client, &json!({"kind": "utility"})).await, ["word_count"]);
    assert_eq!(slugs(&stage.client, &json!({"kind": "transform"})).await, ["clean_bookmark"]);
    assert_eq!(slugs(&stage.client, &json!({"enabled": false})).await, ["board"]);
    assert_eq!(slugs(&stage.client, &json!({"text": "PLAYER.vimeo"})).await, ["vimeo"]);
    assert_eq!(slugs(&stage.client, &json!({"text": "nothing has this"})).await, Vec::<String>::new());
    for (wrong, path) in [(json!({"kind": "poem"}), "payload.kind"), (json!({"more": 1}), "payload.more")] {
        let answer = stage.client.call("script.list", &wrong).await;
        assert_eq!(answer.complaint(), ("VALIDATION_ERROR", path), "{}", answer.body);
    }
    stage.close();
}

#[tokio::test]
async fn a_script_is_got_by_slug_or_by_id_and_by_one_of_both() {
    let stage = Stage::open().await;
    let by_slug = stage.client.call("script.get", &json!({"slug": "youtube"})).await;
    let record = &by_slug.data()["record"];
    let by_id = stage.client.call("script.get", &json!({"id": record["id"]})).await;
    assert_eq!(by_id.data(), by_slug.data());
    let body = by_slug.data()["body"].as_str().expect("a body");
    assert!(
        body.contains("def render") && !body.contains("slug: \"youtube\""),
        "the docstring is in the body"
    );
    for (wrong, code) in [
        (json!({}), "VALIDATION_ERROR"),
        (json!({"slug": "youtube", "id": record["id"]}), "VALIDATION_ERROR"),
        (json!({"id": "five"}), "VALIDATION_ERROR"),
        (json!({"slug": "no_such_script"}), "SCRIPT_NOT_FOUND"),
        (json!({"slug": "../youtube"}), "SCRIPT_NOT_FOUND"),
        (json!({"id": uuid::Uuid::nil()}), "SCRIPT_NOT_FOUND"),
    ] {
        let answer = stage.client.call("script.get", &wrong).await;
        assert_eq!(answer.code(), code, "{wrong}: {}", answer.body);
        assert!(!answer.body["userMessage"].as_str().unwrap_or_default().is_empty(), "{}", answer.body);
    }
    stage.close();
}

#[tokio::test]
async fn a_text_is_checked_without_being_run_or_kept() {
    let stage = Stage::open().await;
    let check = async |content: &str| {
        stage.client.call("script.check", &json!({"content": content})).await.data().clone()
    };
    let fine =
        check(&says("x").replace("def render", "while False:\n    pass\ndef _own(): pass\nasync def render"))
            .await;
    assert_eq!(fine["problems"], json!([]));
    let endless =
        check("while True:\n    pass\n\ndef main(input=None):\n    pass\ndef second(): pass\n").await;
    assert_eq!(endless, json!({"problems": [], "functions": ["main", "second"]}));

    let torn = check("x = 1\nif x\n    y = (2\n").await;
    let problem = &torn["problems"][0];
    assert_eq!((&problem["line"], &problem["endLine"]), (&json!(2), &json!(2)), "{problem}");
    assert!(
        problem["column"].as_u64() >= Some(1) && problem["endColumn"].as_u64() >= problem["column"].as_u64()
    );
    assert!(!problem["message"].as_str().unwrap_or_default().is_empty());
    // Lines count from the beginning of the text that was sent, docstring and all.
    let metadata = says("x").lines().take_while(|line| !line.starts_with("def")).count() as u64;
    let with_metadata = check(&says("x").replace("def render(context)", "def render(context")).await;
    assert_eq!(with_metadata["problems"][0]["line"], json!(metadata + 1), "{with_metadata}");

    for hostile in [
        "x = \0",
        "return 5\n",
        &"(".repeat(100_000),
        &"x = -".repeat(50_000),
        "\u{feff}x = (\n",
        "nonlocal x\n",
    ] {
        let answer = check(hostile).await;
        let problem = &answer["problems"][0];
        assert!(problem["line"].as_u64() >= Some(1), "{} {answer}", hostile.len());
    }
    assert!(
        stage
            .client
            .call("macro.render", &json!({"script": "youtube", "context": script::context(&json!({}))}))
            .await
            .is_ok()
    );
    let long = stage.client.call("script.check", &json!({"content": "#".repeat((1 << 20) + 1)})).await;
    assert_eq!(long.complaint(), ("VALIDATION_ERROR", "payload.content"));
    stage.close();
}

#[tokio::test]
async fn projects_do_not_see_each_others_scripts() {
    let options = Options::new()
        .script("board.py", says("default"))
        .script("acme/board.py", says("acme"))
        .script("acme/own.py", script::render("own", "def render(context):\n    return {'html': 'own'}\n"));
    let stage = Stage::with(options).await;
    let render = async |slug: &str, more: Value| {
        let payload = json!({"script": slug, "context": script::context(&json!({}))});
        let answer = stage.client.call_whole("macro.render", &payload, &more).await;
        if answer.is_ok() { answer.data()["html"].clone() } else { answer.details()["reason"].clone() }
    };
    assert_eq!(render("board", json!({})).await, "default");
    assert_eq!(render("board", json!({"project": "acme"})).await, "acme");
    assert_eq!(render("own", json!({"project": "acme"})).await, "own");
    assert_eq!(render("own", json!({})).await, "script_missing");
    assert_eq!(render("board", json!({"project": "nobody"})).await, "script_missing");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Callboard-Project", "acme");
    let payload = json!({"script": "own", "context": script::context(&json!({}))}).to_string();
    assert!(stage.client.send("macro.render", headers, payload).await.is_ok());
    stage.close();
}

#[tokio::test]
async fn what_is_no_script_file_is_reported_and_never_followed() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "def main(input=None):\n    return 'secret'\n").unwrap();
    let stage = Stage::with(Options::new().script("large.py", "#".repeat((1 << 20) + 1))).await;
    let folder = stage.node.data().join("scripts");
    std::os::unix::fs::symlink(secret.path(), folder.join("link.py")).unwrap();
    std::fs::write(folder.join("bytes.py"), b"x = '\xff'\n").unwrap();
    std::fs::create_dir(folder.join("folder.py")).unwrap();
    let names = ["bytes.py", "large.py", "link.py"];
    let errors = wait::eventually("the files to be reported", SEEN, || async {
        let answer = stage.client.call("script.list", &json!({})).await;
        let errors = answer.data()["errors"].as_array().expect("errors").clone();
        names.iter().all(|name| errors.iter().any(|error| error["file"] == *name)).then_some(errors)
    })
    .await;
    assert!(
        errors.iter().all(|error| !error["problem"].as_str().unwrap_or_default().is_empty()),
        "{errors:?}"
    );
    for slug in ["link", "bytes", "large"] {
        let answer = stage.client.call("utility.run", &json!({"script": slug})).await;
        assert_eq!(answer.code(), "PY_ACTION_FAILED", "{slug}: {}", answer.body);
    }
    stage.close();
}
