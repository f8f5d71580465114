//! Panics inside of the node: in every actor and in the tasks that a worker lives by.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use harness::client::{Answer, Client};
use harness::node::Options;
use harness::processes::Process;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

use crate::{alone, form};

/// Panics of each actor in one run; one more than five within ten seconds would be for good.
const ROUNDS: usize = form(3, 5);
/// Time in which an actor is to answer again.
const AGAIN: Duration = Duration::from_millis(100);
/// The same where the machine is busy with something else.
const NOISE: Duration = Duration::from_secs(2);

const WORK: &str = "
import time

def main(input=None):
    time.sleep((input or {}).get('seconds', 0))
    return 'done'
";

fn options() -> Options {
    // A node that would end by itself soon: one that lives on shows that no part is down for good.
    Options::new().script("work.py", script::main("work", WORK)).setting("NODE__GIVE_UP_MS", "500")
}

async fn work(client: &Client, seconds: f64) -> Answer {
    client.call("utility.run", &json!({"script": "work", "input": {"seconds": seconds}})).await
}

/// Calls what an actor serves.
async fn ask(client: &Client, actor: &str) -> Answer {
    match actor {
        "worker" => work(client, 0.0).await,
        "scripts" => client.call("script.list", &json!({})).await,
        "supervisor" => client.call("supervisor.status", &json!({})).await,
        other => panic!("no actor {other}"),
    }
}

const ACTORS: [&str; 3] = ["scripts", "supervisor", "worker"];

/// How a caller learns that the part is down that it calls.
fn is_down(answer: &Answer) -> bool {
    ["UNAVAILABLE", "SERVICE_FAILURE"].contains(&answer.code())
}

/// Calls `actors` in turn until `work` is done. Every call must succeed; how many there were.
async fn while_others_answer<T>(
    client: &Client,
    actors: &[&str],
    work: impl Future<Output = T>,
) -> (T, usize) {
    let mut work = std::pin::pin!(work);
    let mut calls = 0;
    loop {
        for actor in actors {
            let answer = tokio::select! {
                done = &mut work => return (done, calls),
                answer = ask(client, actor) => answer,
            };
            assert!(answer.is_ok(), "{actor} fails with another part: {}", answer.body);
            calls += 1;
        }
    }
}

/// From the moment at which a caller hears of a panic to the next good answer of that part.
async fn until_it_answers(client: &Client, actor: &str, limit: Duration) -> Duration {
    let down = Instant::now();
    wait::eventually("a good answer", limit, || async {
        let answer = ask(client, actor).await;
        assert!(answer.is_ok() || is_down(&answer), "{}", answer.body);
        answer.is_ok().then_some(())
    })
    .await;
    down.elapsed()
}

async fn restarts(client: &Client) -> BTreeMap<String, u64> {
    let status = client.call("supervisor.status", &json!({})).await;
    let parts = status.data()["parts"].as_array().expect("parts").clone();
    let restarts = |part: &Value| part["restarts"].as_u64().expect("a count");
    parts.iter().map(|part| (part["name"].as_str().expect("a name").to_owned(), restarts(part))).collect()
}

#[tokio::test]
async fn an_actor_that_panics_answers_again_at_once_and_others_do_not_notice() {
    let _alone = alone().await;
    for actor in ACTORS {
        let stage = Stage::with(options()).await;
        let others: Vec<&str> = ACTORS.into_iter().filter(|other| *other != actor).collect();
        assert!(ask(&stage.client, "worker").await.is_ok());
        let zygote = stage.node.family();
        let panics = async {
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                stage.client.strike(actor, 1).await;
                // Others may come before this one: the supervisor hears the harness as well.
                let answer = wait::eventually("the fault", NOISE, || async {
                    let answer = ask(&stage.client, actor).await;
                    (!answer.is_ok()).then_some(answer)
                })
                .await;
                assert!(is_down(&answer), "{}", answer.body);
                assert!(answer.took < NOISE, "its sender waited {:?}", answer.took);
                times.push(until_it_answers(&stage.client, actor, NOISE).await);
            }
            times
        };
        let (times, calls) = while_others_answer(&stage.client, &others, panics).await;
        println!(
            "{actor}: {ROUNDS} panics, answers again after {times:?}; {calls} calls of others, none failed"
        );
        assert!(calls > 0 && times.iter().min() < Some(&AGAIN), "{times:?}");
        let counted = restarts(&stage.client).await;
        assert_eq!(counted[actor], ROUNDS as u64, "the faults did not strike: {counted:?}");
        assert_eq!(counted.values().sum::<u64>(), ROUNDS as u64, "others went down with it: {counted:?}");
        assert!(zygote.iter().all(Process::runs), "the cells went with an actor");
        let stopped = stage.close();
        assert_eq!(stopped.stderr.matches("actors/src/faults.rs").count(), ROUNDS, "{}", stopped.stderr);
    }
}

