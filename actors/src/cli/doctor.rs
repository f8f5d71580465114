//! `callboard doctor`: whether this machine has what a node needs, found by trying.

use std::path::Path;
use std::time::Duration;

use callboard::config::Config;
use callboard::{node, process, telemetry, worker};
use clap::Args;
use serde::Serialize;

use super::client::Client;
use super::flags::Installation;
use super::{Error, out, pretty};

/// How long a program may take to tell its version.
const VERSION: Duration = Duration::from_secs(5);
/// Clocks before this moment (2026) are wrong: the epoch in seconds.
const EARLIEST: i64 = 1_767_225_600;

/// How to show it.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// A node runs, but with less.
    Warn,
    /// A node does not run.
    Fail,
}

/// What was found of one thing.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), remediation: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, remediation: &str) -> Self {
        Self { name, state: State::Warn, found: found.into(), remediation: Some(remediation.to_owned()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self { name, state: State::Fail, found: found.into(), remediation: Some(remediation.into()) }
    }
}

impl Doctor {
    /// Looks, and prints what was found; the exit status is 1 if a node would not run.
    pub(crate) async fn run(&self) -> Result<u8, Error> {
        let mut loaded = self.installation.load()?;
        loaded.config.log.filter.get_or_insert_with(|| "warn".to_owned());
        telemetry::start(&loaded.config.log, loaded.colour)?;
        let config = loaded.config;
        let mut checks = vec![
            python(&config).await,
            extension(&config),
            cell(&config).await,
            broker(&config).await,
            data(&config),
            clock(),
        ];
        checks.extend(actions(&config).await);
        if self.json {
            let text = serde_json::to_string(&checks).map_err(Error::Json)?;
            out::data(&pretty::json(&text, out::is_read_by_a_person()))?;
        } else {
            out::data(&checks.iter().map(lines).collect::<String>())?;
        }
        Ok(u8::from(checks.iter().any(|check| check.state == State::Fail)))
    }
}

fn lines(check: &Check) -> String {
    let state = match check.state {
        State::Ok => "ok  ",
        State::Warn => "warn",
        State::Fail => "FAIL",
    };
    let remediation = check.remediation.as_ref().map(|text| format!("{:19}{text}\n", "")).unwrap_or_default();
    format!("{state}  {:11}  {}\n{remediation}", check.name, check.found)
}

async fn python(config: &Config) -> Check {
    match worker::python::find(&config.python).await {
        Ok(python) => Check::ok("python", format!("{}, {}", python.version, python.path.display())),
        Err(error) => Check::fail("python", error.to_string(), error.remediation()),
    }
}

fn extension(config: &Config) -> Check {
    const REMEDIATION: &str = "build it with make build, or name it with CALLBOARD_CELL";
    match &config.python.extension {
        Some(path) if path.is_file() => Check::ok("cell module", path.display().to_string()),
        Some(path) => Check::fail("cell module", format!("{} is missing", path.display()), REMEDIATION),
        None => Check::fail("cell module", "not found beside this program", REMEDIATION),
    }
}

/// The broker that is named, else the program by which `dev` starts its own.
async fn broker(config: &Config) -> Check {
    if config.nats.url.is_some() {
        return match Client::connect(config).await {
            Ok(client) => Check::ok("broker", client.url()),
            Err(error) => Check::fail("broker", error.to_string(), error.remediation().unwrap_or_default()),
        };
    }
    let Some(path) = config.nats.server.clone() else {
        let error = callboard::broker::Error::NoProgram;
        return Check::fail("nats-server", error.to_string(), error.remediation());
    };
    let remediation = "name another nats-server with CALLBOARD_NATS_SERVER";
    let program = process::Program { path, arguments: vec!["--version".into()] };
    match process::output(&program, VERSION).await {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout).trim().replace("nats-server: ", "");
            Check::ok("nats-server", format!("{version}, {}", program.path.display()))
        }
        Ok(output) => {
            Check::fail("nats-server", format!("{}: {}", program.path.display(), output.status), remediation)
        }
        Err(error) => Check::fail("nats-server", format!("{}: {error}", program.path.display()), remediation),
    }
}

