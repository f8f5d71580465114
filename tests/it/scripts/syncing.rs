//! Files and index in step: what was edited while no node ran, what both sides changed, what lies in the folder that is none.

use harness::client::Client;
use harness::node::{Node, Options};
use harness::stage::Stage;
use harness::{script, wait};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn restarted(stage: Stage, edit: impl FnOnce(&std::path::Path)) -> Stage {
    let Stage { client, node, broker } = stage;
    let data = node.keep();
    assert_eq!(node.stop().code, Some(0));
    edit(&data.path().join("scripts"));
    let node = Node::start(&broker.url(), &Options::new().in_data(&data));
    Stage { client, node, broker }
}

fn slugs(list: &Value) -> Vec<&str> {
    let mut slugs: Vec<&str> =
        list.as_array().expect("a list").iter().filter_map(|one| one["slug"].as_str()).collect();
    slugs.sort_unstable();
    slugs
}

async fn create(client: &Client, slug: &str) -> Value {
    let payload = json!({"slug": slug, "body": format!("x = '{slug}'\n"), "enabled": false});
    client.call("script.create", &payload).await.data()["record"].clone()
}

#[tokio::test]
async fn what_was_edited_while_the_node_was_down_is_reported_and_nothing_is_lost() {
    let stage = Stage::open().await;
    let mut ids = Vec::new();
    for slug in ["edited", "renamed", "deleted", "left"] {
        ids.push(create(&stage.client, slug).await["id"].clone());
    }
    let stage = restarted(stage, |folder| {
        let edited = std::fs::read_to_string(folder.join("edited.py")).unwrap();
        std::fs::write(folder.join("edited.py"), format!("{edited}y = 2\n")).unwrap();
        std::fs::rename(folder.join("renamed.py"), folder.join("moved.py")).unwrap();
        std::fs::remove_file(folder.join("deleted.py")).unwrap();
        std::fs::copy(folder.join("left.py"), folder.join("copy.py")).unwrap();
        std::fs::write(folder.join("new.py"), "x = 'new'\n").unwrap();
        std::fs::write(folder.join("binary.py"), [0xff]).unwrap();
    })
    .await;
    let data = stage.client.call("script.sync", &json!({})).await.data().clone();
    let start = &data["atStart"];
    assert_eq!(slugs(&start["created"]), ["copy", "new"], "{start}");
    assert_eq!(
        (slugs(&start["renamed"]), slugs(&start["deleted"])),
        (vec!["moved"], vec!["deleted"]),
        "{start}"
    );
    assert_eq!(slugs(&start["updated"]), ["edited"], "{start}");
    assert_eq!(
        (&start["errors"][0]["file"], &start["conflicts"]),
        (&json!("binary.py"), &json!([])),
        "{start}"
    );
    assert_eq!(start["scanned"], 13 - 1, "seven defaults, three that were left, a copy, and a new one");
    for list in ["created", "updated", "renamed", "deleted", "conflicts"] {
        assert_eq!(data[list], json!([]), "{list} of {data}");
    }
    let record = |which: usize| {
        let payload = json!({"id": ids[which]});
        async { stage.client.call("script.get", &{ payload }).await.data()["record"].clone() }
    };
    assert_eq!((&record(0).await["version"], &record(1).await["slug"]), (&json!(2), &json!("moved")));
    let deleted = record(2).await;
    assert_eq!((&deleted["enabled"], &deleted["version"]), (&json!(false), &json!(2)));
    let history = stage.client.call("script.history", &json!({"id": ids[2]})).await.data().clone();
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(2), "{history}");
    // What was deleted by hand can be had back.
    stage.client.call("script.rollback", &json!({"id": ids[2], "version": 1})).await.ok();
    assert!(stage.node.data().join("scripts/deleted.py").exists());
    // Who wrote it may not have been done; a moment later it gets its id.
    wait::eventually("a copy to have an id of its own", Duration::from_secs(20), || async {
        let copy = std::fs::read_to_string(stage.node.data().join("scripts/copy.py")).unwrap();
        (copy.contains("id: ") && !copy.contains(ids[3].as_str().unwrap())).then_some(())
    })
    .await;
    stage.close();
}

