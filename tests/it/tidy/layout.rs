//! Rules on files and names.

use protocol::{actions, channels};

use super::hold;
use super::source::{Source, repository};

/// Most lines of a file.
const LONGEST_FILE: usize = 500;
/// Most lines of a Python function; in Rust the lint `too_many_lines` counts.
const LONGEST_FUNCTION: usize = 60;
/// Names that say nothing.
const EMPTY_WORDS: [&str; 8] = ["mod", "util", "utils", "common", "helper", "helpers", "misc", "shared"];

fn without_a_head(files: &[Source]) -> Vec<String> {
    let headless = |file: &&Source| {
        let head = if file.is(&["rs"]) { "//! " } else { "\"\"\"" };
        file.is(&["rs", "py"]) && !file.text.trim_start_matches("#!/usr/bin/env python3\n").starts_with(head)
    };
    files
        .iter()
        .filter(headless)
        .map(|file| format!("{}: does not begin with what lives here", file.path))
        .collect()
}

#[test]
fn every_file_begins_by_saying_what_lives_in_it() {
    hold(
        without_a_head,
        &[
            ("a/src/b.rs", "use x;\n"),
            ("a/src/b.rs", "/// A thing.\n"),
            ("a/b.py", "import x\n"),
            ("a/b.rs", ""),
        ],
        &[
            ("a/src/b.rs", "//! Things.\nuse x;\n"),
            ("a/b.py", "\"\"\"Things.\"\"\"\n"),
            ("a/b.toml", "x = 1\n"),
        ],
    );
}

fn too_long(files: &[Source]) -> Vec<String> {
    let sources = files.iter().filter(|file| file.is(&["rs", "py", "sh", "conf"]) || file.path == "Makefile");
    sources
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path))
        .collect()
}

#[test]
fn no_file_is_over_500_lines() {
    let long = "x\n".repeat(LONGEST_FILE + 1);
    let enough = "x\n".repeat(LONGEST_FILE);
    hold(too_long, &[("a.rs", &long), ("Makefile", &long)], &[("a.rs", &enough), ("Cargo.lock", &long)]);
}

/// Functions are found by their indentation, which in Python is what makes them.
fn long_python_functions(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is(&["py"])) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let depth = indentation(line);
            let head = line.trim_start();
            if !head.starts_with("def ") && !head.starts_with("async def ") {
                continue;
            }
            let inside = |line: &&&str| {
                line.trim().is_empty() || indentation(line) > depth || line.trim_start().starts_with(')')
            };
            let body =
                lines[start + 1..].iter().take_while(inside).filter(|line| !line.trim().is_empty()).count();
            if body + 1 > LONGEST_FUNCTION {
                complaints.push(format!("{}:{}: a function of {} lines", file.path, start + 1, body + 1));
            }
        }
    }
    complaints
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[test]
fn no_python_function_is_over_60_lines() {
    let long = format!("class A:\n    def f(self):\n{}", "        x = 1\n".repeat(LONGEST_FUNCTION));
    let two = format!("def f():\n{0}\n\ndef g():\n{0}", "    x = 1\n".repeat(LONGEST_FUNCTION - 1));
    hold(long_python_functions, &[("a.py", &long)], &[("a.py", &two)]);
}

fn empty_words(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is(&["rs", "py"])) {
        let stem = file.path.rsplit_once('.').map_or(file.path.as_str(), |(stem, _)| stem);
        if let Some(word) = stem.split('/').find(|word| EMPTY_WORDS.contains(word)) {
            complaints.push(format!("{}: `{word}` does not say what is in it", file.path));
        }
        for (number, line) in file.code() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if let Some(word) = words.find(|word| word.len() > "Manager".len() && word.ends_with("Manager")) {
                complaints.push(format!("{}:{number}: `{word}` does not say what it does", file.path));
            }
        }
    }
    complaints
}

#[test]
fn no_module_and_no_type_has_a_name_that_says_nothing() {
    hold(
        empty_words,
        &[
            ("actors/src/worker/mod.rs", "//! x\n"),
            ("actors/src/utils.rs", "//! x\n"),
            ("actors/src/common/x.rs", "//! x\n"),
            ("actors/src/x.rs", concat!("struct Pool", "Manager;\n")),
        ],
        &[("actors/src/model.rs", "//! A Manager of things is what this is not.\nstruct Pool;\n")],
    );
}

fn put_off(files: &[Source]) -> Vec<String> {
    // In two halves, so that this file does not break its own rule.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("#[ig", "nore")];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is(&["rs", "py", "sh", "conf", "service", "toml"])) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(*mark)) {
                complaints.push(format!("{}:{}: {mark}", file.path, index + 1));
            }
        }
    }
    complaints
}

#[test]
fn nothing_is_put_off_and_no_test_is_passed_over() {
    let later = concat!("// TO", "DO: later\n");
    let passed_over = concat!("#[test]\n#[ig", "nore = \"slow\"]\nfn x() {}\n");
    hold(put_off, &[("a.rs", later), ("a.py", later), ("a.rs", passed_over)], &[("a.rs", "// done\n")]);
}

fn sleeps(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is(&["rs"]) && file.path.starts_with("tests/")) {
        if file.path == "tests/harness/wait.rs" {
            continue;
        }
        let slept = [concat!("thread::", "sleep("), concat!("time::", "sleep(")];
        complaints.extend(
            file.code().filter(|(_, line)| slept.iter().any(|call| line.contains(call))).map(
                |(number, _)| format!("{}:{number}: sleeps instead of waiting for a condition", file.path),
            ),
        );
    }
    complaints
}

#[test]
fn no_test_sleeps() {
    let sleep = concat!("    std::thread::", "sleep(ONE);\n");
    let bad =
        [("tests/it/a.rs", sleep), ("tests/faults/a.rs", concat!("tokio::time::", "sleep(ONE).await;\n"))];
    hold(
        sleeps,
        &bad,
        &[("tests/harness/wait.rs", sleep), ("tests/it/a.rs", "// time does not sleep( here\n")],
    );
}

/// `macro.renderMany` lives in `macro_render_many`.
fn module_of(name: &str) -> String {
    let mut module = String::new();
    for c in name.chars() {
        match c {
            '.' | ':' => module.push('_'),
            c if c.is_ascii_uppercase() => module.extend(['_', c.to_ascii_lowercase()]),
            c => module.push(c),
        }
    }
    module
}

#[test]
fn the_word_on_the_wire_is_the_name_of_the_module() {
    let files = repository();
    let has = |path: String| assert!(files.iter().any(|file| file.path == path), "there is no {path}");
    for action in actions::ALL {
        has(format!("protocol/src/actions/{}.rs", module_of(action.name)));
        has(format!("protocol/schemas/actions/{}.json", action.name));
    }
    for channel in channels::ALL {
        has(format!("protocol/src/channels/{}.rs", module_of(channel.name)));
        has(format!("protocol/schemas/channels/{}.json", channel.name.replace(':', ".")));
    }
}
