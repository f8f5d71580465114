//! `content.render`: a whole page with macros in it. Macros are found once, their names resolved once, and those of
//! one script run as one batch; one bad macro spoils neither the page nor the others.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use protocol::abi::{Env, Kind};
use protocol::actions::content_render::{LARGEST, Macro, OnError, Reply, Request, Status, Syntax};
use protocol::failure::InvalidResponse;
use protocol::raw::AnyObject;
use protocol::writer::Writer;
use protocol::{Failure, Format, Raw};

use crate::call::{Answer, Call, Deadline};
use crate::worker::content::page::{Page, Piece, Place};
use crate::worker::content::{self, Error, marker, syntax};
use crate::worker::html::limits::Exceeded;
use crate::worker::script::{Key, Script};
use crate::worker::{State, batch, clean, death};

/// Handles the action.
///
/// # Errors
/// The request is wrong, the page past a limit, or a macro failed and `onError` is `fail`.
pub async fn handle(worker: Rc<State>, call: Call) -> Answer {
    let request: Request<'_> = call.read()?;
    let env: Env<'_> = request.env.read_object("payload.env")?;
    if let Some(data) = &request.data {
        data.read::<AnyObject>("payload.data")?;
    }
    if request.content.len() > LARGEST {
        return Err(Failure::request("payload.content", format!("expected at most {LARGEST} bytes")));
    }
    let on_error = request.on_error.unwrap_or(if env.is_preview { OnError::Marker } else { OnError::Empty });
    let page = read_page(&worker, request.content.to_string(), request.syntax, call.origin.deadline).await?;
    let keys: Vec<String> = page.macros().iter().map(|placed| placed.call.key()).collect();
    let scripts = match keys.is_empty() {
        true => HashMap::new(),
        false => worker.scripts.find_all(&call.origin, Kind::Macro, &distinct(&keys)).await?,
    };
    let rendered = render(&worker, &call, &page, &keys, &scripts, &request).await;
    let mut pieces = Vec::with_capacity(keys.len());
    let mut macros = Vec::with_capacity(keys.len());
    for (placed, rendered) in page.macros().iter().zip(rendered) {
        let script = scripts.get(&placed.call.key()).cloned();
        let (piece, row) = settle(placed, script, rendered, on_error)?;
        pieces.push(piece);
        macros.push(row);
    }
    let html = page.splice(pieces).map_err(|exceeded| too_large(&exceeded))?;
    let mut writer = Writer::new(call.format, html.len() + 1_024);
    writer.value(&Reply { html, macros });
    Ok(writer.finish().into())
}

async fn read_page(
    worker: &State,
    content: String,
    syntax: Syntax,
    deadline: Deadline,
) -> Result<Page, Failure> {
    let format = match syntax {
        Syntax::Markdown => content::Format::Markdown,
        Syntax::Html => content::Format::Html,
    };
    let turn = tokio::time::timeout(deadline.left(), Arc::clone(&worker.pages).acquire_owned()).await;
    let turn = turn.map_err(|_| deadline.passed_in_queue(None))?;
    let cleaner = Arc::clone(&worker.cleaning.cleaner);
    // The turn is taken until the page is read, also if nobody waits for it any more.
    let read = tokio::task::spawn_blocking(move || (Page::new(&content, format, &cleaner), turn).0).await;
    match read.map_err(|_| Failure::unavailable("cleaner", 100))? {
        Ok(page) => Ok(page),
        Err(Error::TooMany(why)) => Err(Failure::request("payload.content", why.to_string())),
        Err(Error::Exceeded(why)) => Err(Failure::request("payload.content", why.to_string())),
    }
}

fn distinct(keys: &[String]) -> Vec<String> {
    keys.iter().collect::<std::collections::BTreeSet<_>>().into_iter().cloned().collect()
}

/// What a macro gave.
struct Rendered {
    /// Its HTML, cleaned, and its warnings.
    outcome: Result<(String, Vec<String>), Failure>,
    /// How long it ran.
    run: Duration,
}

