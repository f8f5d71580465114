//! Tests of the command line as a whole: which lines are understood, and what they set.

use clap::{CommandFactory, Parser};

use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(["callboard"].into_iter().chain(line.split_whitespace())).map(|cli| cli.command)
}

#[test]
fn the_definition_has_no_contradictions() {
    Cli::command().debug_assert();
}

#[test]
fn every_documented_line_is_understood() {
    for line in [
        "dev",
        "dev --data /d --port 0 --config c.toml --prefix acme --name n --python /p --nats-server /s",
        "dev --nats nats://h:1 --ephemeral --danger-run-scripts-unlocked",
        "node --roles worker,scripts --nats nats://h:1 --data /d --config c.toml --prefix acme --name n --python /p",
        "call llm.chat {\"message\":\"hello\"}",
        "call script:list",
        "call macro.render - --timeout 500 --project p --json --msgpack --nats nats://h --prefix acme --config c",
        "demo",
        "demo --out page.html --nats-server /s",
        "doctor --json",
        "status --json --nats nats://h",
        "scripts list --kind macro --project p --json",
        "scripts check a.py b.py --json",
        "scripts run word_count --input {} --entrypoint main --project p --json",
        "config show --origin --json",
        "completions bash",
        "exec-child --parent 1 -- /bin/true -c x",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn lines_that_contradict_themselves_are_refused_with_status_2() {
    for line in [
        "",
        "dev --port 1 --nats nats://h",
        "dev --data /d --ephemeral",
        "dev --port 65536",
        "node --port 1",
        "call",
        "call a {} more",
        "scripts",
        "scripts list --kind page",
        "scripts check",
        "config",
        "completions",
        "serve",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn the_hidden_command_is_in_no_help() {
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("doctor") && !help.contains(callboard::process::EXEC_CHILD), "{help}");
}
