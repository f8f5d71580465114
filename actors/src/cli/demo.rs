//! `callboard demo`: a whole page through a whole node. Starts broker and node for itself alone, renders the page by
//! real requests over the broker, runs a utility on its text, says what that took, and leaves nothing but the page.

mod photos;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use callboard::telemetry;
use clap::Args;
use protocol::actions::Action;
use protocol::actions::content_render::{ContentRender, Macro, Reply as Page, Status};
use protocol::actions::transform_apply::{Notice, TransformApply};
use protocol::actions::utility_run::UtilityRun;
use protocol::{Format, actions};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::client::{Client, Terms};
use super::flags::{self, OfNode};
use super::reply::{Failure, Reply};
use super::serve::{self, Running, Signals};
use super::{Error, client, out, table};

const CONTENT: &str = include_str!("demo/page.md");
const DATA: &str = include_str!("demo/data.json");
const FRAME: &str = include_str!("demo/frame.html");
const BROKEN_CLOCK: &str = include_str!("demo/broken_clock.py");

/// The macros that are on the page to show what becomes of a page when they do not work.
const MEANT_TO_FAIL: [(&str, Status); 2] = [("weather", Status::Unknown), ("broken_clock", Status::Error)];

/// Where the page goes.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where to write the page; its photos go into a folder beside it. A new temporary folder if left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The nats-server program; looked for on the search path if left out.
    #[arg(long, value_name = "PATH")]
    nats_server: Option<PathBuf>,
    #[command(flatten)]
    of_node: OfNode,
}

/// What was found out.
struct Findings {
    url: String,
    ready: Duration,
    first: Duration,
    second: Duration,
    page: Page,
    words: Words,
    /// What the transform said.
    tidied: Tidied,
}

/// What `word_count` says of a text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Words {
    words: u64,
    reading_minutes: u64,
}

/// What a transform of a post has to say.
#[derive(Debug, Deserialize)]
struct Tidied {
    notices: Vec<Notice>,
}

impl Demo {
    /// Runs the demo; its exit status is 1 if a macro that should work did not.
    pub(crate) async fn run(&self) -> Result<u8, Error> {
        let mut signals = Signals::listen()?;
        let data = serve::temporary_folder()?;
        let done = tokio::select! {
            done = self.render(data.path()) => done?,
            status = signals.next() => return Ok(status),
        };
        let findings = match done {
            Ok(findings) => findings,
            Err(failure) => return Ok(failure.report()),
        };
        let path = self.write(&findings.page.html)?;
        out::data(&report(&findings, &path))?;
        Ok(u8::from(!findings.page.macros.iter().all(is_as_meant)))
    }

    /// Starts a node with its data in `folder`, asks it all there is to ask, and stops it.
    async fn render(&self, folder: &Path) -> Result<Result<Findings, Failure>, Error> {
        let root = folder.join("scripts");
        // What the demo needs for itself stands above what the person has set for other nodes.
        let given = [
            flags::path("node.data", "demo", Some(folder))?,
            flags::path("scripts.folder", "demo", Some(&root))?,
            flags::flag("node.roles", "demo", &Some(["worker", "scripts"])),
            flags::flag("nats.port", "demo", &Some(0)),
            flags::path("nats.server", "--nats-server", self.nats_server.as_deref())?,
        ];
        let mut loaded = self.of_node.load(given.into_iter().flatten().collect())?;
        loaded.config.log.filter.get_or_insert_with(|| "warn".to_owned());
        telemetry::start(&loaded.config.log, loaded.colour)?;

        let clock = root.join("broken_clock.py");
        let written = std::fs::create_dir_all(&root).and_then(|()| std::fs::write(&clock, BROKEN_CLOCK));
        written.map_err(|source| Error::File { path: clock, source })?;

        let start = Instant::now();
        let mut config = loaded.config;
        let running = Running::start(config.clone()).await?;
        let ready = start.elapsed();
        config.nats.url = Some(running.node.url().to_owned());
        let findings = ask(&Client::connect(&config).await?, ready).await;
        running.stop().await;
        findings
    }

    /// Writes the page and its photos, and answers where.
    fn write(&self, html: &str) -> Result<PathBuf, Error> {
        let path = match &self.out {
            Some(path) => path.clone(),
            None => {
                let made = tempfile::Builder::new().prefix("callboard-demo-").tempdir();
                let folder =
                    made.map_err(|source| Error::System { what: "a folder cannot be made", source })?;
                folder.keep().join("page.html")
            }
        };
        let failed = |source| Error::File { path: path.clone(), source };
        let folder = path.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder).map_err(failed)?;
        std::fs::write(&path, FRAME.replace("<!-- page -->", html)).map_err(failed)?;
        photos::draw(folder, &media()?).map_err(failed)?;
        Ok(path)
    }
}

