//! Files and scripts in step, and the default scripts.

use std::path::PathBuf;

use clap::Args;
use protocol::channels::Channel as _;
use protocol::channels::script_defaults::{self, ScriptDefaults, Standing, State};
use protocol::channels::script_sync::{self, Report, ScriptSync, Touched};
use protocol::channels::script_update::{self, Changes, ScriptUpdate};

use super::{Asker, Error, Question, Stop, out, table};

/// How to compare.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    question: Question,
}

/// What to do with the defaults.
#[derive(Debug, Args)]
pub(crate) struct Defaults {
    /// Take this one from the bundle as it is; what was there stays in the history.
    #[arg(long, value_name = "SLUG")]
    apply: Vec<String>,
    /// Merge the bundle's newer texts into those that you have changed.
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    question: Question,
}

impl Sync {
    pub(super) async fn run(&self) -> Result<u8, Stop> {
        let request = script_sync::Request { dry_run: self.dry_run.then_some(true) };
        let done: script_sync::Reply = self.question.connect().await?.get(ScriptSync::NAME, &request).await?;
        match self.question.json {
            true => self.question.print(&serde_json::to_string(&done).map_err(Error::Json)?)?,
            false => out::data(&lines(&done.now).join("\n"))?,
        }
        Ok(u8::from(!done.now.conflicts.is_empty() || !done.now.errors.is_empty()))
    }
}

fn lines(report: &Report) -> Vec<String> {
    let name = |project: &str, slug: &str| {
        if project == "default" { slug.to_owned() } else { format!("{project}/{slug}") }
    };
    let list = |word: &str, scripts: &[Touched]| {
        let names: Vec<String> = scripts.iter().map(|one| name(&one.project, &one.slug)).collect();
        (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
    };
    let mut lines = vec![format!("{} files", report.scanned)];
    lines.extend(list("created", &report.created));
    lines.extend(list("updated", &report.updated));
    lines.extend(list("renamed", &report.renamed));
    lines.extend(list("deleted", &report.deleted));
    lines.extend(report.conflicts.iter().map(|one| {
        let name = name(&one.project, &one.slug);
        format!(
            "conflict: {name}, the file is version {}, version {} gave way",
            one.version, one.kept_version
        )
    }));
    lines.extend(
        report
            .errors
            .iter()
            .map(|one| format!("error: {}: {}", name(&one.project, &one.error.file), one.error.problem)),
    );
    lines
}

impl Defaults {
    pub(super) async fn run(&self) -> Result<u8, Stop> {
        let asker = self.question.connect().await?;
        let apply = (!self.apply.is_empty()).then(|| self.apply.clone());
        let mut found: script_defaults::Reply =
            asker.get(ScriptDefaults::NAME, &script_defaults::Request { apply, seen: None }).await?;
        let mut status = 0;
        if self.merge {
            for standing in found.scripts.iter().filter(|one| one.newer && one.state == State::Changed) {
                status = status.max(merge(&asker, standing).await?);
            }
            found = asker.get(ScriptDefaults::NAME, &script_defaults::Request::default()).await?;
        }
        if self.question.json {
            self.question.print(&serde_json::to_string(&found).map_err(Error::Json)?)?;
            return Ok(status);
        }
        let rows: Vec<[String; 3]> = found.scripts.iter().map(row).collect();
        out::data(&table::lay_out(["SLUG", "STATE", "NEWER TEXT"], &rows))?;
        Ok(status)
    }
}

fn row(standing: &Standing) -> [String; 3] {
    let state = match standing.state {
        State::Current => "current",
        State::Changed => "changed",
        State::Deleted => "deleted",
        State::Hidden => "another script has this name",
    };
    [standing.slug.clone(), state.to_owned(), if standing.newer { "yes" } else { "-" }.to_owned()]
}

/// Merges one; where both sides changed the same lines, the text with both is left in a file.
async fn merge(asker: &Asker<'_>, standing: &Standing) -> Result<u8, Stop> {
    let slug = &standing.slug;
    let (Some(id), Some(given), Some(newest)) = (standing.id, &standing.given, &standing.newest) else {
        out::talk(&format!("callboard: {slug}: the text that it began from is not known; compare by hand"));
        return Ok(1);
    };
    let script = asker.script(&id.to_string(), None).await?;
    match merged(given, &script.body, newest) {
        Ok(body) => {
            let changes = Changes { body: Some(body), ..Changes::default() };
            let request =
                script_update::Request { id, changes, expected_version: Some(script.record.version) };
            let done: script_update::Reply = asker.get(ScriptUpdate::NAME, &request).await?;
            let seen = script_defaults::Request { apply: None, seen: Some(vec![slug.clone()]) };
            let _standing: script_defaults::Reply = asker.get(ScriptDefaults::NAME, &seen).await?;
            out::talk(&format!("{slug}: merged, version {}", done.record.version));
            Ok(0)
        }
        Err(both) => {
            let path = PathBuf::from(format!("{slug}.merge.py"));
            std::fs::write(&path, both).map_err(|source| Error::File { path: path.clone(), source })?;
            out::talk(&format!(
                "{slug}: both sides changed the same lines; they are marked in {}",
                path.display()
            ));
            Ok(1)
        }
    }
}

/// The text with the changes of both sides, or one with marks where they meet.
fn merged(given: &str, ours: &str, newest: &str) -> Result<String, String> {
    diffy::merge(given, ours, newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_both_sides_are_joined_and_those_that_meet_are_marked() {
        let given = "a\nb\nc\nd\ne\n";
        assert_eq!(merged(given, "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n").unwrap(), "A\nb\nc\nd\nE\n");
        let marked = merged(given, "a\nb\nX\nd\ne\n", "a\nb\nY\nd\ne\n").unwrap_err();
        assert!(marked.contains("<<<<<<<") && marked.contains('X') && marked.contains('Y'), "{marked}");
    }

    #[test]
    fn a_report_names_what_was_touched_and_why_files_were_not() {
        let touched = |project: &str| Touched {
            project: project.into(),
            id: protocol::Id::generate(),
            slug: "a".into(),
            version: 1,
        };
        let report =
            Report { created: vec![touched("default"), touched("blog")], scanned: 2, ..Report::default() };
        assert_eq!(lines(&report), ["2 files", "created: a, blog/a"]);
    }
}
