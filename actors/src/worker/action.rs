//! Actions of modules that the configuration names: what they are called, what they may do, what they take and give.
//! Found out once, when the node starts, by having a locked cell load each module. How their calls run is the pool's
//! business, how callers reach them the bus's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use protocol::Failure;
use protocol::actions::{self, Spec};
use protocol::added::{self, LONGEST_NAME};
use protocol::capability::Capability;
use protocol::channels;
use protocol::failure::ActionFailed;
use protocol::frame::cell::{Declared, Function, MOST_ACTIONS, Reason};
use protocol::raw::{self, AnyObject, Raw};
use serde_json::Value;

use super::ask::Asker;
use super::job::{Done, Work};
use super::pool::{Bounds, Pool, Runs};
use super::script::{Granted, Key};
use super::zygote::{self, Reach};
use crate::call::{Answer, Call, Deadline, Origin};
use crate::config::grant::Grant;

/// Longest wait for the zygote that preloads packages.
const READY: Duration = Duration::from_secs(20);
/// Longest time for a module to be loaded.
const LOAD: Duration = Duration::from_secs(10);
/// The time of an action that does not say.
const TIMEOUT_MS: u64 = 60_000;
/// Longest time that an action may ask for.
const LONGEST_MS: u64 = 86_400_000;
/// Largest schema, in bytes.
const LARGEST_SCHEMA: usize = 64 * 1024;
/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The module's file.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// No cell can be had for it.
    #[error(
        "no cell can be had for actions: the zygote with their packages did not become ready; see the log"
    )]
    Zygote,
    /// A time is given to what there is not.
    #[error(
        "timeouts.{name:?} is of no action that there is; those of actions.modules are: {}",
        if known.is_empty() { "none" } else { known }
    )]
    Timeout {
        /// The name.
        name: String,
        /// The names of configured actions.
        known: String,
    },
    /// It was granted the network and cannot have it here.
    #[error("the action {name}, which was granted the network: {problem}")]
    Network {
        /// The action.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// It does not load.
    #[error("{}{}: {problem}", path.display(), line.map_or_else(String::new, |line| format!(":{line}")))]
    Broken {
        /// The module's file.
        path: PathBuf,
        /// The line of it that failed.
        line: Option<u32>,
        /// What is wrong.
        problem: String,
    },
}

/// The text of a module.
#[derive(Debug)]
pub struct Module {
    /// Its name; tracebacks show `<slug>.py`.
    pub slug: String,
    /// Its source.
    pub body: String,
    /// What it declares; known once a cell has loaded it.
    pub declared: RefCell<Vec<Declared>>,
    /// Tells the cell that loads it from others.
    pub key: Key,
}

/// An action that can be called.
#[derive(Debug)]
pub struct Action {
    /// What is fixed about it.
    pub spec: &'static Spec,
    /// The module that has it.
    pub module: Rc<Module>,
    /// What its cells may do, and what it lacks.
    pub granted: Granted,
    /// Tells its cells from others.
    pub key: Key,
    /// JSON Schema of its payload, as text.
    pub input: String,
    /// JSON Schema of its result, as text.
    pub output: String,
}

/// What the configuration says of actions.
#[derive(Debug, Clone, Copy)]
pub struct Configured<'a> {
    /// The files of their modules.
    pub modules: &'a [PathBuf],
    /// What they may do.
    pub grants: &'a [Grant],
    /// The time of each, by its name whatever its case, in ms; others than theirs are among them.
    pub timeouts: &'a BTreeMap<String, u64>,
}

/// Every configured action of a node, and what the zygote of their cells needs.
#[derive(Debug, Clone)]
pub struct Table {
    /// The actions, by name.
    pub actions: Vec<Rc<Action>>,
    /// How their zygote is started.
    pub command: zygote::Command,
    /// How another one is started for those of them that were granted the network, if there are any.
    pub network: Option<zygote::Command>,
}

