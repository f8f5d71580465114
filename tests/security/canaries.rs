//! Canaries: what a node, its files and other projects hold, and a script that searches everything for it, all memory of
//! its own process included. That the search finds what is there is shown each time by one that is.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use harness::node::Options;
use harness::processes::{self, Process};
use harness::stage::Stage;
use harness::{script, wait};
use serde_json::{Value, json};

const SEARCH: &str = concat!(include_str!("native.py"), "\n", include_str!("search.py"));

/// Computes for as long as it may, with its input in memory.
const HOLD: &str = "
import os

def where():
    return os.getpid()

def main(input):
    kept = dict(input)
    while kept:
        pass
";

const BOTH: &str = "kanary-";

/// A new mark, made of two parts so that this program's own text holds none.
fn canary() -> String {
    format!("{BOTH}{}", uuid::Uuid::new_v4().simple())
}

/// The memory of a process with these rights as the kernel lists it, if this user may see it; none of the kernel's own pages.
fn ranges(pid: u32, rights: &str) -> Option<Vec<(u64, u64)>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let range = |line: &str| {
        let (place, rest) = line.split_once(' ')?;
        let (start, end) = place.split_once('-')?;
        let hidden = !rest.starts_with(rights) || line.contains("[v");
        let number = |text| u64::from_str_radix(text, 16).ok();
        if hidden { None } else { Some((number(start)?, number(end)?)) }
    };
    Some(maps.lines().filter_map(range).collect())
}

/// Whether a process holds any mark at all; none if this user may not look.
fn holds_marks(pid: u32) -> Option<bool> {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut found = false;
    for (start, end) in ranges(pid, "rw")? {
        let mut bytes = vec![0; usize::try_from(end - start).expect("a size")];
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            // Text of code that speaks of marks is none.
            let mut marks = bytes.windows(BOTH.len() + 4).filter(|part| part.starts_with(BOTH.as_bytes()));
            found |= marks.any(|part| part[BOTH.len()..].iter().all(u8::is_ascii_hexdigit));
        }
    }
    Some(found)
}

/// Runs a utility of a project.
async fn run(stage: &Stage, project: &str, script: &str, entrypoint: &str, input: &Value) -> Value {
    let request = json!({"script": script, "entrypoint": entrypoint, "input": input});
    let answer = stage.client.call_whole("utility.run", &request, &json!({"project": project})).await;
    answer.data()["result"].clone()
}

/// Searches in project `b`, in the very process whose memory is listed; the marks that were found.
async fn search(stage: &Stage, own: &str) -> (Vec<String>, u64) {
    let zygote = processes::children(stage.node.pid()).into_iter().next().expect("a zygote");
    let (folder, parent) = (stage.node.data().display().to_string(), stage.node.pid());
    for _ in 0..10 {
        let process = run(stage, "b", "search", "where", &json!(null)).await.as_u64().expect("a process id");
        // Of its own only root sees the list; what it has of others, it has from the zygote.
        let listed = ranges(u32::try_from(process).expect("an id"), "r").filter(|list| !list.is_empty());
        let listed = listed.or_else(|| ranges(zygote.pid, "r")).expect("the zygote's memory");
        let given =
            json!({"folders": [folder], "processes": [parent, zygote.pid], "ranges": listed, "own": own});
        let answer = run(stage, "b", "search", "main", &given).await;
        if answer["process"] == process {
            let found = answer["found"].as_array().expect("marks").iter();
            let found = found.map(|mark| mark.as_str().expect("a mark").to_owned()).collect();
            return (found, answer["searched"].as_u64().expect("a size"));
        }
    }
    panic!("no two calls of a script in the same cell");
}

#[tokio::test]
async fn a_script_finds_nothing_of_the_node_and_of_other_projects() {
    let [environment, file, body, payload, own] = [(); 5].map(|()| canary());
    let secret = format!("SECRET = '{body}'\n\ndef main(input=None):\n    return len(SECRET)\n");
    let options = Options::new()
        .environment("UNRELATED", &environment)
        .setting("WORKER__PLACES", "2")
        .setting("NODE__DRAIN_MS", "100")
        .script("a/secret.py", script::main("secret", &secret))
        .script("a/hold.py", script::main("hold", HOLD))
        .script("b/search.py", script::main("search", SEARCH));
    let stage = Stage::with(options).await;
    std::fs::write(stage.node.data().join("secret.txt"), &file).expect("a file");
    assert_eq!(run(&stage, "a", "secret", "main", &json!(null)).await, body.len());
    let environ =
        std::fs::read(format!("/proc/{}/environ", stage.node.pid())).expect("the node's environment");
    assert!(String::from_utf8_lossy(&environ).contains(&environment));

    // A call of another project is under way, and has its payload in the memory of its cell.
    let holder = run(&stage, "a", "hold", "where", &json!(null)).await.as_u64().expect("a process id");
    let holder = Process::find(u32::try_from(holder).expect("an id")).expect("a process");
    let held = json!({"script": "hold", "input": {"secret": payload}});
    let client = stage.client.clone();
    let under_way = tokio::spawn(async move {
        client.call_whole("utility.run", &held, &json!({"project": "a", "timeoutMs": 60_000})).await
    });
    let before = holder.worked();
    wait::eventually("a call of project a", Duration::from_secs(20), || async {
        (Process::find(holder.pid)?.worked() > before + Duration::from_millis(50)).then_some(())
    })
    .await;

    let (found, searched) = search(&stage, &own).await;
    assert_eq!(found, [own], "searched {searched} bytes");
    assert!(searched > 20 << 20, "only {searched} bytes were searched");
    assert!(holder.runs(), "the other call has ended too early");
    let zygote = processes::children(stage.node.pid()).into_iter().next().expect("a zygote");
    let seen = holds_marks(zygote.pid);
    assert_ne!(seen, Some(true), "the zygote holds marks");
    // The same look finds the mark in the cell that does hold one.
    let control = holds_marks(holder.pid);
    assert_ne!(control, Some(false), "a mark that is there was not seen");
    println!(
        "{} MiB searched in the cell, zygote: {seen:?}, cell with the mark: {control:?}",
        searched >> 20
    );
    stage.close();
    let ended = under_way.await.expect("an answer");
    assert_eq!(ended.code(), "CANCELLED", "{}", ended.body);
}
