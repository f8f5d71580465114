//! Looking at a script and its versions.

use clap::Args;
use protocol::channels::Channel as _;
use protocol::channels::script_history::{self, ScriptHistory};

use super::{Error, Question, Stop, out, table};

/// Which script.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The script's slug, alias or id.
    slug: String,
    /// One of its versions; the current one if left out.
    #[arg(long)]
    version: Option<u64>,
    #[command(flatten)]
    question: Question,
}

/// Which script.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The script's slug, alias or id.
    slug: String,
    #[command(flatten)]
    question: Question,
}

/// Which versions of which script.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The script's slug, alias or id.
    slug: String,
    /// The older version; the one before the newer if left out.
    from: Option<u64>,
    /// The newer version; the current one if left out.
    to: Option<u64>,
    #[command(flatten)]
    question: Question,
}

impl Get {
    pub(super) async fn run(&self) -> Result<u8, Stop> {
        let script = self.question.connect().await?.script(&self.slug, self.version).await?;
        match self.question.json {
            true => self.question.print(&serde_json::to_string(&script).map_err(Error::Json)?)?,
            false => out::data(&script.body)?,
        }
        Ok(0)
    }
}

impl History {
    pub(super) async fn run(&self) -> Result<u8, Stop> {
        let asker = self.question.connect().await?;
        let id = asker.script(&self.slug, None).await?.record.id;
        let history: script_history::Reply =
            asker.get(ScriptHistory::NAME, &script_history::Request { id }).await?;
        if self.question.json {
            self.question.print(&serde_json::to_string(&history).map_err(Error::Json)?)?;
            return Ok(0);
        }
        let rows: Vec<[String; 5]> = history.versions.iter().map(row).collect();
        out::data(&table::lay_out(["VERSION", "TIME", "CHANGE", "BY", "CONTENT"], &rows))?;
        Ok(0)
    }
}

fn row(version: &script_history::Version) -> [String; 5] {
    let record = &version.record;
    let millis = i64::try_from(record.updated_at).unwrap_or(0);
    let time =
        jiff::Timestamp::from_millisecond(millis).map(|time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
    let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    [
        record.version.to_string(),
        time.unwrap_or_default(),
        word(&version.change),
        word(&version.by),
        record.content_hash.chars().take(12).collect(),
    ]
}

impl Diff {
    pub(super) async fn run(&self) -> Result<u8, Stop> {
        let asker = self.question.connect().await?;
        let newer = asker.script(&self.slug, self.to).await?;
        let from = match self.from {
            Some(from) => from,
            None => {
                let id = newer.record.id;
                let history: script_history::Reply =
                    asker.get(ScriptHistory::NAME, &script_history::Request { id }).await?;
                let versions = history.versions.iter().map(|version| version.record.version);
                let before = versions.filter(|version| *version < newer.record.version).max();
                before.ok_or(Error::Usage("there is no older version"))?
            }
        };
        let older = asker.script(&newer.record.id.to_string(), Some(from)).await?;
        let name = |version: u64| format!("{}.py, version {version}", newer.record.slug);
        let mut options = diffy::DiffOptions::new();
        options.set_original_filename(name(from)).set_modified_filename(name(newer.record.version));
        let patch = options.create_patch(&older.body, &newer.body);
        if !patch.hunks().is_empty() {
            out::data(&patch.to_string())?;
        }
        Ok(0)
    }
}
