//! `callboard scripts`: a script from its first line to its merge.

use std::process::{Output, Stdio};

use harness::node;
use harness::stage::Stage;

use super::{json_on_stdout, text};

/// What the program says to these words, with an editor that runs `sed`.
fn run(stage: &Stage, words: &[&str], editor: &str) -> Output {
    let mut command = node::program();
    command.arg("scripts").args(words).args(["--nats", stage.node.url()]).env("EDITOR", editor);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().expect("callboard starts")
}

#[tokio::test]
async fn a_script_is_made_edited_looked_at_and_taken_back() {
    let stage = Stage::open().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("board.py");
    std::fs::write(&path, "def main(input=None):\n    return 'one'\n").unwrap();
    let file = path.display().to_string();
    let does = |words: &[&str], editor: &str, expected: &str| {
        let output = run(&stage, words, editor);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        assert!(
            text(&output.stdout).contains(expected),
            "{words:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    };
    does(&["new", "board", &file, "--title", "The board"], "", "board is version 1, on");
    does(&["get", "board"], "", "return 'one'");
    does(&["edit", "board"], "sed -i s/'one'/'two'/", "board is version 2, on");
    does(&["run", "board"], "", "\"two\"");
    does(&["edit", "board"], "true", "");
    does(&["diff", "board"], "", "-    return 'one'\n+    return 'two'");
    does(&["diff", "board", "1", "1"], "", "");
    does(&["disable", "board"], "", "board is version 3, off");
    does(&["enable", "board"], "", "board is version 4, on");
    does(&["enable", "board"], "", "board is version 4, on");
    does(&["rollback", "board", "1"], "", "board is version 5, on");
    does(&["get", "board", "--version", "2"], "", "return 'two'");
    does(&["history", "board"], "", "created");
    let history = json_on_stdout(&run(&stage, &["history", "board", "--json"], ""));
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(5));
    let file = stage.node.data().join("scripts/board.py");
    let saved = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, saved.replace("'one'", "'three'")).unwrap();
    does(&["sync"], "", "files");
    does(&["get", "board"], "", "return 'three'");
    does(&["sync", "--dry-run"], "", "8 files");

    let torn = run(&stage, &["edit", "board"], "sed -i s/return/return(/");
    assert_eq!(torn.status.code(), Some(1));
    assert!(
        text(&torn.stderr).contains("board.py:2:") && text(&torn.stderr).contains("not saved"),
        "{}",
        text(&torn.stderr)
    );
    let kept =
        text(&torn.stderr).lines().find_map(|line| Some(line.split_once("your text is in ")?.1.to_owned()));
    let kept = std::path::PathBuf::from(kept.expect("where the text is"));
    assert!(std::fs::read_to_string(&kept).unwrap().contains("return("));
    std::fs::remove_dir_all(kept.parent().unwrap()).unwrap();
    assert_eq!(run(&stage, &["get", "nothing"], "").status.code(), Some(5));
    assert_eq!(run(&stage, &["rollback", "board", "99"], "").status.code(), Some(5));
    assert_eq!(run(&stage, &["new", "board", "/dev/null"], "").status.code(), Some(1));
    assert_eq!(run(&stage, &["edit", "board"], "false").status.code(), Some(1));
    stage.close();
}

#[tokio::test]
async fn defaults_are_listed_and_taken_anew() {
    let stage = Stage::open().await;
    let output = run(&stage, &["edit", "vimeo"], "sed -i $a#mine");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let state = |words: &[&str]| {
        let output = run(&stage, words, "");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let line = text(&output.stdout).lines().find(|line| line.starts_with("vimeo")).map(str::to_owned);
        line.unwrap_or_default()
    };
    assert!(state(&["defaults"]).contains("changed"));
    // Nothing newer: a merge leaves what the user has.
    assert!(state(&["defaults", "--merge"]).contains("changed"));
    assert!(state(&["defaults", "--apply", "vimeo"]).contains("current"));
    assert_eq!(run(&stage, &["defaults", "--apply", "nothing"], "").status.code(), Some(2));
    stage.close();
}
