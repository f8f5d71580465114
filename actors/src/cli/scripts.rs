//! `callboard scripts`: what a node says about scripts. Looking at versions is in `look`, changing scripts in `change`, files and
//! defaults in `folder`, running one by hand in `run`, what was counted in `stats`.

mod change;
mod folder;
mod look;
mod run;
mod stats;

use std::path::PathBuf;
use std::time::Duration;

use callboard::config::Config;
use clap::{Args, Subcommand, ValueEnum};
use protocol::actions::script_compile::{self, SyntaxProblem};
use protocol::actions::script_fetch::Script;
use protocol::channels::Channel;
use protocol::channels::script_check::{self, ScriptCheck};
use protocol::channels::script_get::{self, ScriptGet};
use protocol::channels::script_list::{self, ScriptList};
use protocol::envelope::Project;
use protocol::{Format, abi, subject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::client::{Client, Terms};
use super::flags::Installation;
use super::reply::{Failure, Reply};
use super::{Error, call, client, out, pretty, table};

/// What to do with scripts.
#[derive(Debug, Subcommand)]
pub(crate) enum Scripts {
    /// List the scripts of a project.
    List(List),
    /// Print the body of a script.
    Get(look::Get),
    /// Save a file's text, or one from standard input, as a new script.
    New(change::New),
    /// Open a script in an editor ($VISUAL or $EDITOR), check it and save it.
    Edit(change::Edit),
    /// Switch a script on.
    Enable(change::Switch),
    /// Switch a script off.
    Disable(change::Switch),
    /// Look for mistakes in script files, without running or saving them.
    Check(Check),
    /// Run a utility: its result goes to standard output, what it prints to standard error.
    Run(run::Run),
    /// List the versions of a script.
    History(look::History),
    /// Show what is different between two versions.
    Diff(look::Diff),
    /// Make an older version the current one.
    Rollback(change::Rollback),
    /// Bring files and scripts in step, and say what was done.
    Sync(folder::Sync),
    /// Say how the default scripts stand, take them anew, or merge newer ones into changed ones.
    Defaults(folder::Defaults),
}

/// Which scripts.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// Show what the workers have counted of each: calls, failures, times.
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    question: Question,
}

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    question: Question,
}

#[derive(Debug, Args)]
struct Question {
    /// The project; default if left out.
    #[arg(long, value_parser = call::project)]
    project: Option<Project>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Macro,
    Transform,
    Utility,
}

impl Scripts {
    /// Does it.
    pub(crate) async fn run(&self) -> Result<u8, Error> {
        match self {
            Self::List(list) => list.run().await,
            Self::Check(check) => check.run().await,
            Self::Run(run) => run.run().await,
            Self::Get(get) => told(get.run().await),
            Self::New(new) => told(new.run().await),
            Self::Edit(edit) => told(edit.run().await),
            Self::Enable(switch) => told(switch.run(true).await),
            Self::Disable(switch) => told(switch.run(false).await),
            Self::History(history) => told(history.run().await),
            Self::Diff(diff) => told(diff.run().await),
            Self::Rollback(rollback) => told(rollback.run().await),
            Self::Sync(sync) => told(sync.run().await),
            Self::Defaults(defaults) => told(defaults.run().await),
        }
    }
}

impl Question {
    async fn connect(&self) -> Result<Asker<'_>, Error> {
        let config = self.installation.load()?.config;
        Ok(Asker { client: Client::connect(&config).await?, config, project: self.project.as_ref() })
    }

    /// Prints JSON as a person or a program wants it.
    fn print(&self, json: &str) -> Result<(), Error> {
        out::data(&pretty::json(json, out::is_read_by_a_person()))
    }
}

/// A connection with what all questions of a command have in common.
struct Asker<'a> {
    client: Client,
    config: Config,
    project: Option<&'a Project>,
}

/// Why a command ends before its end.
#[derive(Debug)]
enum Stop {
    /// It cannot go on.
    Error(Error),
    /// The person has been told, and this is the exit status.
    Told(u8),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// The exit status of a command.
fn told(done: Result<u8, Stop>) -> Result<u8, Error> {
    match done {
        Ok(status) | Err(Stop::Told(status)) => Ok(status),
        Err(Stop::Error(error)) => Err(error),
    }
}

impl Asker<'_> {
    /// The data of a success; a failure is told.
    async fn get<T: DeserializeOwned>(&self, name: &str, question: &impl Serialize) -> Result<T, Stop> {
        let text = self.ask(name, question).await?;
        match Reply::read(&text)?.outcome() {
            Ok(data) => Ok(serde_json::from_str(data).map_err(|_| client::Error::Unreadable)?),
            Err(failure) => Err(Stop::Told(failure.report())),
        }
    }

    /// A script by slug or id, as it is or as it was.
    async fn script(&self, name: &str, version: Option<u64>) -> Result<Script, Stop> {
        let id = protocol::Id::new(name);
        let slug = id.is_none().then(|| name.to_owned());
        self.get(ScriptGet::NAME, &script_get::Request { id, slug, version }).await
    }

    /// The text of the reply.
    async fn ask<Q: Serialize>(&self, name: &str, question: &Q) -> Result<String, Error> {
        let name = subject::of_channel(name);
        let timeout = Duration::from_millis(call::usual_ms(&name, &self.config));
        let terms = Terms { format: Format::Json, project: self.project.cloned(), timeout };
        let body = serde_json::to_vec(question).map_err(Error::Json)?;
        let answer = self.client.request(&name, body.into(), &terms).await?;
        String::from_utf8(answer.to_vec()).map_err(|_| client::Error::Unreadable.into())
    }
}

