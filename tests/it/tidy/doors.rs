//! Rules on what may be spoken of where: one door for each thing outside, and actors that do not know each other.

use super::hold;
use super::source::Source;

/// Something outside, the words that reach for it, and the places that may.
struct Door {
    thing: &'static str,
    words: &'static [&'static str],
    open_to: &'static [&'static str],
}

/// Product code lies in these.
const PRODUCT: [&str; 3] = ["protocol/src/", "actors/src/", "python/src/"];

const DOORS: [Door; 9] = [
    Door {
        thing: "the broker",
        words: &["async_nats", "nkeys"],
        open_to: &["actors/src/bus", "actors/src/cli/client"],
    },
    Door { thing: "TLS", words: &["tokio_rustls"], open_to: &["actors/src/tls", "actors/src/bus/link"] },
    Door { thing: "HTTP", words: &["reqwest"], open_to: &["actors/src/telemetry/export"] },
    Door { thing: "the store", words: &["sled"], open_to: &["actors/src/store"] },
    Door { thing: "the interpreter", words: &["pyo3"], open_to: &["python/src/"] },
    Door {
        thing: "other programs",
        words: &["Command::new", "process::Command"],
        open_to: &["actors/src/process", "actors/src/worker"],
    },
    Door {
        thing: "the environment",
        words: &["std::env", "env::var", "env::args", "env::current", "env::temp_dir"],
        open_to: &["actors/src/config", "actors/src/main", "actors/src/cli"],
    },
    Door {
        thing: "unsafe",
        words: &["unsafe"],
        open_to: &[
            "python/src/lock",
            "python/src/codec",
            "python/src/sys",
            "python/src/page",
            "python/src/zygote",
        ],
    },
    Door { thing: "anyhow", words: &["anyhow"], open_to: &["actors/src/main", "actors/src/cli"] },
];

/// Whether `line` holds `word` as a whole, not as a part of a longer one.
fn speaks_of(line: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(start, _)| {
        let after = &line[start + word.len()..];
        !part(line[..start].chars().next_back()) && !part(after.chars().next())
    })
}

/// Without the insides of string literals, which may speak of anything.
fn without_text(line: &str) -> String {
    let mut kept = String::new();
    let (mut inside, mut escaped) = (false, false);
    for c in line.chars() {
        match c {
            '"' if !escaped => inside = !inside,
            c if !inside => kept.push(c),
            _ => {}
        }
        escaped = inside && c == '\\' && !escaped;
    }
    kept
}

fn wrong_doors(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is(&["rs"]) && file.lies_in(&PRODUCT)) {
        for door in DOORS.iter().filter(|door| !file.lies_in(door.open_to)) {
            for (number, line) in file.code() {
                // The lint's own name is no use of the thing.
                let line = without_text(line).replace("unsafe_code", "");
                if door.words.iter().any(|word| speaks_of(&line, word)) {
                    complaints.push(format!("{}:{number}: {} is reached from here", file.path, door.thing));
                }
            }
        }
    }
    complaints
}

#[test]
fn each_thing_outside_has_one_door() {
    hold(
        wrong_doors,
        &[
            ("actors/src/worker/cell.rs", "use async_nats::Client;\n"),
            ("actors/src/busy.rs", "use async_nats::Client;\n"),
            ("actors/src/scripts/list.rs", "let db = sled::open(path);\n"),
            ("actors/src/worker/cell.rs", "use pyo3::Python;\n"),
            ("actors/src/broker.rs", "let child = Command::new(program);\n"),
            ("actors/src/node.rs", "let home = std::env::var(NAME);\n"),
            ("python/src/run.rs", "    unsafe { libc::close(3) };\n"),
            ("actors/src/node.rs", "fn x() -> anyhow::Result<()> {\n"),
            ("actors/src/node.rs", "#[cfg(test)]\nmod tests;\n\nfn x() -> anyhow::Result<()> {\n"),
        ],
        &[
            ("actors/src/bus/reply.rs", "use async_nats::Client;\n"),
            ("actors/src/worker/cell.rs", "// not async_nats\nlet x = \"async_nats\";\n"),
            ("actors/src/worker/cell.rs", "let x = 1;\n\n#[cfg(test)]\nmod tests {\n    use pyo3::x;\n}\n"),
            ("python/src/lib.rs", "#![deny(unsafe_code)]\n"),
        ],
    );
}

/// The actors: modules that hear of each other only over the bus.
const ACTORS: [&str; 5] = ["diagnostics", "scripts", "supervisor", "vault", "worker"];

fn actors_that_meet(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let Some(actor) = file.module_in("actors/src/").filter(|module| ACTORS.contains(module)) else {
            continue;
        };
        for (number, line) in file.code() {
            for other in ACTORS.iter().filter(|other| **other != actor) {
                let grouped = line.contains("use crate::{") && speaks_of(line, other);
                if speaks_of(line, &format!("crate::{other}")) || grouped {
                    complaints.push(format!("{}:{number}: {actor} reaches into {other}", file.path));
                }
            }
        }
    }
    complaints
}