/// Tries to write where the data folder is, or would be made.
fn data(config: &Config) -> Check {
    const REMEDIATION: &str = "name a folder that can be written with --data or CALLBOARD_NODE__DATA";
    let Some(data) = &config.node.data else {
        return Check::fail("data folder", "no home folder is known", REMEDIATION);
    };
    let existing = data.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match tempfile::tempfile_in(existing) {
        Ok(_) => Check::ok("data folder", data.display().to_string()),
        Err(error) => Check::fail("data folder", format!("{}: {error}", existing.display()), REMEDIATION),
    }
}

fn clock() -> Check {
    let now = jiff::Timestamp::now();
    if now.as_second() < EARLIEST {
        return Check::fail("clock", format!("{now:.0}"), "set the clock: deadlines of callers depend on it");
    }
    Check::ok("clock", format!("{now:.0}"))
}

/// Starts a throw-away cell as a worker would, and asks it which layers of its lock are in force.
async fn cell(config: &Config) -> Check {
    match worker::probe::probe(config).await {
        Ok(probe) => held(&probe),
        Err(worker::probe::Error::Python(error)) => {
            Check::fail("cell", error.to_string(), error.remediation())
        }
        Err(error) => Check::fail(
            "cell",
            error.to_string(),
            "see the log lines above, or ask for more with RUST_LOG=debug",
        ),
    }
}

/// Loads the configured modules as a worker would, if there are any.
async fn actions(config: &Config) -> Option<Check> {
    match node::find_actions(config).await {
        Ok(None) => None,
        Ok(Some(table)) => {
            let names: Vec<_> = table.actions.iter().map(|action| action.to_string()).collect();
            Some(Check::ok("actions", names.join(", ")))
        }
        Err(error) => Some(Check::fail("actions", error.to_string(), error.remediation())),
    }
}

/// What holds a cell: its layers, and what it tried in vain. A cell is not used without the layers that are required; these
/// two it can do without.
fn held(probe: &worker::probe::Probe) -> Check {
    const OPTIONAL: [(&str, &str); 2] = [
        ("landlock", "start the kernel with landlock among lsm="),
        (
            "namespaces",
            "permit user namespaces to the node's user (user.max_user_namespaces, \
             kernel.apparmor_restrict_unprivileged_userns, the container's seccomp profile)",
        ),
    ];
    let missing = OPTIONAL.iter().filter(|(layer, _)| !probe.layers.iter().any(|found| found == layer));
    let (names, remediations): (Vec<&str>, Vec<&str>) = missing.copied().unzip();
    let layers = probe.layers.join(", ");
    let all = match probe.refused.is_empty() {
        true => layers,
        false => format!("{layers}; refused: {}", probe.refused.join(", ")),
    };
    if names.is_empty() {
        return Check::ok("cell", all);
    }
    Check::warn("cell", format!("{all}; no {}", names.join(", no ")), &remediations.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_can_be_done_without_is_named_when_it_is_missing() {
        let found = |names: &[&str]| {
            let layers = names.iter().map(|name| (*name).to_owned()).collect();
            held(&worker::probe::Probe { python: String::new(), layers, refused: Vec::new() })
        };
        assert_eq!(found(&["namespaces", "landlock", "seccomp"]).state, State::Ok);
        let check = found(&["landlock", "seccomp"]);
        assert_eq!((check.state, check.found.as_str()), (State::Warn, "landlock, seccomp; no namespaces"));
        assert!(check.remediation.is_some_and(|text| text.contains("max_user_namespaces")));
        assert_eq!(found(&["seccomp"]).found, "seccomp; no landlock, no namespaces");
    }

    #[test]
    fn what_to_do_stands_below_what_was_found() {
        assert_eq!(lines(&Check::ok("clock", "2026")), "ok    clock        2026\n");
        let fail = lines(&Check::fail("python", "none", "install it"));
        assert_eq!(fail, "FAIL  python       none\n                   install it\n");
    }

    #[test]
    fn a_data_folder_is_judged_by_where_it_would_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.node.data = Some(folder.path().join("a/b"));
        assert_eq!(data(&config).state, State::Ok);
        assert!(!folder.path().join("a").exists());
        config.node.data = Some("/proc/none".into());
        assert_eq!(data(&config).state, State::Fail);
    }
}
