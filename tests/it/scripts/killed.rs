//! Kills and races, in their short form; `tests/faults` has the long ones.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{crashes, races};

/// Starts `writer` in `folder` and kills it after so many answers; gives those answers.
fn killed_writer(writer: &Path, way: &str, folder: &Path, answers: u64) -> Vec<u64> {
    let mut child =
        Command::new(writer).arg(way).arg(folder).stdout(Stdio::piped()).spawn().expect("the writer starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut said = Vec::new();
    for line in lines.by_ref().take(usize::try_from(answers).unwrap_or(usize::MAX)) {
        said.push(line.expect("a line").parse().expect("a number"));
    }
    child.kill().expect("a writer that can be killed");
    // What it said before the kill arrived counts as well; the last line may be torn.
    said.extend(lines.map_while(Result::ok).filter_map(|line| line.parse::<u64>().ok()));
    child.wait().expect("its end");
    said
}

#[tokio::test]
async fn who_swaps_links_in_gets_nothing_read_or_written_outside() {
    races::race(Duration::from_secs(3)).await;
}

#[tokio::test]
async fn nothing_that_was_answered_for_is_lost_when_the_node_is_killed() {
    let count = crashes::rounds(20).await;
    println!("{count:?}");
    assert!(count.answered > 100 && count.torn > 5, "too little was going on: {count:?}");
}

#[tokio::test]
async fn the_store_keeps_what_it_answered_for_and_a_careless_one_does_not() {
    let writer = std::path::Path::new(env!("CARGO_BIN_EXE_store-writer"));
    let (mut careful, mut careless) = (0, 0);
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join("store");
        let said = killed_writer(writer, "careful", &path, 1 + crashes::random(60));
        let opened = callboard::store::embedded::Embedded::open(&path).expect("a store that opens");
        assert_eq!(opened.set_aside, None, "round {round}: the store is damaged");
        let kept = callboard::store::Store::scan(&opened.store, "n/").await.expect("a scan");
        let kept: std::collections::BTreeSet<String> = kept.into_iter().map(|entry| entry.key).collect();
        careful += said.iter().filter(|n| !kept.contains(&format!("n/{n:020}"))).count();

        let path = folder.path().join(format!("careless-{round}"));
        let said = killed_writer(writer, "careless", &path, 1 + crashes::random(60));
        // The engine may not even open again.
        let kept = std::panic::catch_unwind(|| sled::open(&path).map(|db| db.len()))
            .ok()
            .and_then(Result::ok)
            .unwrap_or(0);
        careless += said.len().saturating_sub(kept);
    }
    println!("20 kills each: {careful} answers lost, {careless} by the careless writer");
    assert_eq!(careful, 0);
    assert!(careless > 0, "the control lost nothing: the test cannot tell");
}