fn media() -> Result<Vec<photos::Photo>, Error> {
    #[derive(Deserialize)]
    struct Data {
        media: Vec<photos::Photo>,
    }
    serde_json::from_str::<Data>(DATA).map(|data| data.media).map_err(Error::Json)
}

/// Renders the page twice and counts its words.
async fn ask(client: &Client, ready: Duration) -> Result<Result<Findings, Failure>, Error> {
    let data: &RawValue = serde_json::from_str(DATA).map_err(Error::Json)?;
    let request = json!({
        "content": CONTENT,
        "format": "markdown",
        "env": {"isPreview": true, "mainLanguage": "en", "source": {"kind": "post", "id": "lisboa-2024"}},
        "data": data,
    });
    let (page, first) = match timed::<Page>(client, ContentRender::NAME, &request).await? {
        Ok(answer) => answer,
        Err(failure) => return Ok(Err(failure)),
    };
    let second = match timed::<Page>(client, ContentRender::NAME, &request).await? {
        Ok((_, took)) => took,
        Err(failure) => return Ok(Err(failure)),
    };
    #[derive(Deserialize)]
    struct Run {
        result: Words,
    }
    let count = json!({"script": "word_count", "input": CONTENT});
    let words = match timed::<Run>(client, UtilityRun::NAME, &count).await? {
        Ok((run, _)) => run.result,
        Err(failure) => return Ok(Err(failure)),
    };
    let post = json!({
        "post": {"title": "  A  page | Example ", "content": "https://example.org/a?utm_source=x", "tags": ["a", "a"], "categories": []},
        "context": {"source": "demo", "url": "https://example.org/a"},
    });
    let tidied = match timed::<Tidied>(client, TransformApply::NAME, &post).await? {
        Ok((tidied, _)) => tidied,
        Err(failure) => return Ok(Err(failure)),
    };
    Ok(Ok(Findings { url: client.url().to_owned(), ready, first, second, page, words, tidied }))
}

/// Sends one request, and answers the data of its reply and how long that took.
async fn timed<T: serde::de::DeserializeOwned>(
    client: &Client,
    action: &str,
    request: &Value,
) -> Result<Result<(T, Duration), Failure>, Error> {
    let timeout = Duration::from_millis(actions::find(action).map_or(30_000, |spec| spec.timeout_ms));
    let terms = Terms { format: Format::Json, project: None, timeout };
    let start = Instant::now();
    let answer = client.request(action, request.to_string().into(), &terms).await?;
    let took = start.elapsed();
    let text = std::str::from_utf8(&answer).map_err(|_| client::Error::Unreadable)?;
    match Reply::read(text)?.outcome() {
        Ok(data) => Ok(Ok((serde_json::from_str(data).map_err(|_| client::Error::Unreadable)?, took))),
        Err(failure) => Ok(Err(failure)),
    }
}

fn is_as_meant(found: &Macro) -> bool {
    let meant =
        MEANT_TO_FAIL.iter().find(|(name, _)| *name == found.name).map_or(Status::Ok, |(_, status)| *status);
    found.status == meant
}

fn report(findings: &Findings, path: &Path) -> String {
    let rows: Vec<[String; 5]> = findings.page.macros.iter().map(row).collect();
    format!(
        "A node with a broker of its own ({}) was ready in {} ms.\n\
         It rendered a page of {} KB with {} macros in {:.1} ms, and again, warm, in {:.1} ms:\n\n{}\n\
         Two of them are meant to fail: nobody wrote weather, and broken_clock has a mistake.\n\
         The utility word_count says: {} words, about {} minutes to read.\n\
         The transform clean_bookmark says of a bookmarked page: {}.\n\n\
         The page: {}",
        findings.url,
        findings.ready.as_millis(),
        findings.page.html.len() / 1024,
        findings.page.macros.len(),
        findings.first.as_secs_f64() * 1e3,
        findings.second.as_secs_f64() * 1e3,
        table::lay_out(["MACRO", "SCRIPT", "STATUS", "MS", "WARNINGS"], &rows),
        findings.words.words,
        findings.words.reading_minutes,
        findings.tidied.notices.iter().map(|notice| notice.text.as_str()).collect::<Vec<_>>().join("; "),
        path.display(),
    )
}

fn row(found: &Macro) -> [String; 5] {
    let status = match found.status {
        Status::Ok => "ok",
        Status::Error => "error",
        Status::Timeout => "timeout",
        Status::Unknown => "unknown",
        Status::Misplaced => "misplaced",
    };
    let script = found.script.clone().unwrap_or_else(|| "-".to_owned());
    let warnings = found.warnings.join("; ");
    [found.name.clone(), script, status.to_owned(), format!("{:.1}", found.duration_ms), warnings]
}
