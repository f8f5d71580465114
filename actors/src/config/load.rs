//! Puts the settings together: a TOML file, over it the environment, over that the flags. The only place that reads
//! the environment. What each setting may be stands in `settings`; what is found on this machine in `machine`.

mod file;
mod machine;
mod services;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Config;

/// Where a setting's value comes from, the weakest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody named it.
    Default,
    /// Nobody named it; it was found on this machine.
    Machine,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Machine => f.write_str("this machine"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

impl Origin {
    /// Of two sources that name a setting, the one of the higher level counts.
    fn level(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Machine => 1,
            Self::File { .. } => 2,
            Self::Variable(_) => 3,
            Self::Flag(_) => 4,
        }
    }
}

/// A setting given on the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// The setting, such as `nats.port`.
    pub key: &'static str,
    /// How the command line calls it, such as `--port`.
    pub name: &'static str,
    /// What it says.
    pub value: Value,
}

/// A configuration file that was read.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Where it is; relative paths in it begin there.
    pub path: &'a Path,
    /// What stands in it.
    pub text: &'a str,
}

/// The settings and where each comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Whether the console may use colour, which `NO_COLOR` forbids.
    pub colour: bool,
    origins: BTreeMap<String, Origin>,
}

/// One setting as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The setting, such as `nats.port`.
    pub key: String,
    /// Its value; `None` where nothing is set and the node decides by itself. A password in an address is masked.
    pub value: Option<Value>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// Nothing bears that name.
    #[error("unknown setting {key} ({origin})")]
    Unknown {
        /// The name as it was written.
        key: String,
        /// Where.
        origin: Origin,
    },
    /// A variable that would be a setting if it had two underscores.
    #[error("the variable {name} has one underscore where {meant} has two")]
    Underscore {
        /// The variable.
        name: String,
        /// What was meant.
        meant: String,
    },
    /// A value that the setting cannot have.
    #[error("{key}: {problem} ({origin})")]
    Value {
        /// The setting.
        key: String,
        /// What it can have, without the value.
        problem: String,
        /// Where.
        origin: Origin,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub const fn remediation(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "name a readable file with --config or CALLBOARD_CONFIG",
            Self::Syntax { .. } => "correct the line; the file is TOML",
            Self::Unknown { .. } => "callboard config show lists all settings",
            Self::Underscore { .. } => "write CALLBOARD_SECTION__KEY",
            Self::Value { .. } => "correct the value, or leave it out for the default",
        }
    }
}

/// Variables that stand for a setting under a name of their own. Those of the form `CALLBOARD_SECTION__KEY` win.
const SHORT_NAMES: [(&str, &str); 10] = [
    ("NATS_URL", "nats.url"),
    ("CALLBOARD_CELL", "python.extension"),
    ("CALLBOARD_NATS_SERVER", "nats.server"),
    ("CALLBOARD_PYTHON", "python.path"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.endpoint"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "telemetry.protocol"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "telemetry.timeout_ms"),
    ("OTEL_TRACES_EXPORTER", "telemetry.exporter"),
    ("OTEL_TRACES_SAMPLER", "telemetry.sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "telemetry.ratio"),
];

/// Reads file (`file`, else `CALLBOARD_CONFIG`, else none) and environment, lays `flags` over them, checks all of
/// it and adds what this machine has: data folder, interpreter, cell module and broker program.
///
/// # Errors
/// A file that cannot be read, a key that is no setting, or a value that a setting cannot have.
pub fn load(file: Option<&Path>, flags: &[Flag]) -> Result<Loaded, Error> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let variable = |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let path = file.map(Path::to_owned).or_else(|| variable("CALLBOARD_CONFIG").map(PathBuf::from));
    let text = match &path {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|source| Error::Unreadable { path: path.clone(), source })?,
        ),
        None => None,
    };
    let file = path.as_deref().zip(text.as_deref()).map(|(path, text)| File { path, text });
    let mut loaded = merge(file, &environment, flags)?;
    machine::complete(&mut loaded, &machine::Surroundings::here());
    Ok(loaded)
}

