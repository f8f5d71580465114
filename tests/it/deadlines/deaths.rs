//! Processes that are killed from outside, and scripts whose processes keep dying.

use std::time::{Duration, Instant};

use harness::client::Client;
use harness::processes::{self, Process};
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

use super::{call, options, request};

/// The process that holds `slug`, idle or not, as the node itself tells.
async fn cell_of(client: &Client, slug: &str) -> (Process, bool) {
    let status = client.call("supervisor.status", &json!({})).await;
    let cells = status.data()["pool"]["cells"].as_array().expect("cells").clone();
    let cell = cells.iter().find(|cell| cell["script"] == slug).expect("a cell");
    let pid = u32::try_from(cell["pid"].as_u64().expect("an id")).expect("an id");
    (Process::find(pid).expect("a process"), cell["busy"] == true)
}

#[tokio::test]
async fn a_call_that_had_not_begun_in_a_killed_cell_runs_in_another() {
    let stage = Stage::with(options()).await;
    assert!(call(&stage.client, "cases", "", 5_000).await.is_ok());
    let (cell, _) = cell_of(&stage.client, "cases").await;
    cell.halt();
    let kill = async {
        wait::eventually("the call to stand in the pipe", Duration::from_secs(5), || async {
            cell_of(&stage.client, "cases").await.1.then_some(())
        })
        .await;
        cell.kill();
    };
    let (answer, ()) = tokio::join!(call(&stage.client, "cases", "", 5_000), kill);
    assert!(answer.is_ok(), "{}", answer.body);
    stage.close();
}

/// The process that runs `slug` just now, as the node itself tells.
pub(crate) async fn busy_cell(client: &Client, slug: &str) -> Process {
    wait::eventually("a busy cell", Duration::from_secs(10), || async {
        let status = client.call("supervisor.status", &json!({})).await;
        let cells = status.data()["pool"]["cells"].as_array()?.clone();
        let cell = cells.iter().find(|cell| cell["script"] == slug && cell["busy"] == true)?;
        Process::find(u32::try_from(cell["pid"].as_u64()?).ok()?)
    })
    .await
}

/// The process that runs `slug`, once it has worked for a while: its call has begun for sure. One that has not begun
/// moves to another cell when this one dies.
pub(crate) async fn cell_at_work(client: &Client, slug: &str) -> Process {
    wait::eventually("a cell at work", Duration::from_secs(10), || async {
        let cell = busy_cell(client, slug).await;
        (cell.worked() > Duration::from_millis(200)).then_some(cell)
    })
    .await
}

#[tokio::test]
async fn a_cell_that_is_killed_in_a_call_is_reported_at_once() {
    let stage = Stage::with(options()).await;
    let killed = async {
        let cell = cell_at_work(&stage.client, "cases").await;
        cell.kill();
        (cell, Instant::now())
    };
    let (answer, (cell, then)) = tokio::join!(call(&stage.client, "cases", "while", 30_000), killed);
    assert_eq!(answer.code(), "PY_PROCESS_DOWN", "{}", answer.body);
    assert!(then.elapsed() < Duration::from_millis(500), "heard of it after {:?}", then.elapsed());
    let death = &answer.details()["death"];
    assert_eq!(death["signal"], "SIGKILL", "{death}");
    assert!(!death["advice"].as_str().unwrap_or_default().is_empty(), "{death}");
    assert!(call(&stage.client, "others", "", 5_000).await.is_ok());
    wait::until("the cell to be reaped", Duration::from_secs(5), || {
        Process::find(cell.pid).is_none().then_some(())
    });
    stage.close();
}

/// The zygote's process, as the node tells.
async fn zygote(client: &Client) -> Process {
    let status = client.call("supervisor.status", &json!({})).await;
    let pid = status.data()["pool"]["zygote"].as_u64().expect("a zygote");
    Process::find(u32::try_from(pid).expect("a process id")).expect("the zygote")
}

#[tokio::test]
async fn a_cell_that_is_killed_at_any_moment_leaves_no_call_with_a_wrong_answer() {
    const ROUNDS: u32 = 60;
    let slugs: Vec<String> = (0..ROUNDS).map(|n| format!("work_{n}")).collect();
    let options = slugs.iter().fold(options(), |options, slug| {
        options.script(&format!("{slug}.py"), script::render(slug, super::CASES))
    });
    let stage = Stage::with(options).await;
    let zygote = zygote(&stage.client).await.pid;
    let mut met = 0;
    for (n, slug) in (0u32..).zip(&slugs) {
        let before = processes::children(zygote);
        // A thread of its own, so that it can be there in any moment of the cell's first forty milliseconds.
        let killer = tokio::task::spawn_blocking(move || {
            let cell = wait::until("a new cell", Duration::from_secs(5), || {
                processes::children(zygote).into_iter().find(|cell| !before.contains(cell))
            });
            let moment = Instant::now() + Duration::from_micros(40_000 * u64::from(n) / u64::from(ROUNDS));
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            cell.kill();
        });
        let answers =
            futures_util::future::join_all((0..4).map(|_| call(&stage.client, slug, "short", 5_000))).await;
        killer.await.expect("a killed cell");
        for answer in answers {
            assert!(["OK", "PY_PROCESS_DOWN"].contains(&answer.code()), "{slug}: {}", answer.body);
            met += usize::from(!answer.is_ok());
        }
    }
    println!("{ROUNDS} cells killed, {met} calls met it");
    assert!(met > 0, "no cell was killed in a call");
    stage.close();
}