#[test]
fn actors_do_not_know_each_other() {
    hold(
        actors_that_meet,
        &[
            ("actors/src/worker/pool.rs", "use crate::scripts::catalog;\n"),
            ("actors/src/supervisor.rs", "let pool = crate::worker::Pool;\n"),
            ("actors/src/scripts.rs", "use crate::{bus, worker};\n"),
        ],
        &[
            ("actors/src/worker/pool.rs", "use crate::worker::cell;\nuse crate::bus;\n"),
            ("actors/src/node.rs", "use crate::worker;\n"),
        ],
    );
}

/// A crate, and what it must not depend on.
const APART: [(&str, &[&str]); 3] = [
    (
        "protocol/Cargo.toml",
        &["callboard", "callboard-cell", "tokio", "actix", "async-nats", "pyo3", "rustix", "libc"],
    ),
    ("actors/Cargo.toml", &["callboard-cell", "pyo3"]),
    ("python/Cargo.toml", &["callboard", "tokio", "actix", "actix-rt", "async-nats"]),
];

fn crates_that_meet(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, strangers) in APART {
        for file in files.iter().filter(|file| file.path == path) {
            let names =
                file.text.lines().map(|line| line.split(['=', '.']).next().unwrap_or_default().trim());
            complaints.extend(
                names.filter(|name| strangers.contains(name)).map(|name| format!("{path} depends on {name}")),
            );
        }
    }
    complaints
}

#[test]
fn node_and_cell_meet_in_the_protocol_only() {
    hold(
        crates_that_meet,
        &[
            ("protocol/Cargo.toml", "[dependencies]\ntokio.workspace = true\n"),
            ("actors/Cargo.toml", "[dependencies]\npyo3 = \"1\"\n"),
            ("python/Cargo.toml", "[dependencies]\ncallboard = { path = \"../actors\" }\n"),
        ],
        &[(
            "python/Cargo.toml",
            "[package]\nname = \"callboard-cell\"\n[dependencies]\ncallboard-protocol.workspace = true\n",
        )],
    );
}

/// What `protocol` must not do: it is data and functions over data.
fn protocol_with_effects(files: &[Source]) -> Vec<String> {
    let effects = ["std::fs", "std::net", "std::process", "std::thread", "std::time::SystemTime", "println!"];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is(&["rs"]) && file.path.starts_with("protocol/src/")) {
        for (number, line) in file.code() {
            if let Some(effect) = effects.iter().find(|effect| line.contains(*effect)) {
                complaints.push(format!("{}:{number}: {effect}", file.path));
            }
        }
    }
    complaints
}

#[test]
fn the_protocol_has_no_effects() {
    let bad = [("protocol/src/x.rs", "let text = std::fs::read(path);\n")];
    hold(
        protocol_with_effects,
        &bad,
        &[("protocol/src/x.rs", "let text = bytes;\n"), ("actors/src/x.rs", "std::fs::read(p);\n")],
    );
}

/// Crates whose every root forbids `unsafe`.
fn roots_that_allow_unsafe(files: &[Source]) -> Vec<String> {
    let roots = ["protocol/src/lib.rs", "actors/src/lib.rs", "actors/src/main.rs"];
    let open = |file: &&Source| {
        roots.contains(&file.path.as_str()) && !file.text.contains("#![forbid(unsafe_code)]")
    };
    files.iter().filter(open).map(|file| format!("{}: does not forbid unsafe code", file.path)).collect()
}

#[test]
fn all_crates_but_the_cell_forbid_unsafe_code() {
    let good = [("actors/src/lib.rs", "//! x\n#![forbid(unsafe_code)]\n"), ("python/src/lib.rs", "//! x\n")];
    hold(roots_that_allow_unsafe, &[("actors/src/lib.rs", "//! x\n")], &good);
}

/// Builds for use that could be made to panic on request, or that lock no cell.
fn releases_that_break(files: &[Source]) -> Vec<String> {
    let guard = "#[cfg(all(feature = \"faults\", not(debug_assertions)))]\ncompile_error!(";
    let mut complaints = Vec::new();
    for file in files {
        let said =
            |line: &str| ["faults", "without-lock"].iter().any(|word| line.to_lowercase().contains(word));
        let wrong: fn(&str) -> bool = match file.path.as_str() {
            "Makefile" => |line| line.contains("--release") || line.contains("cargo bench"),
            "actors/Cargo.toml" | "python/Cargo.toml" => |line| line.starts_with("default"),
            "actors/src/faults.rs" if !file.text.contains(guard) => |line| line.starts_with("//!"),
            _ => continue,
        };
        let lines = file.text.lines().filter(|line| wrong(line) && said(line));
        complaints.extend(lines.map(|line| format!("{}: not for a release: {line}", file.path)));
    }
    complaints
}

#[test]
fn no_release_can_be_made_to_panic_on_request_or_to_lock_nothing() {
    hold(
        releases_that_break,
        &[
            ("Makefile", "\tcargo build --release -p callboard $(FAULTS)\n"),
            ("Makefile", "\tcargo build --release -p callboard-cell --features without-lock\n"),
            ("actors/Cargo.toml", "[features]\ndefault = [\"faults\"]\n"),
            ("python/Cargo.toml", "[features]\ndefault = [\"without-lock\"]\n"),
            ("actors/src/faults.rs", "//! Faults on request.\n\nfn point() {}\n"),
        ],
        &[("Makefile", "\tcargo build $(FAULTS)\n"), ("actors/Cargo.toml", "[features]\nfaults = []\n")],
    );
}
