//! The flags that stand for settings, shared by several commands. What they may hold is checked in `config::load`.

use std::path::{Path, PathBuf};

use callboard::config::load::{self, Flag, Loaded};
use clap::Args;

use super::Error;

/// Which installation to talk to.
#[derive(Debug, Args)]
pub(crate) struct Installation {
    /// The broker's address; else NATS_URL, else nats://127.0.0.1:4222.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Installation {
    /// The settings.
    pub(crate) fn load(&self) -> Result<Loaded, Error> {
        self.common.load([flag("nats.url", "--nats", &self.nats)].into_iter().flatten().collect())
    }
}

/// What every command with settings has.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stands in front of every subject.
    #[arg(long)]
    prefix: Option<String>,
}

impl Common {
    /// The settings with `more` flags.
    pub(crate) fn load(&self, mut more: Vec<Flag>) -> Result<Loaded, Error> {
        more.extend(flag("node.prefix", "--prefix", &self.prefix));
        Ok(load::load(self.config.as_deref(), &more)?)
    }
}

/// What the commands that start a node have.
#[derive(Debug, Args)]
pub(crate) struct OfNode {
    /// The node's name in replies; the host's name and four random characters if left out.
    #[arg(long)]
    name: Option<String>,
    /// The Python to run, 3.10 or newer; python3 if left out.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Run scripts even where this kernel cannot lock them in: they can then do whatever you can. Refused unless the
    /// broker is on this machine.
    #[arg(long)]
    danger_run_scripts_unlocked: bool,
    #[command(flatten)]
    common: Common,
}

impl OfNode {
    /// The settings with `more` flags.
    pub(crate) fn load(&self, mut more: Vec<Flag>) -> Result<Loaded, Error> {
        more.extend(flag("node.name", "--name", &self.name));
        more.extend(path("python.path", "--python", self.python.as_deref())?);
        let mut loaded = self.common.load(more)?;
        loaded.config.worker.unlocked = self.danger_run_scripts_unlocked;
        Ok(loaded)
    }
}

/// The flag `name` that stands for `key`, if it was given.
pub(crate) fn flag<T: serde::Serialize>(
    key: &'static str,
    name: &'static str,
    value: &Option<T>,
) -> Option<Flag> {
    let value = serde_json::to_value(value.as_ref()?).ok()?;
    Some(Flag { key, name, value })
}

/// The flag `name` that stands for the path `key`, if it was given.
pub(crate) fn path(
    key: &'static str,
    name: &'static str,
    value: Option<&Path>,
) -> Result<Option<Flag>, Error> {
    let text =
        value.map(|path| path.to_str().ok_or(Error::Usage("a path that is not UTF-8 cannot be a setting")));
    Ok(flag(key, name, &text.transpose()?))
}