#[tokio::test]
async fn a_zygote_that_is_killed_takes_its_cells_along_and_comes_back() {
    let stage = Stage::with(options()).await;
    assert!(call(&stage.client, "others", "", 5_000).await.is_ok());
    let killed = async {
        cell_at_work(&stage.client, "cases").await;
        let cells = stage.node.cells();
        assert!(cells.len() >= 2, "{cells:?}");
        zygote(&stage.client).await.kill();
        cells
    };
    let (answer, cells) = tokio::join!(call(&stage.client, "cases", "while", 30_000), killed);
    assert_eq!(answer.code(), "PY_PROCESS_DOWN", "{}", answer.body);
    wait::until("the cells to end", Duration::from_secs(5), || {
        (!cells.iter().any(Process::runs)).then_some(())
    });
    wait::eventually("the pool to come back", Duration::from_secs(10), || async {
        call(&stage.client, "others", "", 5_000).await.is_ok().then_some(())
    })
    .await;
    stage.close();
}

#[tokio::test]
async fn nothing_outlives_a_node_that_is_killed() {
    let stage = Stage::with(options()).await;
    assert!(call(&stage.client, "cases", "", 5_000).await.is_ok());
    assert!(!stage.node.cells().is_empty());
    let stopped = stage.node.end(rustix::process::Signal::KILL);
    assert_eq!(stopped.code, None);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
}

#[tokio::test]
async fn a_script_that_keeps_dying_is_held_back_for_a_while_and_others_are_not() {
    let text = script::render("cases", super::CASES);
    let stage =
        Stage::with(options().script("cases.py", &*text).setting("WORKER__CIRCUIT_OPEN_MS", "3000")).await;
    let hold_back = async || {
        let mut deaths = 0;
        while deaths < 5 {
            let answer = call(&stage.client, "cases", "loop", 150).await;
            assert_eq!(answer.code(), "PY_TIMEOUT", "{}", answer.body);
            // On a busy machine one may not get to run at all; only those that did have died.
            deaths += u32::from(answer.details()["death"]["phases"]["run"].is_number());
        }
        let answer = call(&stage.client, "cases", "", 5_000).await;
        assert_eq!(answer.code(), "PY_PROCESS_DOWN", "{}", answer.body);
        assert_eq!(answer.details()["reason"], "circuit_open");
        assert!(answer.took < Duration::from_millis(250), "took {:?}", answer.took);
        assert!(call(&stage.client, "others", "", 5_000).await.is_ok());
        Instant::now()
    };
    let runs = || async { call(&stage.client, "cases", "", 5_000).await.is_ok().then_some(()) };
    let since = hold_back().await;
    wait::eventually("the script to be tried again", Duration::from_secs(10), runs).await;
    assert!(since.elapsed() > Duration::from_secs(2), "held back for {:?} only", since.elapsed());

    let since = hold_back().await;
    stage.node.write_script("cases.py", &format!("{text}# mended\n"));
    wait::eventually("the changed script to run", Duration::from_secs(10), runs).await;
    assert!(since.elapsed() < Duration::from_secs(2), "a changed script waited {:?}", since.elapsed());
    stage.close();
}

#[tokio::test]
async fn a_call_that_asks_for_too_much_memory_fails_alone() {
    let body = "def render(context):\n    block = [0] * (context['params']['items'])\n    return {'html': str(len(block))}\n";
    let greedy = script::render("greedy", body);
    let stage = Stage::with(options().script("greedy.py", greedy).setting("WORKER__MEMORY_MB", "128")).await;
    let ask = |items: u64| {
        let payload: Value =
            json!({"script": "greedy", "context": script::context(&json!({"items": items}))});
        let client = stage.client.clone();
        async move { client.call("macro.render", &payload).await }
    };
    assert!(ask(1_000_000).await.is_ok());
    let answer = ask(2_000_000_000).await;
    assert_eq!(
        (answer.code(), &answer.details()["reason"]),
        ("PY_ACTION_FAILED", &json!("memory")),
        "{}",
        answer.body
    );
    assert!(ask(1_000_000).await.is_ok());
    stage.close();
}

#[tokio::test]
async fn a_cell_that_leaves_by_itself_is_explained() {
    let body = "import os\n\ndef render(context):\n    os._exit(7)\n";
    let stage = Stage::with(options().script("leaves.py", script::render("leaves", body))).await;
    let answer = stage.client.call("macro.render", &request("leaves", "")).await;
    assert_eq!(answer.code(), "PY_PROCESS_DOWN", "{}", answer.body);
    assert_eq!(answer.details()["death"]["exit"], 7);
    stage.close();
}
