//! `transform.apply`: posts through the transforms of a project.

use std::time::Duration;

use harness::client::Answer;
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

/// A transform that runs at its place in the order.
fn transform(slug: &str, order: i32, body: &str) -> String {
    let text = script::file(slug, "transform", "transform", body);
    text.replacen("version: 1\n", &format!("version: 1\norder: {order}\n"), 1)
}

fn request(post: &Value, context: &Value) -> Value {
    let mut whole = json!({"title": "t", "content": "c", "tags": [], "categories": []});
    let mut about = json!({"source": "test", "url": "https://example.org/page"});
    for (target, more) in [(&mut whole, post), (&mut about, context)] {
        for (key, value) in more.as_object().into_iter().flatten() {
            target[key] = value.clone();
        }
    }
    json!({"post": whole, "context": about})
}

/// A stage without the default transform, which has its own test.
async fn stage(scripts: &[(&str, i32, &str)]) -> Stage {
    let options = scripts.iter().fold(Options::new(), |options, (slug, order, body)| {
        options.script(&format!("{slug}.py"), transform(slug, *order, body))
    });
    let off =
        script::file("clean_bookmark", "transform", "transform", "def transform(post, context): pass\n");
    Stage::with(options.script("clean_bookmark.py", off.replacen("enabled: true", "enabled: false", 1))).await
}

async fn apply(stage: &Stage, post: &Value, context: &Value) -> Answer {
    stage.client.call("transform.apply", &request(post, context)).await
}

#[tokio::test]
async fn the_default_transform_tidies_a_bookmark_and_says_so() {
    let stage = Stage::open().await;
    let post = json!({
        "title": "  A   page | Example ", "content": "See https://example.org/a?utm_source=x&b=1\n\n\n\nEnd",
        "tags": [" a ", "a", "b"], "categories": ["c"],
    });
    for packed in [false, true] {
        let payload = request(&post, &json!({}));
        let answer = match packed {
            true => stage.client.call_packed("transform.apply", &payload).await,
            false => stage.client.call("transform.apply", &payload).await,
        };
        let data = answer.data();
        assert_eq!(data["post"]["title"], "A page", "{data}");
        assert_eq!(data["post"]["content"], "See https://example.org/a?b=1\n\nEnd");
        assert_eq!(data["post"]["tags"], json!(["a", "b"]));
        assert_eq!(data["post"]["categories"], json!(["c"]));
        assert_eq!((data["applied"].as_array().map(Vec::len), &data["errors"]), (Some(1), &json!([])));
        let notices = data["notices"].as_array().expect("notices");
        assert!(notices.len() >= 3 && notices.iter().all(|n| n["scriptId"] == data["applied"][0]), "{data}");
    }
    stage.close();
}

#[tokio::test]
async fn transforms_run_in_their_order_and_one_that_fails_is_left_out() {
    let add = |mark: &str| format!("def transform(post, context):\n    post['title'] += '{mark}'\n");
    let spoil = "def transform(post, context):\n    post['title'] = 'spoilt'\n    raise ValueError('secret of the script')\n";
    let shape = "def transform(post, context):\n    return {**post, 'title': 5}\n";
    let long = "def transform(post, context):\n    return {**post, 'title': 'x' * 500}\n";
    let gone = "import os\ndef transform(post, context):\n    os._exit(3)\n";
    let whole =
        "def transform(post, context):\n    return {**post, 'title': post['title'] + context['url'][-4:]}\n";
    let stage = stage(&[
        ("last", 9, &add("9")),
        ("b_same", 1, &add("b")),
        ("a_same", 1, &add("a")),
        ("first", -5, &add("0")),
        ("raises", 2, spoil),
        ("shapeless", 3, shape),
        ("long", 4, long),
        ("leaves", 5, gone),
        ("whole", 6, whole),
    ])
    .await;
    let data = apply(&stage, &json!({"title": ""}), &json!({})).await.data().clone();
    assert_eq!(data["post"]["title"], "0abpage9", "{data}");
    assert_eq!(data["applied"].as_array().map(Vec::len), Some(5));
    let errors = data["errors"].as_array().expect("errors");
    let slugs: Vec<_> = errors.iter().map(|error| error["slug"].as_str().unwrap_or_default()).collect();
    assert_eq!(slugs, ["raises", "shapeless", "long", "leaves"]);
    let messages: Vec<_> = errors.iter().map(|error| error["message"].as_str().unwrap_or_default()).collect();
    assert_eq!(messages[0], "raised at line 3");
    assert!(
        messages[1].starts_with("result.title: ") && messages[2].starts_with("result.title: "),
        "{messages:?}"
    );
    assert!(!data.to_string().contains("secret of the script"), "{data}");
    stage.close();
}

