//! The channels that change scripts: what each does, and every code that it can answer.

use harness::client::{Answer, Client};
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::{Value, json};

const ONE: &str = "def render(context):\n    return {'html': 'one'}\n";
const TWO: &str = "def render(context):\n    return {'html': 'two'}\n";

async fn html(client: &Client, slug: &str) -> Value {
    let payload = json!({"script": slug, "context": script::context(&json!({}))});
    let answer = client.call("macro.render", &payload).await;
    if answer.is_ok() { answer.data()["html"].clone() } else { answer.details()["reason"].clone() }
}

async fn create(client: &Client, payload: Value) -> Value {
    client.call("script.create", &payload).await.data()["record"].clone()
}

async fn update(client: &Client, record: &Value, changes: Value) -> Answer {
    client.call("script.update", &json!({"id": record["id"], "changes": changes})).await
}

fn file(stage: &Stage, name: &str) -> String {
    std::fs::read_to_string(stage.node.data().join("scripts").join(name)).expect("a script's file")
}

#[tokio::test]
async fn a_script_lives_from_its_creation_to_its_deletion() {
    let stage = Stage::open().await;
    let client = &stage.client;
    let record =
        create(client, json!({"title": "My Board!", "kind": "macro", "body": ONE, "aliases": ["plank"]}))
            .await;
    assert_eq!(
        (&record["slug"], &record["version"], &record["entrypoint"]),
        (&json!("my_board"), &json!(1), &json!("render"))
    );
    assert_eq!((&record["origin"], &record["enabled"]), (&json!("user"), &json!(true)));
    assert!(record["createdAt"].as_u64() > Some(1_700_000_000_000));
    assert_eq!(html(client, "my_board").await, "one");
    let text = file(&stage, "my_board.py");
    assert!(
        text.starts_with("\"\"\"\n---\nid: ")
            && text.ends_with(ONE)
            && text.contains("title: \"My Board!\"\n"),
        "{text}"
    );

    let answer = update(client, &record, json!({"body": TWO})).await;
    assert_eq!(answer.data()["record"]["version"], 2);
    assert_eq!((html(client, "my_board").await, html(client, "plank").await), (json!("two"), json!("two")));
    let answer = update(client, &record, json!({"slug": "Other", "title": "A \"b\" \\", "order": 7})).await;
    assert_eq!(
        (&answer.data()["record"]["slug"], &answer.data()["record"]["version"]),
        (&json!("other"), &json!(3))
    );
    assert_eq!(
        (html(client, "my_board").await, html(client, "other").await),
        (json!("script_missing"), json!("two"))
    );
    assert!(!stage.node.data().join("scripts/my_board.py").exists());
    assert!(file(&stage, "other.py").contains("title: \"A \\\"b\\\" \\\\\"\n"));
    update(client, &record, json!({"enabled": false})).await.ok();
    assert_eq!(html(client, "other").await, "script_disabled");
    update(client, &record, json!({"enabled": true})).await.ok();

    let gone = client.call("script.delete", &json!({"id": record["id"]})).await;
    assert_eq!(gone.data(), &json!({"deletedId": record["id"], "slug": "other"}));
    assert_eq!(html(client, "other").await, "script_missing");
    assert!(!stage.node.data().join("scripts/other.py").exists());
    stage.close();
}