/// Lays environment and flags over the file, checked, without looking at the machine. Variables must not be empty.
///
/// # Errors
/// A file that is not TOML, a key that is no setting, or a value that a setting cannot have.
pub fn merge(
    file: Option<File<'_>>,
    environment: &[(String, String)],
    flags: &[Flag],
) -> Result<Loaded, Error> {
    let mut values = Values::default();
    let services = match file {
        Some(file) => values.put_file(file)?,
        None => Vec::new(),
    };
    values.put_environment(environment)?;
    for flag in flags {
        values.put(flag.key, flag.value.clone(), Origin::Flag(flag.name))?;
    }
    // RUST_LOG is how a person asks for one run to say more; it would be no use if a setting could silence it.
    if let Some((name, value)) = environment.iter().find(|(name, _)| name == "RUST_LOG") {
        values.put("log.filter", Value::from(value.as_str()), Origin::Variable(name.clone()))?;
    }
    // Whoever switches all of OpenTelemetry off means it.
    if let Some(name) = disabled(environment) {
        values.put("telemetry.exporter", Value::from("none"), Origin::Variable(name.to_owned()))?;
    }
    values.settle_broker();
    let colour = environment.iter().all(|(name, _)| name != "NO_COLOR");
    let mut config = values.config()?;
    let mut origins = values.origins();
    for (service, origin) in services {
        origins.insert(format!("service.{}", service.name), origin);
        config.service.push(service);
    }
    Ok(Loaded { config, colour, origins })
}

/// The variable that switches all of OpenTelemetry off, if it does.
fn disabled(environment: &[(String, String)]) -> Option<&str> {
    let off =
        |(name, value): &&(String, String)| name == "OTEL_SDK_DISABLED" && value.eq_ignore_ascii_case("true");
    environment.iter().find(off).map(|(name, _)| name.as_str())
}

/// The values by their settings, as they are laid over each other.
#[derive(Default)]
struct Values(BTreeMap<String, (Value, Origin)>);

impl Values {
    fn put(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), Error> {
        let Some((key, kind)) = settings::find(key) else {
            return Err(Error::Unknown { key: key.to_owned(), origin });
        };
        if let Err(problem) = kind.check(&value) {
            return Err(Error::Value { key, problem, origin });
        }
        // Names of added actions are known by what was written first; a variable has them in upper case.
        let written = self.0.keys().find(|other| other.eq_ignore_ascii_case(&key)).cloned();
        self.0.insert(written.unwrap_or(key), (value, origin));
        Ok(())
    }

    /// Takes the settings of a file, and gives the services that it names.
    fn put_file(&mut self, file: File<'_>) -> Result<Vec<services::Named>, Error> {
        let contents = file::read(file)?;
        for item in contents.items {
            let origin = Origin::File { path: file.path.to_owned(), line: item.line };
            let known = settings::find(&item.key);
            if let Some((key, _)) = known.as_ref().filter(|(key, _)| self.0.contains_key(key)) {
                return Err(Error::Value { key: key.clone(), problem: "given twice".to_owned(), origin });
            }
            let folder = file.path.parent().unwrap_or(Path::new(""));
            let beside = known.and_then(|(_, kind)| kind.beside(folder, &item.value));
            self.put(&item.key, beside.unwrap_or(item.value), origin)?;
        }
        services::read(file, contents.services)
    }