#[tokio::test]
async fn calls_that_run_outlive_a_panic_of_their_actor() {
    let _alone = alone().await;
    let stage = Stage::with(options()).await;
    assert!(ask(&stage.client, "worker").await.is_ok());
    let panics = async {
        wait::eventually("the call to run", NOISE, || async {
            let status = stage.client.call("supervisor.status", &json!({})).await;
            (status.data()["pool"]["running"].as_u64() > Some(0)).then_some(())
        })
        .await;
        stage.client.strike("worker", 1).await;
        assert!(is_down(&ask(&stage.client, "worker").await));
    };
    let (answer, ()) = tokio::join!(work(&stage.client, 1.0), panics);
    assert!(answer.is_ok(), "{}", answer.body);
    stage.close();
}

#[tokio::test]
async fn a_panic_in_an_operation_is_its_callers_alone() {
    let _alone = alone().await;
    let stage = Stage::with(options()).await;
    assert!(ask(&stage.client, "worker").await.is_ok());
    let running = work(&stage.client, 0.5);
    let panics = async {
        wait::eventually("the call to run", NOISE, || async {
            let status = stage.client.call("supervisor.status", &json!({})).await;
            (status.data()["pool"]["running"].as_u64() > Some(0)).then_some(())
        })
        .await;
        stage.client.strike("operation", 1).await;
        let answer = ask(&stage.client, "worker").await;
        assert_eq!(answer.code(), "UNAVAILABLE", "{}", answer.body);
        assert!(ask(&stage.client, "worker").await.is_ok(), "the next call");
    };
    let (answer, ()) = tokio::join!(running, panics);
    assert!(answer.is_ok(), "{}", answer.body);
    assert_eq!(restarts(&stage.client).await["worker"], 0);
    stage.close();
}

#[tokio::test]
async fn a_panic_over_a_message_is_answered_too() {
    let _alone = alone().await;
    let stage = Stage::with(options()).await;
    for actor in ACTORS {
        stage.client.strike("intake", 1).await;
        let answer = ask(&stage.client, actor).await;
        assert!(is_down(&answer), "{}", answer.body);
        assert!(answer.took < NOISE, "its sender waited {:?}", answer.took);
        assert!(ask(&stage.client, actor).await.is_ok(), "the next message");
    }
    assert_eq!(restarts(&stage.client).await.values().sum::<u64>(), 0);
    stage.close();
}

/// Makes the task of the pool visit its point, in a call that will not get through.
async fn visit(stage: &Stage, point: &str) -> Answer {
    stage.client.strike(point, 1).await;
    match point {
        "zygote" => {
            stage.node.cells().iter().for_each(Process::kill);
            work(&stage.client, 5.0).await
        }
        _ => work(&stage.client, 5.0).await,
    }
}

