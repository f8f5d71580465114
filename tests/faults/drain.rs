//! A node that is told to stop while it has much to do: what it has accepted it answers, and what its calls need of other
//! parts is there until they have ended.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use futures_util::future::join_all;
use harness::client::{Answer, Client};
use harness::node::Options;
use harness::processes::Process;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

use crate::{alone, form};

/// Pages that stand in line when the node is told to stop, each with a script that nobody has fetched before.
const PAGES: usize = form(40, 80);
/// Callers that each have one short call at a time.
const CALLERS: u64 = 8;
/// Enough text that reading a page takes some milliseconds, and that only as many are read at once as there are cores.
const PARAGRAPHS: usize = 500;

const MACRO: &str = "def render(context):\n    return {'html': '<b>' + context['params']['n'] + '</b>'}\n";
const SLOW: &str = "import time\n\ndef main(input=None):\n    time.sleep(20)\n";

fn page(n: usize) -> Value {
    let text = "A paragraph with *some* text in it.\n\n".repeat(PARAGRAPHS);
    json!({
        "content": format!("{text}[[late_{n} n=\"{n}\"]]\n"),
        "format": "markdown",
        "env": {"isPreview": false},
        "onError": "fail",
    })
}

async fn status(client: &Client) -> Value {
    client.call("supervisor.status", &json!({})).await.data().clone()
}

/// What became of a request: a code, or that nobody served it any more, which is no loss.
fn outcome(answer: Result<Answer, async_nats::RequestError>) -> String {
    match answer {
        Ok(answer) => answer.code().to_owned(),
        Err(error) if error.kind() == async_nats::RequestErrorKind::NoResponders => "nobody".to_owned(),
        Err(error) => format!("lost: {error}"),
    }
}

/// Short calls from several callers until nobody serves them any more; counts their outcomes.
async fn until_nobody_serves(client: &Client, outcomes: &RefCell<BTreeMap<String, u64>>) {
    let callers = (0..CALLERS).map(|_| async {
        let mut last = String::new();
        while last != "nobody" {
            let request = json!({"script": "short"}).to_string();
            last = outcome(client.try_send("utility.run", HeaderMap::new(), request).await);
            *outcomes.borrow_mut().entry(last.clone()).or_default() += 1;
        }
    });
    join_all(callers).await;
}

/// Asks for a page: what became of it, and when.
async fn rendered(client: &Client, n: usize) -> (String, Instant) {
    let answer = client.try_send("content.render", HeaderMap::new(), page(n).to_string()).await;
    let good = answer.as_ref().ok().filter(|answer| answer.is_ok());
    if let Some(html) = good.map(|answer| answer.data()["html"].to_string()) {
        assert!(html.contains(&format!("<b>{n}</b>")), "another page");
    }
    (outcome(answer), Instant::now())
}

#[tokio::test]
async fn a_node_that_stops_answers_all_it_has_accepted_pages_that_must_fetch_scripts_too() {
    let _alone = alone().await;
    let short = script::main("short", "def main(input=None):\n    return 1\n");
    let options = (0..PAGES).fold(
        Options::new().script("short.py", short).setting("NODE__DRAIN_MS", "60000"),
        |options, n| {
            let slug = format!("late_{n}");
            options.script(&format!("{slug}.py"), script::render(&slug, MACRO))
        },
    );
    let stage = Stage::with(options).await;
    let Stage { client, node, broker } = stage;
    let load = Client::connect(&broker.url()).await;
    assert!(load.call("utility.run", &json!({"script": "short"})).await.is_ok());

    let short = RefCell::default();
    let load = until_nobody_serves(&load, &short);
    let under_way = || async { (short.borrow().get("OK") > Some(&200)).then_some(()) };
    let asked_for = Cell::new(0);
    let pages = join_all((0..PAGES).map(|n| {
        let (client, asked_for) = (client.clone(), &asked_for);
        async move {
            wait::eventually("load", Duration::from_secs(10), under_way).await;
            asked_for.set(asked_for.get() + 1);
            rendered(&client, n).await
        }
    }));
    let stopping = async {
        let all = || async { (asked_for.get() == PAGES).then_some(()) };
        wait::eventually("all pages to be asked for", Duration::from_secs(10), all).await;
        // Over the same connection and therefore behind the pages: once it is answered, the node has them all.
        status(&client).await;
        let family = node.family();
        Process::find(node.pid()).expect("the node").ask_to_stop();
        let asked = Instant::now();
        wait::eventually("a node that is not ready but answers", Duration::from_secs(5), || async {
            (status(&client).await["ready"] == false).then_some(())
        })
        .await;
        (family, asked)
    };
    let (pages, (family, asked), ()) = tokio::join!(pages, stopping, load);
    let short = short.into_inner();
    let after = pages.iter().filter(|(_, at)| *at > asked).count();
    let mut outcomes = BTreeMap::<&str, u64>::new();
    pages.iter().for_each(|(outcome, _)| *outcomes.entry(outcome).or_default() += 1);
    println!(
        "{PAGES} pages, {after} of them answered after the signal: {outcomes:?}; short calls meanwhile: {short:?}"
    );
    assert!(after > PAGES / 2, "the node had little left to do when it was told to stop");
    assert_eq!(
        outcomes,
        BTreeMap::from([("OK", PAGES as u64)]),
        "lost, or failed because another part had gone"
    );
    let ends: Vec<_> = short.keys().map(String::as_str).collect();
    assert_eq!(ends, ["OK", "nobody"], "a short call was lost: {short:?}");
    let stopped = tokio::task::spawn_blocking(move || node.ended(&family)).await.expect("its end");
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let _alone = alone().await;
    let stage = Stage::with(Options::new().script("slow.py", script::main("slow", SLOW))).await;
    let Stage { client, node, broker } = stage;
    let caller = client.clone();
    let call = tokio::spawn(async move {
        caller.try_send("utility.run", HeaderMap::new(), json!({"script": "slow"}).to_string()).await
    });
    wait::eventually("the call to run", Duration::from_secs(5), || async {
        (status(&client).await["pool"]["running"].as_u64() > Some(0)).then_some(())
    })
    .await;
    Process::find(node.pid()).expect("the node").ask_to_stop();
    wait::eventually("the node to wait for the call", Duration::from_secs(5), || async {
        (status(&client).await["ready"] == false).then_some(())
    })
    .await;
    let stopped = tokio::task::spawn_blocking(move || node.stop()).await.expect("its end");
    println!("ended {:?} after the second signal with {:?}", stopped.took, stopped.code);
    assert_eq!(stopped.code, Some(143), "{}", stopped.stderr);
    assert!(stopped.took < Duration::from_secs(3), "it took {:?}", stopped.took);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
    call.abort();
    drop(broker);
}