impl Table {
    /// Reads and loads the modules in closed cells, and those actions once more that were granted the network, in cells
    /// that have it: what this machine cannot give them shows now.
    ///
    /// # Errors
    /// The first module that cannot be used, and why; a time for an action that there is not.
    pub async fn load(
        configured: Configured<'_>,
        bounds: Bounds,
        command: zygote::Command,
    ) -> Result<Self, Error> {
        let pool = Pool::new(bounds, command.clone(), Asker::Nobody);
        let loaded = load(&pool, configured).await;
        pool.stop().await;
        let mut table = Self { actions: loaded?, command, network: None };
        configured.check_timeouts(&table.actions)?;
        let (inside, outside): (Vec<&Rc<Action>>, _) =
            table.actions.iter().partition(|action| !action.granted.reaches_network());
        if inside.iter().any(|action| action.granted.reads_files()) {
            table.command.reach = Reach::Files;
        }
        if !outside.is_empty() {
            let files = outside.iter().any(|action| action.granted.reads_files());
            let reach = if files { Reach::NetworkAndFiles } else { Reach::Network };
            let command = zygote::Command { reach, ..table.command.clone() };
            let pool = Pool::new(bounds, command.clone(), Asker::Nobody);
            let proved = prove(&pool, &outside).await;
            pool.stop().await;
            proved?;
            table.network = Some(command);
        }
        Ok(table)
    }

    /// The action of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Rc<Action>> {
        self.actions.iter().find(|action| action.spec.name == name)
    }
}

/// Handles a call of the configured action `name`.
///
/// # Errors
/// How it failed.
pub async fn handle(worker: Rc<super::State>, name: &'static str, call: Call) -> Answer {
    // Its schema is held in the cell; that it is an object in its format is held here, as with every action.
    call.read::<AnyObject>()?;
    match worker.actions.as_ref().and_then(|added| added.find(name)) {
        Some((action, pool)) => action.call(pool, call).await,
        None => Err(Failure::unavailable(name, 1_000)),
    }
}

impl Configured<'_> {
    /// Whether all times are given to something that there is, `actions` among it.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_timeouts(&self, actions: &[Rc<Action>]) -> Result<(), Error> {
        let is_known = |name: &str| {
            actions::find(name).is_some()
                || channels::find(name).is_some()
                || actions.iter().any(|action| action.spec.name.eq_ignore_ascii_case(name))
        };
        match self.timeouts.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let known: Vec<_> = actions.iter().map(|action| action.spec.name).collect();
                Err(Error::Timeout { name: name.clone(), known: known.join(", ") })
            }
        }
    }
}

/// Has each of these loaded in a cell of its own.
async fn prove(pool: &Pool, actions: &[&Rc<Action>]) -> Result<(), Error> {
    tokio::time::timeout(READY, pool.ready()).await.map_err(|_| Error::Zygote)?;
    for action in actions {
        let runs = Runs::Action(Rc::clone(action));
        let outcome = pool.run(runs, Work::Load, Origin::own(Deadline::within(LOAD))).await;
        outcome.map_err(|failure| Error::Network {
            name: action.spec.name,
            problem: match &failure {
                Failure::ActionFailed(failed) => failed.exception.clone().unwrap_or_default(),
                other if other.reason() == Some("not_locked") => {
                    "needs Landlock, and for single ports Linux 6.7 or newer".to_owned()
                }
                other => other.reason().unwrap_or(other.code().as_str()).to_owned(),
            },
        })?;
    }
    Ok(())
}

