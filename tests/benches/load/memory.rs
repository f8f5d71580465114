//! Memory of node, zygote and cells, as the kernel counts it: resident, and of that what is shared with nobody.

use harness::node::{Node, Options};

use crate::client::Client;
use crate::fixtures;
use crate::report::{Report, Unit};

/// What a process has, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) private: f64,
}

/// That of a process; nothing if it has ended.
pub(crate) fn of(pid: u32) -> Memory {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let of = |name: &str| -> f64 {
        let found = rollup.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let found = found.filter_map(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
        found.sum::<f64>() * 1024.0
    };
    Memory { resident: of("Rss"), private: of("Private_Clean") + of("Private_Dirty") }
}

/// Measures a node that has just started, and one that has answered some thousand calls of the simple macro.
pub(crate) async fn measure(url: &str, report: &mut Report) {
    let options =
        fixtures::files().into_iter().fold(Options::new(), |all, (file, text)| all.script(file, text));
    let node = Node::start(url, &options);
    add(report, "node, idle", node.pid());
    let client = Client::connect(url).await;
    let request = fixtures::simple_request();
    let _done = client.many(&request, 20_000, 64).await;
    add(report, "node", node.pid());
    let cells: Vec<u32> = node.cells().iter().map(|cell| cell.pid).collect();
    for process in node.family() {
        // A cell that leaves at this very moment has nothing any more.
        if of(process.pid).resident > 0.0 {
            add(report, if cells.contains(&process.pid) { "cell" } else { "zygote" }, process.pid);
        }
    }
    report.print("memory of a node, and after 20 000 calls of it, its zygote and its cells");
    assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
}

fn add(report: &mut Report, row: &str, pid: u32) {
    let Memory { resident, private } = of(pid);
    report.add(&format!("{row} / resident"), Unit::Memory, resident);
    report.add(&format!("{row} / private"), Unit::Memory, private);
}
