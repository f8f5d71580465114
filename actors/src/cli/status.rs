//! `callboard status`: how all nodes of an installation are, from their own answers, or from the one of a node that
//! has asked the others.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use protocol::channels::Channel;
use protocol::channels::supervisor_status::{Member, Pool, Reply as Node, State, SupervisorStatus};
use protocol::{Format, subject};
use serde_json::value::RawValue;

use super::client::{Client, Terms};
use super::flags::Installation;
use super::reply::Reply;
use super::{Error, client, out, pretty, table};

/// How long nodes have to answer: there is no telling how many there are.
const WINDOW: Duration = Duration::from_millis(300);
/// How long the one node that answers for all may take: others take over from it within half a second.
const CLUSTER: Duration = Duration::from_secs(2);

/// How to show it.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Ask one node for all: also shows those that have gone silent, by their last heartbeats.
    #[arg(long)]
    cluster: bool,
    /// Print JSON: a list with the whole status of each node.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

impl Status {
    /// Asks and prints.
    pub(crate) async fn run(&self) -> Result<u8, Error> {
        let client = Client::connect(&self.installation.load()?.config).await?;
        let name = subject::of_channel(SupervisorStatus::NAME);
        if self.cluster {
            return self.show_cluster(&client, &name).await;
        }
        let answers = client.gather(&name, Bytes::from_static(b"{}"), WINDOW).await?;
        let answers: Vec<String> =
            answers.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
        let mut found: Vec<(Node, &RawValue)> = Vec::new();
        for answer in &answers {
            match Reply::read(answer)?.outcome() {
                Ok(data) => found.push((read(data)?, read(data)?)),
                Err(failure) => {
                    failure.report();
                }
            }
        }
        if answers.is_empty() {
            return Err(client::Error::Late { subject: name, waited_ms: WINDOW.as_millis() }.into());
        }
        found.sort_by(|(one, _), (other, _)| one.node.cmp(&other.node));
        if self.json {
            let raw: Vec<&RawValue> = found.iter().map(|(_, raw)| *raw).collect();
            let text = serde_json::to_string(&raw).map_err(Error::Json)?;
            out::data(&pretty::json(&text, out::is_read_by_a_person()))?;
        } else {
            let nodes: Vec<Node> = found.into_iter().map(|(node, _)| node).collect();
            out::data(&tables(&nodes))?;
        }
        Ok(0)
    }

    async fn show_cluster(&self, client: &Client, name: &str) -> Result<u8, Error> {
        let terms = Terms { format: Format::Json, project: None, timeout: CLUSTER };
        let answer = client.request(name, Bytes::from_static(br#"{"cluster":true}"#), &terms).await?;
        let answer = String::from_utf8_lossy(&answer);
        let reply = Reply::read(&answer)?;
        let data = match reply.outcome() {
            Ok(data) => data,
            Err(failure) => return Ok(failure.report()),
        };
        let nodes = read::<Node>(data)?.nodes.ok_or(client::Error::Unreadable)?;
        if self.json {
            let text = serde_json::to_string(&nodes).map_err(Error::Json)?;
            out::data(&pretty::json(&text, out::is_read_by_a_person()))?;
        } else {
            out::data(&members(&nodes))?;
        }
        Ok(0)
    }
}

/// A line for each node of an installation, and one for each of their pools besides that of scripts.
fn members(nodes: &[Member]) -> String {
    let rows: Vec<_> = nodes.iter().map(member).collect();
    let headings = ["NODE", "READY", "ROLES", "FREE", "QUEUED", "WARM", "DOWN", "VERSION", "BEAT"];
    let mut text = table::lay_out(headings, &rows);
    let pools = nodes.iter().flat_map(|node| node.pools.iter().map(move |pool| (&node.node, pool)));
    let of_pools: Vec<_> = pools
        .map(|(node, pool)| {
            let free = format!("{}/{}", pool.free, pool.places);
            [node.clone(), pool.name.clone(), free, pool.queued.to_string(), pool.warm.to_string()]
        })
        .collect();
    append(&mut text, ["NODE", "POOL", "FREE", "QUEUED", "WARM"], &of_pools);
    text
}

/// Puts a table below others, if it has rows.
fn append<const N: usize>(text: &mut String, headings: [&str; N], rows: &[[String; N]]) {
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table::lay_out(headings, rows));
    }
}

fn member(node: &Member) -> [String; 9] {
    let roles: Vec<&str> = node.roles.iter().map(|role| role.as_str()).collect();
    let down: Vec<&str> =
        node.parts.iter().filter(|part| part.state != State::Up).map(|part| part.name.as_str()).collect();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let ready = match (node.answered, node.ready) {
        (false, _) => "silent",
        (true, true) => "yes",
        (true, false) => "no",
    };
    [
        node.node.clone(),
        ready.to_owned(),
        roles.join(","),
        or_none(node.free.zip(node.places).map(|(free, places)| format!("{free}/{places}"))),
        or_none(node.queued.map(|queued| queued.to_string())),
        or_none(node.warm.map(|warm| warm.to_string())),
        or_none((!down.is_empty()).then(|| down.join(","))),
        node.version.clone(),
        or_none(node.beat_age_ms.map(|age| format!("{}.{} s", age / 1_000, age % 1_000 / 100))),
    ]
}

fn read<'a, T: serde::Deserialize<'a>>(data: &'a str) -> Result<T, Error> {
    serde_json::from_str(data).map_err(|_| client::Error::Unreadable.into())
}

