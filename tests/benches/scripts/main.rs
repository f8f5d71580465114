//! `make bench`: ten thousand scripts. Times of the first comparison, of a start, of an edit, and of a page of the list, and what a
//! node needs of memory for them.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use callboard::scripts::library::Library;
use callboard::scripts::library::scan::Look;
use callboard::store::embedded::Embedded;
use callboard::store::objects::Objects;
use harness::broker::Broker;
use harness::client::Client;
use harness::node::{Node, Options};
use harness::script;
use serde_json::json;
use tempfile::TempDir;

/// Scripts in the folder.
const SCRIPTS: usize = 10_000;
/// Pages that are asked for.
const PAGES: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let data = Arc::new(TempDir::with_prefix("callboard-scripts-").expect("a temporary folder"));
    let folder = data.path().join("scripts");
    std::fs::create_dir(&folder).expect("a folder");
    let body = "    # what a script of some length looks like\n".repeat(40);
    for n in 0..SCRIPTS {
        let slug = format!("script_{n:05}");
        let text = format!("def render(context):\n{body}    return {{'html': '{n}'}}\n");
        std::fs::write(folder.join(format!("{slug}.py")), script::render(&slug, &text)).expect("a file");
    }
    println!(
        "{SCRIPTS} scripts of {} bytes",
        std::fs::metadata(folder.join("script_00000.py")).expect("a file").len()
    );
    library(data.path(), &folder).await;
    node(&data).await;
}

async fn library(data: &Path, folder: &Path) {
    let open = async || {
        let store = Embedded::open(&data.join("store")).expect("a store").store;
        let objects = Objects::open(&data.join("objects")).expect("a folder");
        Library::open(Rc::new(store), objects, folder).await.expect("a library")
    };
    let begin = Instant::now();
    let first = open().await;
    let report = first.sync(Look::Full).await.expect("a comparison");
    println!("first comparison, all new: {:?}", begin.elapsed());
    assert_eq!((report.created.len(), report.errors.len()), (SCRIPTS, 0));
    drop(first);
    let begin = Instant::now();
    let again = open().await;
    let opened = begin.elapsed();
    let report = again.sync(Look::Full).await.expect("a comparison");
    println!("start, nothing changed: {:?}, of it {opened:?} to open the store", begin.elapsed());
    assert_eq!((report.scanned, report.created.len() + report.updated.len()), (SCRIPTS as u64, 0));
    let begin = Instant::now();
    again.sync(Look::Full).await.expect("a comparison");
    println!("sync, nothing changed: {:?}", begin.elapsed());
    let path = folder.join("script_00007.py");
    let text = std::fs::read_to_string(&path).expect("a file");
    std::fs::write(&path, text.replace("'7'", "'seven'")).expect("a file");
    let begin = Instant::now();
    let report = again.sync(Look::Quick).await.expect("a comparison");
    println!("what the watcher does after one edit: {:?}", begin.elapsed());
    assert_eq!(report.updated.len(), 1);
}

async fn node(data: &Arc<TempDir>) {
    let broker = Broker::start();
    let begin = Instant::now();
    let node = Node::start(&broker.url(), &Options::new().roles("scripts").in_data(data));
    println!("a node with the role scripts is ready after {:?}", begin.elapsed());
    let client = Client::connect(&broker.url()).await;
    for (name, payload) in [
        ("a page of 100", json!({"limit": 100})),
        ("a page of 100 with a text that 11 have", json!({"text": "'12'"})),
    ] {
        let mut times = Vec::new();
        for _ in 0..PAGES {
            let begin = Instant::now();
            client.call("script.list", &payload).await.ok();
            times.push(begin.elapsed());
        }
        let first = times[0];
        times.sort();
        let (middle, slow) = (times[PAGES / 2], times[PAGES * 99 / 100]);
        println!("script:list, {name}: first {first:?}, p50 {middle:?}, p99 {slow:?}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("the node's state");
    for line in status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")) {
        println!("memory of the node: {line}");
    }
    assert_eq!(node.stop().code, Some(0));
}
