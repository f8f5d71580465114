//! More scripts than cells that are kept: each call is answered by its own script, and no more cells stay than the setting
//! says. What it costs is measured in `tests/benches`.

use std::time::Duration;

use futures_util::future::join_all;
use harness::node::Options;
use harness::stage::Stage;
use harness::{script, wait};
use serde_json::json;

/// Scripts of the node.
const SCRIPTS: usize = 40;
/// Cells that it keeps.
const WARM: usize = 4;
/// How often every script is called.
const ROUNDS: usize = 2;

/// A script that answers with its own name and counts the calls of its cell.
fn options() -> Options {
    let options = Options::new().setting("WORKER__WARM", &WARM.to_string()).setting("WORKER__PLACES", "2");
    (0..SCRIPTS).fold(options, |options, number| {
        let body = format!(
            "calls = []\ndef main(value):\n    calls.append(value)\n    return ['script {number}', value, calls]\n"
        );
        options.script(&format!("s{number}.py"), script::main(&format!("s{number}"), &body))
    })
}

#[tokio::test]
async fn each_of_more_scripts_than_warm_cells_answers_for_itself() {
    let stage = Stage::with(options()).await;
    for round in 0..ROUNDS {
        // Each round in another order; all at once, so that cells come and go while others are called.
        let calls = (0..SCRIPTS).map(|place| {
            let (stage, number) = (&stage, (place * 7 + round * 13) % SCRIPTS);
            async move {
                let asked = json!(format!("{round} of {number}"));
                let payload = json!({"script": format!("s{number}"), "input": asked});
                let answer = stage.client.call("utility.run", &payload).await;
                let result = &answer.data()["result"];
                assert_eq!(
                    (&result[0], &result[1]),
                    (&json!(format!("script {number}")), &asked),
                    "{result}"
                );
                for seen in result[2].as_array().expect("what the cell was called with") {
                    let seen = seen.as_str().expect("text");
                    assert!(seen.ends_with(&format!("of {number}")), "a call of another script: {result}");
                }
            }
        });
        join_all(calls).await;
    }
    wait::until("the cells past the limit to leave", Duration::from_secs(20), || {
        (stage.node.cells().len() <= WARM).then_some(())
    });
    assert!(!stage.node.cells().is_empty(), "no cell is kept");
    stage.close();
}