fn tables(nodes: &[Node]) -> String {
    let mut of_nodes = Vec::new();
    let mut of_pools = Vec::new();
    let mut of_parts = Vec::new();
    let mut of_actions = Vec::new();
    for node in nodes {
        let roles: Vec<&str> = node.roles.iter().map(|role| role.as_str()).collect();
        let [running, queued, cells, killed, died, python] =
            node.pool.as_ref().map_or_else(|| std::array::from_fn(|_| "-".to_owned()), figures);
        of_nodes.push([
            node.node.clone(),
            if node.ready { "yes" } else { "no" }.to_owned(),
            roles.join(","),
            running,
            queued,
            cells,
            killed,
            died,
            python,
            node.version.clone(),
            node.started_at
                .parse()
                .map_or_else(|_| node.started_at.clone(), |at: jiff::Timestamp| format!("{at:.0}")),
        ]);
        of_pools.extend(node.pools.iter().map(|named| {
            let [running, queued, cells, killed, died, python] = figures(&named.pool);
            [node.node.clone(), named.name.clone(), running, queued, cells, killed, died, python]
        }));
        of_actions.extend(node.actions.iter().map(|action| [node.node.clone(), action.clone()]));
        for part in &node.parts {
            let state = match part.state {
                State::Up => "up",
                State::Restarting => "restarting",
                State::Failed => "failed",
            };
            of_parts.push([
                node.node.clone(),
                part.name.clone(),
                state.to_owned(),
                part.restarts.to_string(),
            ]);
        }
    }
    let headings = [
        "NODE", "READY", "ROLES", "RUNNING", "QUEUED", "CELLS", "KILLED", "DIED", "PYTHON", "VERSION",
        "STARTED",
    ];
    let mut text = table::lay_out(headings, &of_nodes);
    let headings = ["NODE", "POOL", "RUNNING", "QUEUED", "CELLS", "KILLED", "DIED", "PYTHON"];
    append(&mut text, headings, &of_pools);
    append(&mut text, ["NODE", "PART", "STATE", "RESTARTS"], &of_parts);
    append(&mut text, ["NODE", "ACTION"], &of_actions);
    text
}

/// A pool's columns.
fn figures(pool: &Pool) -> [String; 6] {
    [
        format!("{}/{}", pool.running, pool.places),
        pool.queued.to_string(),
        pool.cells.len().to_string(),
        pool.killed.to_string(),
        pool.died.to_string(),
        pool.python.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0192f1c0-0000-7000-8000-000000000000";

    #[test]
    fn all_nodes_are_one_table_with_the_age_of_their_heartbeats() {
        let of = |value| serde_json::from_value::<Member>(value).unwrap();
        let worker = of(json!({
            "node": "a", "id": ID, "version": "0.1.0", "roles": ["worker"], "ready": false, "answered": true,
            "beatAgeMs": 1_250, "places": 4, "free": 3, "queued": 0, "warm": 7,
            "pools": [{"name": "network", "places": 4, "free": 2, "queued": 5, "warm": 1}],
            "parts": [{"name": "worker", "state": "up", "restarts": 0},
                      {"name": "service:conductor", "state": "failed", "restarts": 5}]
        }));
        let gone = of(json!({
            "node": "b", "id": ID, "version": "0.1.0", "roles": ["scripts"], "ready": false, "answered": false,
            "beatAgeMs": null, "parts": []
        }));
        let expected = "\
NODE  READY   ROLES    FREE  QUEUED  WARM  DOWN               VERSION  BEAT
a     no      worker   3/4   0       7     service:conductor  0.1.0    1.2 s
b     silent  scripts  -     -       -     -                  0.1.0    -

NODE  POOL     FREE  QUEUED  WARM
a     network  2/4   5       1
";
        assert_eq!(members(&[worker, gone]), expected);
    }

    #[test]
    fn nodes_and_their_parts_are_tables() {
        let worker: Node = serde_json::from_value(json!({
            "node": "a", "id": ID, "version": "0.1.0", "pid": 1, "startedAt": "2026-01-02T03:04:05.678Z", "roles": ["worker"],
            "ready": true, "parts": [{"name": "worker", "state": "up", "restarts": 2}], "actions": ["essay.count"],
            "pool": {"python": "3.11.2", "zygote": 2, "layers": [], "places": 4, "warm": 64, "running": 1, "queued": 0,
                     "cells": [], "started": 3, "killed": 5, "died": 0, "evicted": 0},
            "pools": [{"name": "files", "python": null, "zygote": null, "layers": [], "places": 4, "warm": 64, "running": 2,
                       "queued": 7, "cells": [], "started": 1, "killed": 0, "died": 1, "evicted": 0}]
        }))
        .unwrap();
        let scripts: Node = serde_json::from_value(json!({
            "node": "b", "id": ID, "version": "0.1.0", "pid": 1, "startedAt": "2026-01-02T03:04:05Z", "roles": ["scripts"],
            "ready": false, "parts": [{"name": "scripts", "state": "failed", "restarts": 6}]
        }))
        .unwrap();
        let expected = "\
NODE  READY  ROLES    RUNNING  QUEUED  CELLS  KILLED  DIED  PYTHON  VERSION  STARTED
a     yes    worker   1/4      0       0      5       0     3.11.2  0.1.0    2026-01-02T03:04:05Z
b     no     scripts  -        -       -      -       -     -       0.1.0    2026-01-02T03:04:05Z

NODE  POOL   RUNNING  QUEUED  CELLS  KILLED  DIED  PYTHON
a     files  2/4      7       0      0       1     -

NODE  PART     STATE   RESTARTS
a     worker   up      2
b     scripts  failed  6

NODE  ACTION
a     essay.count
";
        assert_eq!(tables(&[worker, scripts]), expected);
    }
}
