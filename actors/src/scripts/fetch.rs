//! `script.fetch`: scripts with their bodies, for workers. An answer never grows beyond what the broker carries: bodies that do
//! not fit are left out, to be asked for by their hash.

use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::abi::Kind;
use protocol::actions::script_fetch::{Fetched, MOST, Reply, Request};
use protocol::writer::Writer;
use protocol::{Failure, Id};

use super::State;
use super::disk::Script;
use super::index::Project;
use crate::call::{Answer, Call};

/// What of a message is left for envelope and headers, in bytes.
const AROUND: usize = 16 * 1024;

/// Handles the action.
///
/// # Errors
/// The payload breaks its schema.
pub async fn handle(state: Rc<State>, call: Call) -> Answer {
    let request: Request = call.read()?;
    for (field, asked) in
        [("payload.scripts", request.scripts.len()), ("payload.contents", request.contents.len())]
    {
        if asked > MOST {
            return Err(Failure::request(field, format!("expected at most {MOST} items")));
        }
    }
    let project = call.origin.project.as_str();
    state.first_use(project).await;
    let mut room = Room { left: state.bus.max_payload().saturating_sub(AROUND), used: false };
    let meant: Vec<Option<Rc<Script>>> = {
        let index = state.library.index.borrow();
        request
            .scripts
            .iter()
            .map(|name| index.find(project, name).map(|held| Rc::clone(&held.script)))
            .collect()
    };
    // Records first: a body can be asked for later, a name would have to be asked again.
    let mut scripts: Vec<Option<Fetched>> = Vec::new();
    for script in &meant {
        let fetched = script.as_ref().map(|script| Fetched { record: script.record.clone(), body: None });
        if !room.take(&fetched) {
            break;
        }
        scripts.push(fetched);
    }
    for (fetched, script) in scripts.iter_mut().zip(&meant) {
        let (Some(fetched), Some(script)) = (fetched.as_mut(), script) else { continue };
        match state.library.body_of(script).await {
            Ok(body) if room.take(&*body) => fetched.body = Some(body.to_string()),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(script = %script.record.slug, %error, "a script cannot be given to a worker")
            }
        }
    }
    let mut contents = BTreeMap::new();
    for hash in request.contents {
        match state.library.body(&hash).await {
            Ok(body) if room.take(&*body) => drop(contents.insert(hash, body.to_string())),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "a body cannot be given to a worker"),
        }
    }
    let listed = request.kind.map_or_else(Vec::new, |kind| listed(&state, project, kind));
    let mut writer = Writer::new(call.format, 4_096);
    writer.value(&Reply { scripts, contents, listed });
    Ok(writer.finish().into())
}

/// The enabled scripts of a kind, in the order in which they run.
fn listed(state: &State, project: &str, kind: Kind) -> Vec<Id> {
    let index = state.library.index.borrow();
    let scripts = index.project(project).into_iter().flat_map(Project::scripts);
    let mut of_kind: Vec<_> = scripts
        .map(|script| &script.record)
        .filter(|record| record.enabled && record.kind == kind)
        .map(|record| (record.order, record.slug.as_str(), record.id))
        .collect();
    of_kind.sort_unstable();
    of_kind.into_iter().map(|(_, _, id)| id).take(MOST).collect()
}

/// What still fits the answer.
struct Room {
    left: usize,
    used: bool,
}

impl Room {
    /// Whether a value fits, as JSON has it, which is the larger of both formats. The first one always does: alone it must be
    /// tried, and if the broker is too small for it, the bus says so.
    fn take<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> bool {
        let size = serde_json::to_vec(value).map_or(usize::MAX, |json| json.len() + 80);
        if size > self.left && self.used {
            return false;
        }
        self.left = self.left.saturating_sub(size);
        self.used = true;
        true
    }
}