#[tokio::test]
async fn html_is_clean_before_the_first_transform_and_after_each() {
    let seen = "import callboard\ndef transform(post, context):\n    callboard.notice(post['content'])\n    post['content'] += '<script>x</script><b onclick=y>z</b>'\n";
    let stage = stage(&[("one", 1, seen), ("two", 2, seen)]).await;
    let dirty = json!({"content": "<p style=a>p</p><script>alert(1)</script>"});
    let data = apply(&stage, &dirty, &json!({"format": "html"})).await.data().clone();
    assert_eq!(data["post"]["content"], "<p>p</p><b>z</b><b>z</b>", "{data}");
    assert_eq!(data["notices"][0]["text"], "<p>p</p>");
    assert_eq!(data["notices"][1]["text"], "<p>p</p><b>z</b>");
    // What is no HTML is nobody's to clean here.
    let data = apply(&stage, &dirty, &json!({"format": "markdown"})).await.data().clone();
    assert!(
        data["post"]["content"].as_str().is_some_and(|content| content.contains("<script>alert")),
        "{data}"
    );
    let nested = json!({"content": "<div>".repeat(200)});
    let answer = apply(&stage, &nested, &json!({"format": "html"})).await;
    assert_eq!(answer.complaint(), ("REQUEST_INVALID", "payload.post.content"), "{}", answer.body);
    stage.close();
}

#[tokio::test]
async fn notices_are_few_and_of_the_last_run_only() {
    let talk = "import callboard\ndef transform(post, context):\n    for n in range(int(post['title'])):\n        callboard.notice(str(n))\n";
    let names: Vec<String> = (0..6).map(|n| format!("talk_{n}")).collect();
    let scripts: Vec<_> = names.iter().map(|name| (name.as_str(), 0, talk)).collect();
    let stage = stage(&scripts).await;
    for (each, expected) in [(5, 20), (1, 6), (0, 0)] {
        let data = apply(&stage, &json!({"title": each.to_string()}), &json!({})).await.data().clone();
        assert_eq!(data["notices"].as_array().map(Vec::len), Some(expected), "{data}");
        assert_eq!(data["errors"], json!([]));
    }
    stage.close();
}

#[tokio::test]
async fn each_part_of_a_request_that_breaks_its_limits_is_named() {
    let stage = stage(&[]).await;
    let post = |key: &str, value: Value| (json!({key: value}), json!({}), format!("payload.post.{key}"));
    let context =
        |key: &str, value: Value| (json!({}), json!({key: value}), format!("payload.context.{key}"));
    for (post, context, path) in [
        post("title", json!("x".repeat(201))),
        post("title", json!("a\u{0}b")),
        post("title", json!(5)),
        post("content", json!("x".repeat((1 << 20) + 1))),
        post("tags", json!(vec!["a"; 101])),
        post("categories", json!("a")),
        post("more", json!(1)),
        context("url", json!("javascript:alert(1)")),
        context("url", json!("https://user@example.org/")),
        context("url", json!("https://example.org/#x")),
        context("source", json!(null)),
        context("format", json!("pdf")),
    ] {
        let answer = apply(&stage, &post, &context).await;
        assert_eq!(answer.complaint(), ("REQUEST_INVALID", path.as_str()), "{}", answer.body);
    }
    let answer = apply(&stage, &json!({"title": "fine"}), &json!({})).await;
    assert_eq!(answer.data()["post"]["title"], "fine");
    assert_eq!(answer.data()["applied"], json!([]));
    stage.close();
}