#[tokio::test]
async fn a_file_that_is_still_being_written_is_left_alone() {
    use std::io::Write as _;
    let stage = Stage::with(Options::new().roles("scripts")).await;
    let path = stage.node.data().join("scripts/slow.py");
    let mut file = std::fs::File::create(&path).unwrap();
    for n in 0..4 {
        writeln!(file, "x = {n}").unwrap();
        stage.client.call("script.sync", &json!({})).await.ok();
    }
    drop(file);
    let whole = "x = 0\nx = 1\nx = 2\nx = 3\n";
    wait::eventually("the file to be current and to have its id", Duration::from_secs(20), || async {
        let got = stage.client.call("script.get", &json!({"slug": "slow"})).await;
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with(whole), "what was written after a comparison is lost: {text}");
        (got.data()["body"] == whole && text.contains("id: ")).then_some(())
    })
    .await;
    stage.close();
}

#[tokio::test]
async fn an_edit_that_meets_a_request_is_never_lost() {
    let stage = Stage::open().await;
    let client = &stage.client;
    let record = create(client, "board").await;
    let path = stage.node.data().join("scripts/board.py");
    let (mut conflicts, mut bodies) = (0, Vec::new());
    for n in 0..60 {
        let text = std::fs::read_to_string(&path).unwrap();
        let head = text.split_inclusive("\n---\n\"\"\"\n").next().unwrap();
        let (edited, asked) = (format!("x = 'edited {n}'\n"), format!("x = 'asked {n}'\n"));
        stage.node.write_script("board.py", &format!("{head}{edited}"));
        let answer =
            client.call("script.update", &json!({"id": record["id"], "changes": {"body": asked}})).await;
        bodies.push(edited);
        match answer.code() {
            "SYNC_CONFLICT" => conflicts += 1,
            "OK" => bodies.push(asked),
            other => panic!("{other}: {}", answer.body),
        }
        client.call("script.sync", &json!({})).await.ok();
    }
    assert!(conflicts > 0, "no edit met a request");
    let history =
        client.call("script.history", &json!({"id": record["id"]})).await.data()["versions"].clone();
    let mut kept = Vec::new();
    for version in history.as_array().expect("versions") {
        let payload = json!({"id": record["id"], "version": version["record"]["version"]});
        kept.push(client.call("script.get", &payload).await.data()["body"].as_str().unwrap().to_owned());
    }
    for body in bodies {
        assert!(kept.contains(&body), "lost: {body}");
    }
    stage.close();
}