#[tokio::test]
async fn a_panic_in_a_task_of_the_pool_gives_the_worker_a_new_pool() {
    let _alone = alone().await;
    for point in ["watch", "zygote", "cell"] {
        let stage = Stage::with(options()).await;
        assert!(ask(&stage.client, "worker").await.is_ok());
        let old = stage.node.family();
        let begun = Instant::now();
        let panics = async {
            // What waits for the frame of a cell need not run long.
            let answer = match point {
                "cell" => {
                    stage.client.strike("cell", 1).await;
                    work(&stage.client, 0.0).await
                }
                _ => visit(&stage, point).await,
            };
            assert!(is_down(&answer), "{point}: {}", answer.body);
            let heard = begun.elapsed();
            (heard, until_it_answers(&stage.client, "worker", Duration::from_secs(10)).await)
        };
        let ((heard, times), calls) =
            while_others_answer(&stage.client, &["scripts", "supervisor"], panics).await;
        println!("{point}: heard after {heard:?}, answers again after {times:?}; {calls} calls of others");
        assert!(heard < NOISE, "the caller waited {heard:?} for a pool that was gone");
        assert_eq!(restarts(&stage.client).await["worker"], 1);
        wait::until("the old zygote and its cells to end", Duration::from_secs(5), || {
            (!old.iter().any(Process::runs)).then_some(())
        });
        stage.close();
    }
}

/// The next heartbeat that says whether the node is ready in that way.
async fn heartbeat(beats: &mut async_nats::Subscriber, ready: bool) -> Value {
    let wanted = async {
        loop {
            let beat = beats.next().await.expect("a heartbeat");
            let beat: Value = serde_json::from_slice(&beat.payload).expect("JSON");
            if beat["ready"] == ready {
                return beat;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wanted).await.expect("a heartbeat that says so")
}

#[tokio::test]
async fn an_actor_that_always_panics_stays_down_and_the_node_ends_to_be_started_anew() {
    let _alone = alone().await;
    for actor in ACTORS {
        let stage = Stage::with(options().setting("NODE__GIVE_UP_MS", "2500")).await;
        let mut beats =
            stage.client.nats().subscribe("supervisor.heartbeat.*").await.expect("a subscription");
        heartbeat(&mut beats, true).await;
        assert!(ask(&stage.client, "worker").await.is_ok());
        stage.client.strike(actor, u64::MAX).await;
        let said =
            |stderr: &str| stderr.lines().any(|line| line.contains("stays down") && line.contains(actor));
        let mut asked = 0;
        wait::eventually("the actor to stay down", Duration::from_secs(10), || {
            asked += 1;
            let (client, stderr) = (stage.client.clone(), stage.node.stderr());
            async move {
                let answer = ask(&client, actor).await;
                assert!(is_down(&answer), "{}", answer.body);
                said(&stderr).then_some(())
            }
        })
        .await;
        let since = Instant::now();
        assert_eq!(stage.node.stderr().matches("actors/src/faults.rs").count(), 6, "{}", stage.node.stderr());
        heartbeat(&mut beats, false).await;
        for other in ACTORS.iter().filter(|other| **other != actor) {
            let answer = ask(&stage.client, other).await;
            assert!(answer.is_ok(), "{other} does not answer while {actor} is down: {}", answer.body);
        }
        if actor != "supervisor" {
            let status = stage.client.call("supervisor.status", &json!({})).await;
            let parts = status.data()["parts"].as_array().expect("parts").clone();
            let part = parts.iter().find(|part| part["name"] == actor).expect("the part");
            assert_eq!((&part["state"], &part["restarts"]), (&json!("failed"), &json!(5)), "{part}");
            assert_eq!(status.data()["ready"], false);
        }
        let (pid, family) = (stage.node.pid(), stage.node.family());
        wait::until("the node to end by itself", Duration::from_secs(20), || {
            Process::find(pid).is_none_or(|process| process.is_zombie()).then_some(())
        });
        let took = since.elapsed();
        let stopped = stage.node.ended(&family);
        println!(
            "{actor}: down for good after {asked} calls, the node ended {took:?} later with {:?}",
            stopped.code
        );
        assert_eq!(stopped.code, Some(70), "{}", stopped.stderr);
        assert!(took > Duration::from_secs(2), "it gave up early: {took:?}");
        assert!(stopped.left.is_empty(), "{:?}", stopped.left);
    }
}