async fn load(pool: &Pool, configured: Configured<'_>) -> Result<Vec<Rc<Action>>, Error> {
    let Configured { modules, grants, timeouts } = configured;
    tokio::time::timeout(READY, pool.ready()).await.map_err(|_| Error::Zygote)?;
    let mut actions: Vec<Rc<Action>> = Vec::new();
    for path in modules {
        let broken = |line, problem: String| Error::Broken { path: path.clone(), line, problem };
        let module = Rc::new(read(path)?);
        let runs = Runs::Module(Rc::clone(&module));
        let outcome = pool.run(runs, Work::Load, Origin::own(Deadline::within(LOAD))).await;
        outcome.map_err(|failure| match failure {
            Failure::ActionFailed(failed) => broken(failed.line, failed.exception.unwrap_or_default()),
            other => broken(None, other.reason().unwrap_or(other.code().as_str()).to_owned()),
        })?;
        let told = module.declared.take();
        if told.is_empty() || told.len() > MOST_ACTIONS {
            return Err(broken(None, "it tells no actions, or too many".to_owned()));
        }
        for declared in told {
            check(&declared).map_err(|problem| broken(None, problem))?;
            if actions.iter().any(|other| other.spec.name == declared.name) {
                return Err(broken(None, format!("the action {} is registered twice", declared.name)));
            }
            actions.push(Rc::new(Action::new(declared, &module, grants, timeouts)));
        }
    }
    actions.sort_by_key(|action| action.spec.name);
    Ok(actions)
}

fn read(path: &Path) -> Result<Module, Error> {
    let unreadable = |why| Error::Unreadable { path: path.to_owned(), why };
    let body = std::fs::read_to_string(path).map_err(unreadable)?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let slug: String = stem.chars().map(plain).take(LONGEST_NAME).collect();
    let key = Key::of_text(&format!("module\0{slug}\0{body}"));
    Ok(Module { slug, body, declared: RefCell::default(), key })
}

/// As people are told of it: its name, and what it may do.
impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec.name)?;
        match self.granted.capabilities.as_slice() {
            [] => Ok(()),
            some => write!(f, " ({})", some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Action {
    fn new(
        declared: Declared,
        module: &Rc<Module>,
        grants: &[Grant],
        timeouts: &BTreeMap<String, u64>,
    ) -> Self {
        let Declared { name, timeout_ms, capabilities, input, output } = declared;
        let offered = grants.iter().filter(|grant| grant.is_to_action(&name));
        let granted = Granted::of(&capabilities, offered);
        let key = Key::of_text(&format!("action\0{name}\0{}\0{}", granted.text(), module.body));
        // Names of actions are known for the life of the process all over the node. These few are made once, when it
        // starts, and never given back, so that they are known just as long.
        let name: &'static str = Box::leak(name.into_boxed_str());
        // Variables have their names in upper case.
        let likely = || timeouts.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, ms)| ms);
        let timeout_ms = timeouts.get(name).or_else(likely).copied().or(timeout_ms).unwrap_or(TIMEOUT_MS);
        let spec: &'static Spec = Box::leak(Box::new(Spec::added(name, timeout_ms)));
        Self { spec, module: Rc::clone(module), granted, key, input, output }
    }

    /// Runs a call and waits for what it returns.
    ///
    /// # Errors
    /// How it failed.
    pub async fn call(self: &Rc<Self>, pool: &Pool, call: Call) -> Answer {
        if let Some(capability) = &self.granted.lacks {
            return Err(Failure::ActionFailed(ActionFailed {
                reason: Some(Reason::CapabilityNotGranted.as_str().to_owned()),
                capability: Some(capability.clone()),
                ..ActionFailed::default()
            }));
        }
        let Call { origin, format, payload } = call;
        let work = Work::Call { function: Function::Action, entrypoint: None, format, input: payload };
        let returned = match pool.run(Runs::Action(Rc::clone(self)), work, origin).await? {
            Done::Returned(returned) => returned,
            Done::Loaded | Done::Compiled(_) | Done::Attempted(_) => {
                return Err(super::death::no_process("protocol"));
            }
        };
        // The cell may have sent anything: what goes on as one value must be one.
        let broken = |problem: protocol::Problem| Failure::response(problem.path, problem.problem);
        raw::check_depth(format, &returned.value, raw::DEEPEST).map_err(broken)?;
        let _one: Raw<'_> = raw::read(format, &returned.value, "result").map_err(broken)?;
        Ok(returned.value)
    }
}

