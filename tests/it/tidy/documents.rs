//! Rules on documents: what they name exists, and what exists is named.

use std::collections::BTreeSet;
use std::path::Path;

use harness::tools;
use protocol::{channel, channels, code};

use super::hold;
use super::source::{Source, repository};

/// The targets in brackets of `[text](target)`, outside of fenced code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut links = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (start, _) in line.match_indices("](") {
            let rest = &line[start + 2..];
            if let Some(end) = rest.find(')') {
                links.push((index + 1, &rest[..end]));
            }
        }
    }
    links
}

fn dead_links(files: &[Source]) -> Vec<String> {
    let root = tools::repository();
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is(&["md"])) {
        for (line, target) in links(&file.text) {
            let outside = target.contains("://") || target.starts_with("mailto:");
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
            let found = if path.is_empty() { root.join(&file.path) } else { root.join(folder).join(path) };
            if outside || (found.exists() && has_heading(&found, heading)) {
                continue;
            }
            complaints.push(format!("{}:{line}: nothing is at {target}", file.path));
        }
    }
    complaints
}

/// Whether the document has a heading of that anchor; any file has the empty one.
fn has_heading(path: &Path, anchor: &str) -> bool {
    anchor.is_empty()
        || std::fs::read_to_string(path)
            .is_ok_and(|text| headings(&text).any(|heading| self::anchor(heading) == anchor))
}

/// The headings of a document, without their marks.
fn headings(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#').trim())
}

/// The anchor that a heading gets where Markdown is shown.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_in_a_document_leads_somewhere() {
    hold(
        dead_links,
        &[("docs/x.md", "see [this](nowhere.md)\n"), ("x.md", "[a](Makefile) and [b](docs/nowhere)\n")],
        &[("docs/x.md", "[a](../Makefile) [b](https://example.org/x)\n```\n[c](nowhere)\n```\n")],
    );
    assert_eq!(anchor("Two commands, `make demo`"), "two-commands-make-demo");
}

/// The words behind `make` in code, such as `test` in `make test`, with variables left out.
fn made(text: &str) -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let code: Vec<&str> = if fenced { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for command in code.iter().flat_map(|code| code.split("&&")) {
            let command = command.split('#').next().unwrap_or_default();
            let mut words = command.split_whitespace().skip_while(|word| matches!(*word, "$" | "sudo"));
            if words.next() == Some("make") {
                targets.extend(words.filter(|word| !word.contains('=')).map(str::to_owned));
            }
        }
    }
    targets
}

fn targets_of_nothing(files: &[Source]) -> Vec<String> {
    let makefile = std::fs::read_to_string(tools::repository().join("Makefile")).expect("the Makefile");
    let exists = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is(&["md"])) {
        let unknown = made(&file.text).into_iter().filter(|target| !exists(target));
        complaints.extend(unknown.map(|target| format!("{}: make {target}", file.path)));
    }
    complaints
}

#[test]
fn every_make_command_in_a_document_exists() {
    hold(
        targets_of_nothing,
        &[
            ("README.md", "run `make nonsense` first\n"),
            ("README.md", "```sh\n$ make check nonsense  # both\n```\n"),
        ],
        &[("README.md", "`make test` and\n```sh\nmake install PREFIX=/usr\n```\nwe make nonsense\n")],
    );
    assert!(
        !made(&std::fs::read_to_string(tools::repository().join("README.md")).expect("README.md")).is_empty()
    );
}

fn codes_without_a_heading(files: &[Source]) -> Vec<String> {
    let codes =
        code::ALL.iter().map(|code| code.as_str()).chain(channel::ALL.iter().map(|code| code.as_str()));
    let pages: Vec<&Source> = files.iter().filter(|file| file.path == "docs/operations.md").collect();
    let described = |code: &str| {
        pages.iter().any(|page| headings(&page.text).any(|heading| heading.trim_matches('`') == code))
    };
    codes
        .filter(|code| *code != "OK" && !described(code))
        .map(|code| format!("docs/operations.md: no heading {code}"))
        .collect()
}

#[test]
fn every_code_has_a_heading_in_the_operators_document() {
    let all = code::ALL.iter().map(|code| code.as_str()).chain(channel::ALL.iter().map(|code| code.as_str()));
    let page: String = all.map(|code| format!("### `{code}`\n\nText.\n")).collect();
    let one_missing = page.replace("### `PY_TIMEOUT`", "PY_TIMEOUT");
    hold(codes_without_a_heading, &[("docs/operations.md", &one_missing)], &[("docs/operations.md", &page)]);
}

#[test]
fn every_channel_has_its_colon_form_in_the_brokers_settings() {
    for path in ["nats.conf", "deploy/nats/accounts.conf"] {
        let files = repository();
        let settings = &files.iter().find(|file| file.path == path).expect("the broker's settings").text;
        for channel in channels::ALL {
            let line = format!("\"{}\": \"{}\"", channel.name, channel.name.replace(':', "."));
            assert!(settings.contains(&line), "{path}: no line {line}");
        }
    }
}
