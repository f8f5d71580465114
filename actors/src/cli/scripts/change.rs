//! Changing scripts: new ones, edited ones, older versions, on and off.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use callboard::process;
use clap::Args;
use protocol::abi;
use protocol::actions::script_compile;
use protocol::actions::script_fetch::Script;
use protocol::channels::Channel as _;
use protocol::channels::script_check::{self, ScriptCheck};
use protocol::channels::script_create::{self, ScriptCreate};
use protocol::channels::script_rollback::{self, ScriptRollback};
use protocol::channels::script_update::{self, Changes, ScriptUpdate};
use protocol::script::Record;

use super::{Asker, Error, Kind, Question, Stop, lines, out};

/// What to save.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Its slug.
    slug: String,
    /// The file with its body; - or nothing reads standard input.
    file: Option<PathBuf>,
    /// What it is for.
    #[arg(long, value_enum, default_value = "utility")]
    kind: Kind,
    /// What people call it; its slug if left out.
    #[arg(long)]
    title: Option<String>,
    /// Save it switched off, which one that does not parse must be.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    question: Question,
}

/// Which script.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The script's slug, alias or id.
    slug: String,
    #[command(flatten)]
    question: Question,
}

/// Which script.
#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// The script's slug, alias or id.
    slug: String,
    #[command(flatten)]
    question: Question,
}

/// Which version of which script.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The script's slug, alias or id.
    slug: String,
    /// The version to go back to.
    version: u64,
    #[command(flatten)]
    question: Question,
}

impl Question {
    /// Says what a script is now.
    fn report(&self, record: &Record) -> Result<u8, Stop> {
        match self.json {
            true => self.print(&serde_json::to_string(record).map_err(Error::Json)?)?,
            false => {
                let state = if record.enabled { "on" } else { "off" };
                out::data(&format!("{} is version {}, {state}", record.slug, record.version))?;
            }
        }
        Ok(0)
    }
}

impl New {
    pub(super) async fn run(&self) -> Result<u8, Stop> {
        let body = match self.file.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| Error::File { path: path.to_owned(), source })?,
            None => {
                let mut body = String::new();
                std::io::stdin().read_to_string(&mut body).map_err(Error::Console)?;
                body
            }
        };
        let request = script_create::Request {
            body,
            slug: Some(self.slug.clone()),
            title: self.title.clone(),
            kind: Some(match self.kind {
                Kind::Macro => abi::Kind::Macro,
                Kind::Transform => abi::Kind::Transform,
                Kind::Utility => abi::Kind::Utility,
            }),
            enabled: Some(!self.disabled),
            entrypoint: None,
            aliases: None,
            order: None,
            fresh: None,
            capabilities: None,
        };
        let made: script_create::Reply =
            self.question.connect().await?.get(ScriptCreate::NAME, &request).await?;
        self.question.report(&made.record)
    }
}

impl Asker<'_> {
    async fn update(&self, script: &Script, changes: Changes) -> Result<Record, Stop> {
        let (id, expected_version) = (script.record.id, Some(script.record.version));
        let request = script_update::Request { id, changes, expected_version };
        let done: script_update::Reply = self.get(ScriptUpdate::NAME, &request).await?;
        Ok(done.record)
    }
}

impl Switch {
    pub(super) async fn run(&self, enabled: bool) -> Result<u8, Stop> {
        let asker = self.question.connect().await?;
        let script = asker.script(&self.slug, None).await?;
        let record = match script.record.enabled == enabled {
            true => script.record,
            false => asker.update(&script, Changes { enabled: Some(enabled), ..Changes::default() }).await?,
        };
        self.question.report(&record)
    }
}

impl Rollback {
    pub(super) async fn run(&self) -> Result<u8, Stop> {
        let asker = self.question.connect().await?;
        let id = asker.script(&self.slug, None).await?.record.id;
        let request = script_rollback::Request { id, version: self.version };
        let done: script_rollback::Reply = asker.get(ScriptRollback::NAME, &request).await?;
        self.question.report(&done.record)
    }
}

impl Edit {
    pub(super) async fn run(&self) -> Result<u8, Stop> {
        let asker = self.question.connect().await?;
        let script = asker.script(&self.slug, None).await?;
        let system = |what| move |source| Error::System { what, source };
        let folder = tempfile::Builder::new().prefix("callboard-edit-").tempdir();
        let folder = folder.map_err(system("a folder cannot be made"))?;
        let path = folder.path().join(format!("{}.py", script.record.slug));
        let failed = |source| Error::File { path: path.clone(), source };
        std::fs::write(&path, &script.body).map_err(failed)?;
        loop {
            let editor = editor();
            let ended =
                process::edit(&editor, &path).await.map_err(system("the editor cannot be started"))?;
            if !ended.success() {
                out::talk("callboard: the editor failed; nothing is saved");
                return Ok(1);
            }
            let body = std::fs::read_to_string(&path).map_err(failed)?;
            if body == script.body {
                out::talk("callboard: nothing was changed");
                return Ok(0);
            }
            let request = script_check::Request { content: body.clone() };
            let found: script_compile::Reply = asker.get(ScriptCheck::NAME, &request).await?;
            if !found.problems.is_empty() {
                lines(&format!("{}.py", script.record.slug), &found).iter().for_each(|line| out::talk(line));
                if again()? {
                    continue;
                }
                return keep(folder, &path);
            }
            let saved = asker.update(&script, Changes { body: Some(body), ..Changes::default() }).await;
            return match saved {
                Ok(record) => self.question.report(&record),
                Err(stop) => {
                    let _status = keep(folder, &path)?;
                    Err(stop)
                }
            };
        }
    }
}

/// The editor that the person has chosen.
fn editor() -> String {
    let chosen = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|word| !word.trim().is_empty()));
    chosen.unwrap_or_else(|| "vi".to_owned())
}

/// Asks whether to edit once more; nobody is asked who is not at a terminal.
fn again() -> Result<bool, Error> {
    use std::io::IsTerminal as _;
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    out::talk("Enter edits it once more, q leaves it.");
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).map_err(Error::Console)?;
    Ok(read > 0 && line.trim().is_empty())
}

/// Leaves the text where it is, and says where.
fn keep(folder: tempfile::TempDir, path: &Path) -> Result<u8, Stop> {
    let _kept = folder.keep();
    out::talk(&format!("callboard: not saved; your text is in {}", path.display()));
    Ok(1)
}