    fn put_environment(&mut self, environment: &[(String, String)]) -> Result<(), Error> {
        // What stands there for all programs of a machine must not stop one that exports nothing.
        let exports = ["CALLBOARD_TELEMETRY__ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        let exports = environment.iter().any(|(name, _)| exports.contains(&name.as_str()))
            || self.0.contains_key("telemetry.endpoint");
        let exports = exports && disabled(environment).is_none();
        for (short, key) in SHORT_NAMES {
            if short.starts_with("OTEL_") && !exports {
                continue;
            }
            if let Some((name, text)) = environment.iter().find(|(name, _)| name == short) {
                self.put_variable(key, name, text)?;
            }
        }
        for (name, text) in environment {
            let Some(rest) = name.strip_prefix("CALLBOARD_") else { continue };
            if !rest.contains("__") {
                refuse_missing_underscore(name, rest)?;
                continue;
            }
            self.put_variable(&rest.replace("__", "."), name, text)?;
        }
        Ok(())
    }

    /// Takes what the variable `name` says of `key`.
    fn put_variable(&mut self, key: &str, name: &str, text: &str) -> Result<(), Error> {
        let origin = Origin::Variable(name.to_owned());
        let Some((key, kind)) = settings::find(key) else {
            let key = name.strip_prefix("CALLBOARD_").unwrap_or(name).to_owned();
            return Err(Error::Unknown { key, origin });
        };
        match kind.read(text) {
            Ok(value) => self.put(&key, value, origin),
            Err(problem) => Err(Error::Value { key, problem, origin }),
        }
    }

    /// An address names a broker that runs, a port one of the node's own: the one that was named later counts.
    fn settle_broker(&mut self) {
        let level = |key: &str| self.0.get(key).map(|(_, origin)| origin.level());
        if level("nats.port") > level("nats.url") {
            self.0.remove("nats.url");
        }
    }

    fn config(&self) -> Result<Config, Error> {
        let mut sections = serde_json::Map::new();
        for (key, (value, _)) in &self.0 {
            let Some((section, name)) = key.split_once('.') else {
                sections.insert(key.clone(), value.clone());
                continue;
            };
            let section = sections.entry(section).or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Value::Object(section) = section {
                section.insert(name.to_owned(), value.clone());
            }
        }
        serde_path_to_error::deserialize(Value::Object(sections)).map_err(|error| Error::Value {
            key: error.path().to_string(),
            problem: "not of the setting's type".to_owned(),
            origin: Origin::Default,
        })
    }

    fn origins(self) -> BTreeMap<String, Origin> {
        self.0.into_iter().map(|(key, (_, origin))| (key, origin)).collect()
    }
}

/// Kubernetes sets `CALLBOARD_PORT` and the like for a service of that name, so that an unknown variable without
/// `__` is no mistake; one that spells a setting is.
fn refuse_missing_underscore(name: &str, rest: &str) -> Result<(), Error> {
    if SHORT_NAMES.iter().any(|(short, _)| *short == name) {
        return Ok(());
    }
    match settings::ALL.iter().find(|setting| setting.key.replace('.', "_").eq_ignore_ascii_case(rest)) {
        Some(setting) => Err(Error::Underscore {
            name: name.to_owned(),
            meant: format!("CALLBOARD_{}", setting.key.replace('.', "__").to_ascii_uppercase()),
        }),
        None => Ok(()),
    }
}

impl Loaded {
    /// Where the value of `key` comes from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Every setting as it stands, in the order of the documentation.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let config = serde_json::to_value(&self.config).unwrap_or_default();
        let timeouts = self.config.timeouts.keys().map(|name| format!("timeouts.{name}"));
        let keys = settings::ALL.iter().map(|setting| setting.key.to_owned()).chain(timeouts);
        let entry = |key: String| {
            let value = match key.split_once('.') {
                Some((section, name)) => config.get(section)?.get(name),
                None => config.get(&key),
            };
            let value = value.filter(|value| !value.is_null()).cloned();
            let value = if key == "nats.url" { value.map(mask) } else { value };
            Some(Entry { origin: self.origin(&key), value, key })
        };
        let services = self.config.service.iter().map(|service| {
            let key = format!("service.{}", service.name);
            // What stands in its environment may be secret.
            let env: Vec<&String> = service.env.keys().collect();
            let value = json!({"command": service.command, "folder": service.folder, "ready": service.ready, "env": env});
            Entry { origin: self.origin(&key), value: Some(value), key }
        });
        keys.filter_map(entry).chain(services).collect()
    }
}

/// Hides who the address logs in as; it may hold a password or token.
fn mask(url: Value) -> Value {
    let masked = url.as_str().and_then(|text| {
        let (scheme, rest) = text.split_once("://")?;
        let (_, host) = rest.rsplit_once('@')?;
        Some(Value::from(format!("{scheme}://***@{host}")))
    });
    masked.unwrap_or(url)
}

#[cfg(test)]
mod tests;
