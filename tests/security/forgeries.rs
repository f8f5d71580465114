//! Forged frames: a script that writes to its own pipe harms its own call and nobody else's.

use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::{Value, json};

/// What `forgeries.py` can write.
const CASES: [&str; 18] = [
    "garbage", "other", "none", "hello", "loaded", "huge", "half", "skipped", "broken", "open", "more",
    "field", "lines", "deep", "text", "twice", "sleeps", "loops",
];

#[tokio::test]
async fn a_forged_frame_is_at_most_an_answer_to_the_call_that_forged_it() {
    let text = script::main("forgeries", include_str!("forgeries.py"));
    let options = Options::new()
        .setting("WORKER__CIRCUIT_DEATHS", "0")
        .script("a/forgeries.py", text.clone())
        .script("b/forgeries.py", script::main("forgeries", include_str!("forgeries.py")));
    let stage = Stage::with(options).await;
    let run = async |project: &str, entrypoint: &str, input: Value| {
        let request = json!({"script": "forgeries", "entrypoint": entrypoint, "input": input});
        let more = json!({"project": project, "timeoutMs": 2_000});
        stage.client.call_whole("utility.run", &request, &more).await
    };
    let mut taken = Vec::new();
    for case in CASES {
        let (forged, other) =
            tokio::join!(run("a", "main", json!(case)), run("b", "honest", json!({"of": "b"})));
        if forged.is_ok() {
            // It has answered for itself: with one whole value and nothing beside it.
            assert_eq!(forged.data()["result"], 7, "{case}: {}", forged.body);
            taken.push(case);
        }
        assert!(!forged.body.to_string().contains("injected"), "{case}: {}", forged.body);
        assert!(other.is_ok(), "beside {case}: {}", other.body);
        assert_eq!(other.data()["result"], json!({"of": "b"}), "{case}");
        for project in ["a", "b"] {
            let next = run(project, "honest", json!(case)).await;
            assert!(next.is_ok(), "{project} after {case}: {}", next.body);
            assert_eq!(next.data()["result"], case, "the next call of {project} after {case}");
        }
    }
    println!("{} forgeries, taken for an answer to their own call: {taken:?}", CASES.len());
    assert_eq!(taken, ["twice", "sleeps", "loops"]);
    stage.close();
}