#[tokio::test]
async fn a_transform_of_another_project_or_one_that_is_switched_off_does_not_run() {
    let stage = stage(&[("mine", 0, "def transform(post, context):\n    post['title'] += '!'\n")]).await;
    let payload = request(&json!({}), &json!({}));
    let other = stage.client.call_whole("transform.apply", &payload, &json!({"project": "elsewhere"})).await;
    assert_eq!(other.data()["post"]["title"], "t", "{}", other.body);
    assert_eq!(stage.client.call("transform.apply", &payload).await.data()["post"]["title"], "t!");
    let off = transform("mine", 0, "def transform(post, context):\n    post['title'] += '!'\n");
    stage.node.write_script("mine.py", &off.replacen("enabled: true", "enabled: false", 1));
    wait::eventually("the transform to be off", Duration::from_secs(10), || async {
        let answer = stage.client.call("transform.apply", &payload).await;
        (answer.data()["post"]["title"] == "t").then_some(())
    })
    .await;
    stage.close();
}

const HANGS: &str = "def transform(post, context):\n    while True: pass\n";
const ADDS: &str = "def transform(post, context):\n    post['title'] += '!'\n";

#[tokio::test]
async fn a_transform_that_hangs_has_five_seconds_of_its_own_and_the_others_go_on() {
    let stage = stage(&[("adds", 1, ADDS), ("hangs", 0, HANGS)]).await;
    let answer = apply(&stage, &json!({}), &json!({})).await;
    let data = answer.data();
    assert_eq!(data["post"]["title"], "t!", "{data}");
    assert_eq!(data["errors"][0]["slug"], "hangs", "{data}");
    let seconds = answer.took.as_secs_f64();
    assert!((4.9..20.0).contains(&seconds), "took {seconds} s of the 30 that the whole has");
    stage.close();
}

#[tokio::test]
async fn a_post_for_which_there_is_no_time_left_fails_as_a_whole() {
    let stage = stage(&[("adds", 0, ADDS), ("hangs", 1, HANGS)]).await;
    let request = request(&json!({}), &json!({}));
    let answer = stage.client.call_whole("transform.apply", &request, &json!({"timeoutMs": 1_000})).await;
    assert_eq!(answer.code(), "PY_TIMEOUT", "{}", answer.body);
    stage.close();
}

#[tokio::test]
async fn a_post_for_which_there_is_no_place_fails_as_a_whole() {
    let slow = script::main("slow", "import time\n\ndef main(input=None):\n    time.sleep(input or 0)\n");
    let options = Options::new()
        .script("adds.py", transform("adds", 0, ADDS))
        .script("slow.py", slow)
        .setting("WORKER__PLACES", "1")
        .setting("WORKER__QUEUE", "1");
    let stage = Stage::with(options).await;
    let slow = async |seconds: u64| {
        let (payload, more) = (json!({"script": "slow", "input": seconds}), json!({"timeoutMs": 60_000}));
        stage.client.call_whole("utility.run", &payload, &more).await
    };
    // What has a cell already does not wait for one.
    assert!(slow(0).await.is_ok());
    let until = async |queued: u64| {
        wait::eventually("one call to run and the others to wait", Duration::from_secs(20), || async {
            let status = stage.client.call("supervisor.status", &json!({})).await;
            let pool = &status.data()["pool"];
            (pool["running"] == 1 && pool["queued"] == queued).then_some(())
        })
        .await;
    };
    let second = async {
        until(0).await;
        slow(60).await
    };
    let posted = async {
        until(0).await;
        until(1).await;
        apply(&stage, &json!({}), &json!({})).await
    };
    let answer = tokio::select! {
        answer = posted => answer,
        (first, second) = async { tokio::join!(slow(60), second) } => panic!("{} {}", first.body, second.body),
    };
    assert_eq!(answer.code(), "OVERLOADED", "{}", answer.body);
    // Not closed: that would wait for the slow calls.
    drop(stage);
}