/// What each macro gave, in their order; `None` for those that were not run.
async fn render(
    worker: &State,
    call: &Call,
    page: &Page,
    keys: &[String],
    scripts: &HashMap<String, Rc<Script>>,
    request: &Request<'_>,
) -> Vec<Option<Rendered>> {
    // By script, not by name: aliases of one script share its batch.
    let mut groups: BTreeMap<Key, (&Rc<Script>, Vec<usize>)> = BTreeMap::new();
    for (number, (placed, key)) in page.macros().iter().zip(keys).enumerate() {
        if let (Place::Text, Some(script)) = (placed.place, scripts.get(key)) {
            groups.entry(script.key).or_insert((script, Vec::new())).1.push(number);
        }
    }
    let places = &batch::places();
    let share = worker.cleaning.share();
    // While other macros still run.
    let cleaned = &async |batch::Item { outcome, run }: batch::Item| {
        let _turn = share.acquire().await;
        let outcome = match outcome {
            Ok(bytes) => clean_html(worker, call.format, &bytes).await,
            Err(failure) => Err(failure),
        };
        Rendered { outcome, run }
    };
    let runs = groups.into_values().map(|(script, numbers)| async move {
        let context = |number: &usize| {
            let params = page.macros().get(*number).map(|placed| placed.call.params.as_slice());
            context(call.format, &request.env, params.unwrap_or_default(), request.data.as_ref())
        };
        let contexts = numbers.iter().map(context).collect();
        let items = batch::render(worker, script, call, contexts, places, cleaned).await;
        numbers.into_iter().zip(items).collect::<Vec<_>>()
    });
    let mut outcomes: Vec<Option<Rendered>> = keys.iter().map(|_| None).collect();
    for (number, item) in join_all(runs).await.into_iter().flatten() {
        if let Some(outcome) = outcomes.get_mut(number) {
            *outcome = Some(item);
        }
    }
    outcomes
}

/// The context of one macro: the page's environment and data, and its own parameters.
fn context(
    format: Format,
    env: &Raw<'_>,
    params: &[(String, syntax::Value)],
    data: Option<&Raw<'_>>,
) -> Bytes {
    let mut writer = Writer::new(format, 256 + data.map_or(0, |data| data.bytes().len()));
    writer.object(2 + u32::from(data.is_some()));
    writer.key("env");
    writer.raw(env);
    writer.key("params");
    writer.object(u32::try_from(params.len()).unwrap_or(u32::MAX));
    for (key, value) in params {
        writer.key(key);
        match value {
            syntax::Value::Int(digits) => writer.integer(digits),
            syntax::Value::Float(number) => writer.value(number),
            syntax::Value::Bool(flag) => writer.value(flag),
            syntax::Value::Text(text) => writer.text(text),
        }
    }
    writer.end_object();
    if let Some(data) = data {
        writer.key("data");
        writer.raw(data);
    }
    writer.end_object();
    writer.finish().into()
}

/// What goes into a macro's place, and its row in the reply.
fn settle(
    placed: &content::page::Placed,
    script: Option<Rc<Script>>,
    rendered: Option<Rendered>,
    on_error: OnError,
) -> Result<(Piece, Macro), Failure> {
    let mut row = Macro {
        name: placed.call.name.clone(),
        script: script.as_ref().map(|script| script.record.slug.clone()),
        version: script.as_ref().map(|script| script.record.version),
        status: Status::Ok,
        duration_ms: 0.0,
        warnings: Vec::new(),
    };
    let Some(Rendered { outcome, run }) = rendered else {
        let (status, warning) = match script {
            Some(_) => (Status::Misplaced, "it stands where no HTML can, and was left as it stands"),
            None => (Status::Unknown, "no enabled macro has this name; it was left as it stands"),
        };
        row.status = status;
        row.warnings.push(warning.to_owned());
        return Ok((Piece::Source, row));
    };
    row.duration_ms = (run.as_secs_f64() * 1e6).round() / 1e3;
    let failure = match outcome {
        Ok((html, warnings)) => {
            row.warnings = warnings;
            return Ok((Piece::Html(html), row));
        }
        Err(failure) => failure,
    };
    // What is not the macro's fault is not hidden in a page: the caller can try again, or another node.
    let not_its_own =
        matches!(failure, Failure::Overloaded(_) | Failure::Unavailable(_) | Failure::Cancelled(_));
    if on_error == OnError::Fail || not_its_own {
        return Err(failure);
    }
    row.status = if matches!(failure, Failure::Timeout(_)) { Status::Timeout } else { Status::Error };
    row.warnings.push(death::explain(&failure));
    let piece = match on_error {
        OnError::Marker => {
            marker::marker(&row.name, if row.status == Status::Timeout { "timeout" } else { "error" })
        }
        OnError::Empty | OnError::Fail => marker::EMPTY.to_owned(),
    };
    Ok((Piece::Html(piece), row))
}

async fn clean_html(worker: &State, format: Format, bytes: &Bytes) -> Result<(String, Vec<String>), Failure> {
    let result = clean::read(format, bytes)?;
    let html = clean::html(&result)?;
    let html = worker.cleaning.html(&html).await?.unwrap_or_else(|| html.into_owned());
    Ok((html, result.warnings.unwrap_or_default()))
}

fn too_large(exceeded: &Exceeded) -> Failure {
    Failure::InvalidResponse(InvalidResponse {
        path: "html".to_owned(),
        problem: exceeded.to_string(),
        reason: Some("html_limits".to_owned()),
        ..InvalidResponse::default()
    })
}