/// What a module may declare. It comes from a cell and may be anything.
fn check(declared: &Declared) -> Result<(), String> {
    let Declared { name, timeout_ms, capabilities, input, output } = declared;
    let shown: String = name.chars().take(LONGEST_NAME).collect();
    if !added::is_name(name) {
        return Err(format!(
            "the action {shown:?}: a name is two to four words of letters, digits, - and _, joined by dots"
        ));
    }
    if added::is_own(name) {
        return Err(format!("the action {shown}: the name is one of Callboard's own"));
    }
    if timeout_ms.is_some_and(|ms| !(1..=LONGEST_MS).contains(&ms)) {
        return Err(format!("the action {shown}: a time of 1 ms to a day is expected"));
    }
    for capability in capabilities {
        if Capability::new(capability).is_none() {
            let shown_capability: String = capability.chars().take(LONGEST_NAME).collect();
            return Err(format!("the action {shown}: there is no capability {shown_capability:?}"));
        }
    }
    if is_schema(output).is_none() {
        return Err(format!("the action {shown}: the schema of its result is too large or none"));
    }
    match is_schema(input) {
        None => Err(format!("the action {shown}: the schema of its payload is too large or none")),
        Some(schema) if schema.pointer("/properties/payload").is_some() => Err(format!(
            "the action {shown}: a payload with a field `payload` would be taken for an envelope"
        )),
        Some(_) => Ok(()),
    }
}

fn is_schema(text: &str) -> Option<Value> {
    let fits = text.len() <= LARGEST_SCHEMA;
    serde_json::from_str(text).ok().filter(|schema: &Value| fits && schema.is_object())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str) -> Declared {
        Declared {
            name: name.to_owned(),
            timeout_ms: Some(5_000),
            capabilities: vec!["llm".to_owned()],
            input: r#"{"type": "object", "properties": {"text": {}}}"#.to_owned(),
            output: "{}".to_owned(),
        }
    }

    #[test]
    fn names_are_ones_that_callboard_does_not_serve_itself() {
        for name in ["essay.count", "llm.translate", "a.b.c.d", "my-app.do_it"] {
            assert_eq!(check(&declared(name)), Ok(()), "{name}");
        }
        for name in [
            "",
            "essay",
            "a.b.c.d.e",
            "essay.",
            ".count",
            "essay..count",
            "es say.count",
            "essay.*",
            "essay.>",
            "$SRV.PING",
            "_INBOX.x",
            "1.a",
            "macro.other",
            "script.fetch",
            "llm.complete",
            "llm.chat",
            "utility.x",
            "llmProfile.list",
        ] {
            assert!(check(&declared(name)).is_err(), "{name}");
        }
        assert!(check(&declared(&format!("a.{}", "b".repeat(100)))).is_err());
    }

    #[test]
    fn what_cannot_be_offered_is_refused() {
        let good = declared("a.b");
        for broken in [
            Declared { timeout_ms: Some(0), ..good.clone() },
            Declared { timeout_ms: Some(LONGEST_MS + 1), ..good.clone() },
            Declared { capabilities: vec!["root".to_owned()], ..good.clone() },
            Declared { input: "[]".to_owned(), ..good.clone() },
            Declared { output: "{".to_owned(), ..good.clone() },
            Declared { input: r#"{"properties": {"payload": {}}}"#.to_owned(), ..good.clone() },
            Declared { output: format!("{{\"x\": \"{}\"}}", "y".repeat(LARGEST_SCHEMA)), ..good.clone() },
        ] {
            assert!(check(&broken).is_err(), "{broken:?}");
        }
    }
}