#[tokio::test]
async fn a_damaged_store_is_set_aside_and_scripts_are_taken_from_their_files() {
    let stage = Stage::open().await;
    let record = create(&stage.client, "board").await;
    let stage = restarted(stage, |folder| {
        let db = folder.parent().unwrap().join("store/db");
        let mut bytes = std::fs::read(&db).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[..=end].iter_mut().step_by(7).for_each(|byte| *byte = !*byte);
        std::fs::write(&db, bytes).unwrap();
    })
    .await;
    let now = stage.client.call("script.get", &json!({"slug": "board"})).await.data().clone();
    assert_eq!((&now["record"]["id"], &now["body"]), (&record["id"], &json!("x = 'board'\n")));
    let aside = std::fs::read_dir(stage.node.data()).unwrap().map(|entry| entry.unwrap().file_name());
    let aside: Vec<_> = aside.filter(|name| name.to_string_lossy().starts_with("store.damaged-")).collect();
    assert_eq!(aside.len(), 1);
    assert!(stage.node.stderr().contains("the store is damaged"), "{}", stage.node.stderr());
    stage.close();
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_made_harmless() {
    let stage = Stage::with(Options::new().roles("scripts")).await;
    let outside = stage.node.data().join("outside.py");
    std::fs::write(&outside, "secret").unwrap();
    for slug in [
        "../outside",
        "..",
        ".",
        "/etc/passwd",
        "a/../../outside",
        "a\\..\\b",
        "con",
        "nul.py",
        ".hidden",
        "~root",
        "a\u{0}b",
        "\u{202e}evil",
        "caf\u{e9}",
        "cafe\u{301}",
        "ＦＵＬＬ",
        &"x".repeat(100),
        "%2e%2e%2f",
        "-rf",
        "$(id)",
        "a b",
        "ＡＢ",
        "İ",
    ] {
        let answer =
            stage.client.call("script.create", &json!({"slug": slug, "body": "", "enabled": false})).await;
        if answer.code() == "SLUG_TAKEN" {
            continue;
        }
        let made = answer.data()["record"]["slug"].as_str().expect("a slug").to_owned();
        assert!(
            !made.is_empty()
                && made.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "{slug}: {made}"
        );
        assert!(stage.node.data().join("scripts").join(format!("{made}.py")).is_file(), "{slug}");
    }
    // And files with such names in the folder.
    let folder = stage.node.data().join("scripts");
    for name in [
        "caf\u{e9}.py",
        "cafe\u{301}.py",
        "A.py",
        "a.py",
        "..py",
        "%2e.py",
        &format!("{}.py", "n".repeat(252)),
    ] {
        std::fs::write(folder.join(name), "x = 1\n").unwrap();
    }
    let data = stage.client.call("script.sync", &json!({})).await.data().clone();
    assert_eq!(data["errors"], json!([]), "{data}");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "secret");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".py"), "something else was left: {name}");
    }
    stage.close();
}

#[tokio::test]
async fn a_worker_on_another_machine_runs_the_new_version_on_the_next_call() {
    let broker = harness::broker::Broker::with("max_payload: 1MB\n");
    let keeper = Node::start(&broker.url(), &Options::new().roles("scripts"));
    let worker = Node::start(&broker.url(), &Options::new().roles("worker"));
    let client = Client::connect(&broker.url()).await;
    let body = |n: usize| format!("def render(context):\n    return {{'html': '{n}'}}\n");
    let payload = json!({"slug": "board", "kind": "macro", "body": body(0)});
    let id = client.call("script.create", &payload).await.data()["record"]["id"].clone();
    let render = json!({"script": "board", "context": script::context(&json!({}))});
    for n in 1..60 {
        client.call("script.update", &json!({"id": id, "changes": {"body": body(n)}})).await.ok();
        let html = client.call("macro.render", &render).await.data()["html"].clone();
        assert_eq!(html, n.to_string(), "an old version ran after the answer to its change");
    }
    // Bodies that together are far more than a message carries.
    let mut page = String::new();
    for n in 0..8 {
        let text = format!("{}# {}\n", body(n), "x".repeat(300_000));
        let payload = json!({"slug": format!("large_{n}"), "kind": "macro", "body": text});
        client.call("script.create", &payload).await.ok();
        page.push_str(&format!("[[large_{n}]]\n\n"));
    }
    let payload = json!({"content": page, "format": "markdown", "env": {"isPreview": false}});
    let answer = client.call("content.render", &payload).await;
    let macros = answer.data()["macros"].as_array().expect("macros").clone();
    assert!(macros.len() == 8 && macros.iter().all(|one| one["status"] == "ok"), "{}", answer.body);
    // A keeper that comes back says that all is to be asked anew.
    let data: Arc<tempfile::TempDir> = keeper.keep();
    assert_eq!(keeper.stop().code, Some(0));
    let path = data.path().join("scripts/board.py");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("'59'", "'edited'")).unwrap();
    let keeper = Node::start(&broker.url(), &Options::new().roles("scripts").in_data(&data));
    assert_eq!(client.call("macro.render", &render).await.data()["html"], "edited");
    assert_eq!(keeper.stop().code, Some(0));
    assert_eq!(worker.stop().code, Some(0));
}
