//! Memory of node, zygote and cells, as the kernel counts it.

use harness::node::Node;

/// Prints resident and private memory of the node's family.
pub(crate) fn print(node: &Node) {
    println!("\n{:<10} {:>8} {:>12} {:>12}", "memory", "pid", "resident", "private");
    line("node", node.pid());
    let cells: Vec<u32> = node.cells().iter().map(|cell| cell.pid).collect();
    for process in node.family().iter().filter(|process| process.pid != node.pid()) {
        line(if cells.contains(&process.pid) { "cell" } else { "zygote" }, process.pid);
    }
}

fn line(what: &str, pid: u32) {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let of = |name: &str| -> u64 {
        let found = rollup.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.filter_map(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).sum()
    };
    let private = of("Private_Clean") + of("Private_Dirty");
    println!("{what:<10} {pid:>8} {:>9.1} MB {:>9.1} MB", of("Rss") as f64 / 1024.0, private as f64 / 1024.0);
}