#[tokio::test]
async fn every_version_is_in_the_history_and_can_be_had_back() {
    let stage = Stage::open().await;
    let client = &stage.client;
    let record = create(client, json!({"title": "My Board!", "kind": "macro", "body": ONE})).await;
    for changes in [
        json!({"body": TWO}),
        json!({"slug": "other", "title": "New"}),
        json!({"enabled": false}),
        json!({"enabled": true}),
    ] {
        update(client, &record, changes).await.ok();
    }
    let back = client.call("script.rollback", &json!({"id": record["id"], "version": 1})).await;
    let back = &back.data()["record"];
    assert_eq!(
        (&back["version"], &back["slug"], &back["title"]),
        (&json!(6), &json!("other"), &json!("My Board!"))
    );
    assert_eq!((&back["contentHash"], html(client, "other").await), (&record["contentHash"], json!("one")));
    let history =
        client.call("script.history", &json!({"id": record["id"]})).await.data()["versions"].clone();
    let seen: Vec<_> = history
        .as_array()
        .expect("versions")
        .iter()
        .map(|version| {
            (version["record"]["version"].as_u64(), version["change"].as_str(), version["by"].as_str())
        })
        .collect();
    let [by, changed] = [Some("request"), Some("changed")];
    assert_eq!(
        seen,
        [
            (Some(6), changed, by),
            (Some(5), changed, by),
            (Some(4), changed, by),
            (Some(3), Some("renamed"), by),
            (Some(2), changed, by),
            (Some(1), Some("created"), by)
        ]
    );
    let old = client.call("script.get", &json!({"id": record["id"], "version": 2})).await;
    assert_eq!((&old.data()["body"], &old.data()["record"]["slug"]), (&json!(TWO), &json!("my_board")));
    stage.close();
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_nothing_is_saved() {
    let stage = Stage::open().await;
    let client = &stage.client;
    let record = create(client, json!({"slug": "board", "kind": "macro", "body": ONE})).await;
    let nobody = json!(uuid::Uuid::nil());
    let id = &record["id"];
    let torn = "def render(context:\n";
    for (channel, payload, code, path) in [
        ("create", json!({"body": torn}), "VALIDATION_ERROR", "payload.body"),
        ("create", json!({}), "VALIDATION_ERROR", "payload"),
        ("create", json!({"body": "", "title": "a\nb"}), "VALIDATION_ERROR", "payload.title"),
        ("create", json!({"body": "", "more": 1}), "VALIDATION_ERROR", "payload.more"),
        ("create", json!({"body": "#".repeat(1 << 20)}), "VALIDATION_ERROR", "payload.body"),
        ("create", json!({"slug": "Board", "body": ""}), "SLUG_TAKEN", ""),
        ("update", json!({"id": id, "changes": {}}), "VALIDATION_ERROR", "payload.changes"),
        ("update", json!({"id": id, "changes": {"body": torn}}), "VALIDATION_ERROR", "payload.changes.body"),
        (
            "update",
            json!({"id": id, "changes": {"entrypoint": "a b"}}),
            "VALIDATION_ERROR",
            "payload.changes.entrypoint",
        ),
        ("update", json!({"id": id, "changes": {"slug": "vimeo"}}), "SLUG_TAKEN", ""),
        ("update", json!({"id": id, "changes": {"order": 1}, "expectedVersion": 2}), "VERSION_CONFLICT", ""),
        ("update", json!({"id": nobody, "changes": {"order": 1}}), "SCRIPT_NOT_FOUND", ""),
        ("delete", json!({"id": nobody}), "SCRIPT_NOT_FOUND", ""),
        ("delete", json!({"id": "five"}), "VALIDATION_ERROR", "payload.id"),
        ("history", json!({"id": nobody}), "SCRIPT_NOT_FOUND", ""),
        ("history", json!({}), "VALIDATION_ERROR", "payload"),
        ("rollback", json!({"id": id, "version": 9}), "SCRIPT_NOT_FOUND", ""),
        ("rollback", json!({"id": nobody, "version": 1}), "SCRIPT_NOT_FOUND", ""),
        ("rollback", json!({"id": id}), "VALIDATION_ERROR", "payload"),
        ("get", json!({"id": id, "version": 9}), "SCRIPT_NOT_FOUND", ""),
        ("sync", json!({"dryRun": "yes"}), "VALIDATION_ERROR", "payload.dryRun"),
        ("defaults", json!({"apply": ["board"]}), "VALIDATION_ERROR", "payload.apply"),
        ("list", json!({"limit": 0}), "VALIDATION_ERROR", "payload.limit"),
        ("list", json!({"limit": 1001}), "VALIDATION_ERROR", "payload.limit"),
        ("list", json!({"cursor": "c".repeat(201)}), "VALIDATION_ERROR", "payload.cursor"),
    ] {
        let answer = client.call(&format!("script.{channel}"), &payload).await;
        assert_eq!(
            answer.complaint(),
            (code, path),
            "{channel} {}: {}",
            payload.to_string().get(..80).unwrap_or(""),
            answer.body
        );
    }
    let now = client.call("script.get", &json!({"id": id})).await.data()["record"].clone();
    assert_eq!(now, record);
    // One that does not parse can be kept, but not run.
    let off = create(client, json!({"slug": "torn", "kind": "macro", "body": torn, "enabled": false})).await;
    let on = update(client, &off, json!({"enabled": true})).await;
    assert_eq!(on.complaint(), ("VALIDATION_ERROR", "payload.changes"));
    update(client, &off, json!({"enabled": true, "body": ONE})).await.ok();
    let back = client.call("script.rollback", &json!({"id": off["id"], "version": 1})).await;
    assert_eq!(back.complaint(), ("VALIDATION_ERROR", "payload.version"));
    assert_eq!(html(client, "torn").await, "one");
    stage.close();
}

#[tokio::test]
async fn a_file_in_the_way_or_a_lost_body_has_a_code_of_its_own() {
    let stage = Stage::open().await;
    let client = &stage.client;
    let record = create(client, json!({"slug": "board", "kind": "macro", "body": ONE})).await;
    update(client, &record, json!({"body": TWO})).await.ok();
    let folder = stage.node.data().join("scripts");

    std::fs::rename(folder.join("board.py"), folder.join("kept.txt")).unwrap();
    std::os::unix::fs::symlink(folder.join("kept.txt"), folder.join("board.py")).unwrap();
    for (channel, payload) in [
        ("update", json!({"id": record["id"], "changes": {"body": ONE}})),
        ("rollback", json!({"id": record["id"], "version": 1})),
        ("delete", json!({"id": record["id"]})),
    ] {
        let answer = client.call(&format!("script.{channel}"), &payload).await;
        assert_eq!(answer.code(), "SYNC_CONFLICT", "{channel}: {}", answer.body);
    }
    std::fs::rename(folder.join("kept.txt"), folder.join("board.py")).unwrap();
    std::fs::create_dir(folder.join("place.py")).unwrap();
    let answer = client.call("script.create", &json!({"slug": "place", "body": ""})).await;
    assert_eq!(answer.code(), "SYNC_CONFLICT", "{}", answer.body);
    assert_eq!(client.call("script.get", &json!({"slug": "place"})).await.code(), "SCRIPT_NOT_FOUND");

    let hash = record["contentHash"].as_str().expect("a hash");
    let (shard, rest) = hash.split_at(2);
    let body = stage.node.data().join("objects").join(shard).join(rest);
    // The node may still have it in memory; the one after it has not.
    assert_eq!(std::fs::read_to_string(&body).unwrap(), ONE);
    std::fs::write(&body, "damaged").unwrap();
    let data = stage.node.keep();
    let Stage { client, node, broker } = stage;
    assert_eq!(node.stop().code, Some(0));
    let node = harness::node::Node::start(&broker.url(), &Options::new().in_data(&data));
    let answer = client.call("script.get", &json!({"id": record["id"], "version": 1})).await;
    assert_eq!(answer.code(), "STORE_ERROR", "{}", answer.body);
    assert_eq!(
        client.call("script.rollback", &json!({"id": record["id"], "version": 1})).await.code(),
        "STORE_ERROR"
    );
    assert_eq!(html(&client, "board").await, "two", "the current version is whole");
    assert_eq!(node.stop().code, Some(0));
}

#[tokio::test]
async fn without_a_worker_only_what_is_off_can_be_saved() {
    let stage = Stage::with(Options::new().roles("scripts")).await;
    let client = &stage.client;
    let answer = client.call("script.create", &json!({"slug": "board", "body": ONE})).await;
    assert_eq!(answer.code(), "SERVICE_FAILURE", "{}", answer.body);
    assert_eq!(client.call("script.get", &json!({"slug": "board"})).await.code(), "SCRIPT_NOT_FOUND");
    let record = create(client, json!({"slug": "board", "body": ONE, "enabled": false})).await;
    assert_eq!(update(client, &record, json!({"enabled": true})).await.code(), "SERVICE_FAILURE");
    assert_eq!(client.call("script.get", &json!({"slug": "board"})).await.data()["record"]["version"], 1);
    stage.close();
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let stage = Stage::with(Options::new().roles("scripts")).await;
    let client = &stage.client;
    for n in 0..5 {
        create(client, json!({"slug": format!("zz_{n}"), "body": format!("text {n}"), "enabled": false}))
            .await;
    }
    for (narrowed, expected) in
        [(json!({}), 12_usize), (json!({"enabled": false}), 5), (json!({"text": "TEXT 3"}), 1)]
    {
        let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, Value::Null);
        loop {
            let mut page = narrowed.clone();
            page["limit"] = json!(2);
            if !cursor.is_null() {
                page["cursor"] = cursor;
            }
            let data = client.call("script.list", &page).await.data().clone();
            let scripts = data["scripts"].as_array().expect("scripts");
            assert!(scripts.len() <= 2);
            seen.extend(scripts.iter().map(|record| record["slug"].as_str().expect("a slug").to_owned()));
            pages += 1;
            cursor = data["nextCursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert!(seen.is_sorted_by(|one, two| one < two), "{seen:?}");
        assert_eq!((seen.len(), pages), (expected, expected.div_ceil(2)), "{narrowed}");
    }
    stage.close();
}

#[tokio::test]
async fn defaults_say_how_they_stand_and_can_be_taken_anew() {
    let stage = Stage::open().await;
    let client = &stage.client;
    let standing = async |payload: Value| {
        let data = client.call("script.defaults", &payload).await.data().clone();
        let scripts = data["scripts"].as_array().expect("scripts").clone();
        scripts
            .into_iter()
            .map(|one| (one["slug"].as_str().expect("a slug").to_owned(), one))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let all = standing(json!({})).await;
    assert!(
        all.len() == 7 && all.values().all(|one| one["state"] == "current" && one["newer"] == false),
        "{all:?}"
    );
    update(client, &all["vimeo"], json!({"title": "Mine"})).await.ok();
    client.call("script.delete", &json!({"id": all["gallery"]["id"]})).await.ok();
    let now = standing(json!({})).await;
    assert_eq!((&now["vimeo"]["state"], &now["gallery"]["state"]), (&json!("changed"), &json!("deleted")));
    assert!(now["vimeo"]["given"].is_string() && now["vimeo"]["given"] == now["vimeo"]["newest"], "{now:?}");
    let again = standing(json!({"apply": ["vimeo", "gallery"]})).await;
    assert!(again.values().all(|one| one["state"] == "current"), "{again:?}");
    let record = client.call("script.get", &json!({"slug": "vimeo"})).await.data()["record"].clone();
    assert_eq!((&record["version"], &record["origin"]), (&json!(3), &json!("default@1")));
    assert_ne!(record["title"], "Mine");
    // A project's first use gives it the defaults too.
    let answer = client
        .call_whole(
            "macro.render",
            &json!({"script": "vimeo", "context": script::context(&json!({"id": 5}))}),
            &json!({"project": "new"}),
        )
        .await;
    assert!(
        answer.data()["html"].as_str().is_some_and(|html| html.contains("macro-vimeo")),
        "{}",
        answer.body
    );
    assert!(stage.node.data().join("scripts/new/vimeo.py").exists());
    stage.close();
}