/// The data of the reply in `text`, also as a `T`.
fn data<'a, T: Deserialize<'a>>(text: &'a str) -> Result<Result<(T, &'a str), Failure>, Error> {
    match Reply::read(text)?.outcome() {
        Ok(data) => Ok(Ok((serde_json::from_str(data).map_err(|_| client::Error::Unreadable)?, data))),
        Err(failure) => Ok(Err(failure)),
    }
}

impl List {
    async fn run(&self) -> Result<u8, Error> {
        let kind = self.kind.map(|kind| match kind {
            Kind::Macro => abi::Kind::Macro,
            Kind::Transform => abi::Kind::Transform,
            Kind::Utility => abi::Kind::Utility,
        });
        let mut request = script_list::Request {
            kind,
            include_stats: self.stats.then_some(true),
            limit: Some(script_list::MOST),
            ..script_list::Request::default()
        };
        let asker = self.question.connect().await?;
        let mut list = script_list::Reply {
            scripts: Vec::new(),
            stats_sources: None,
            errors: Vec::new(),
            next_cursor: None,
        };
        loop {
            let text = asker.ask(ScriptList::NAME, &request).await?;
            let (page, _): (script_list::Reply, &str) = match data(&text)? {
                Ok(found) => found,
                Err(failure) => return Ok(failure.report()),
            };
            list.scripts.extend(page.scripts);
            stats::join(&mut list.stats_sources, page.stats_sources);
            list.errors.extend(page.errors);
            if page.next_cursor.is_none() {
                break;
            }
            request.cursor = page.next_cursor;
        }
        if self.question.json {
            self.question.print(&serde_json::to_string(&list).map_err(Error::Json)?)?;
        } else if let Some(sources) = &list.stats_sources {
            out::data(&stats::table(&list.scripts))?;
            stats::sources(sources);
        } else {
            let rows: Vec<[String; 6]> = list.scripts.into_iter().map(|listed| row(listed.record)).collect();
            out::data(&table::lay_out(["SLUG", "KIND", "ENABLED", "VERSION", "ALIASES", "TITLE"], &rows))?;
        }
        for file in &list.errors {
            out::talk(&format!("{}: {}", file.file, file.problem));
        }
        Ok(0)
    }
}

fn row(script: protocol::script::Record) -> [String; 6] {
    let enabled = if script.enabled { "yes" } else { "no" };
    let aliases = if script.aliases.is_empty() { "-".to_owned() } else { script.aliases.join(",") };
    let version = script.version.to_string();
    [script.slug, script.kind.as_str().to_owned(), enabled.to_owned(), version, aliases, script.title]
}

/// What `--json` prints of a file.
#[derive(Serialize)]
struct Checked<'a> {
    file: String,
    #[serde(flatten)]
    found: &'a script_compile::Reply,
}

impl Check {
    async fn run(&self) -> Result<u8, Error> {
        let asker = self.question.connect().await?;
        let mut found = Vec::new();
        let mut unreadable = None;
        for path in &self.files {
            let content = match std::fs::read_to_string(path) {
                Ok(content) => content,
                Err(source) => {
                    // The other files still have something to say.
                    unreadable = Some(Error::File { path: path.clone(), source }.report());
                    continue;
                }
            };
            let request = script_check::Request { content };
            let text = asker.ask(ScriptCheck::NAME, &request).await?;
            match data::<script_compile::Reply>(&text)? {
                Ok((reply, _)) => found.push((path.display().to_string(), reply)),
                Err(failure) => return Ok(failure.report()),
            }
        }
        if self.question.json {
            let all: Vec<Checked<'_>> =
                found.iter().map(|(file, found)| Checked { file: file.clone(), found }).collect();
            self.question.print(&serde_json::to_string(&all).map_err(Error::Json)?)?;
        } else {
            let lines: Vec<String> = found.iter().flat_map(|(file, reply)| lines(file, reply)).collect();
            out::data(&lines.join("\n"))?;
        }
        let wrong = found.iter().any(|(_, reply)| !reply.problems.is_empty());
        Ok(unreadable.unwrap_or(u8::from(wrong)))
    }
}

/// A line for each problem as editors know them, or one that says there is none.
fn lines(file: &str, reply: &script_compile::Reply) -> Vec<String> {
    if reply.problems.is_empty() {
        let functions =
            if reply.functions.is_empty() { "none".to_owned() } else { reply.functions.join(", ") };
        return vec![format!("{file}: ok, functions: {functions}")];
    }
    let line =
        |problem: &SyntaxProblem| format!("{file}:{}:{}: {}", problem.line, problem.column, problem.message);
    reply.problems.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_written_as_editors_read_them() {
        let problem = SyntaxProblem {
            line: 3,
            column: 5,
            end_line: 3,
            end_column: 6,
            message: "invalid syntax".to_owned(),
        };
        let broken = script_compile::Reply { problems: vec![problem], functions: Vec::new() };
        assert_eq!(lines("a.py", &broken), ["a.py:3:5: invalid syntax"]);
        let whole = script_compile::Reply { problems: Vec::new(), functions: vec!["main".to_owned()] };
        assert_eq!(lines("a.py", &whole), ["a.py: ok, functions: main"]);
    }
}
