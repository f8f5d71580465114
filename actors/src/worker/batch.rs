//! One macro in many contexts: through its `render_many` where it has one, else one by one. A batch that fails runs
//! again one by one, so that a bad context spoils only itself.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use protocol::frame::cell::Function;
use protocol::writer::Writer;
use protocol::{Failure, Format, Raw, raw};

use super::job::Work;
use super::pool::Runs;
use super::script::Script;
use super::{Input, State};
use crate::call::Deadline;

/// Longest time for a `render_many` before its contexts are run one by one.
const TOGETHER: Duration = Duration::from_secs(5);
/// Longest time for one context.
const ALONE: Duration = Duration::from_secs(5);

/// What one context gave.
#[derive(Debug)]
pub struct Item {
    /// The encoded macro result, or why there is none.
    pub outcome: Result<Bytes, Failure>,
    /// How long it ran; a share of the whole where it ran in a batch.
    pub run: Duration,
}

/// Renders `contexts`, encoded values of `format`, by `deadline`; the items are in their order.
pub async fn render(
    worker: &State,
    script: &Rc<Script>,
    format: Format,
    contexts: Vec<Bytes>,
    deadline: Deadline,
) -> Vec<Item> {
    if contexts.len() > 1 && has_many(worker, script, deadline).await {
        if let Some(items) = together(worker, script, format, &contexts, deadline).await {
            return items;
        }
    }
    let alone = contexts.into_iter().map(|bytes| async move {
        let input = Input { format, bytes, deadline: deadline.no_later_than(ALONE) };
        match worker.call(script, Function::Render, None, input).await {
            Ok(returned) => Item { outcome: Ok(returned.value), run: returned.run },
            Err(failure) => Item { outcome: Err(failure), run: Duration::ZERO },
        }
    });
    join_all(alone).await
}

async fn has_many(worker: &State, script: &Rc<Script>, deadline: Deadline) -> bool {
    if script.many.get().is_none() {
        // A script that cannot be loaded fails again, with its reason, when its contexts are run.
        let _loaded = worker.pool.run(Runs::Script(Rc::clone(script)), Work::Load, deadline).await;
    }
    script.many.get() == Some(true)
}

async fn together(
    worker: &State,
    script: &Rc<Script>,
    format: Format,
    contexts: &[Bytes],
    deadline: Deadline,
) -> Option<Vec<Item>> {
    let bytes = list(format, contexts)?;
    let input = Input { format, bytes, deadline: deadline.no_later_than(TOGETHER) };
    let returned = worker.call(script, Function::RenderMany, None, input).await;
    let returned = match returned {
        Ok(returned) => returned,
        Err(failure) => {
            tracing::debug!(script = %script.record.slug, code = %failure.code(), "a batch failed and runs one by one");
            return None;
        }
    };
    raw::check_depth(format, &returned.value, raw::DEEPEST + 2).ok()?;
    let results: Vec<Raw<'_>> = raw::read(format, &returned.value, "result").ok()?;
    if results.len() != contexts.len() {
        return None;
    }
    let share = returned.run.div_f64(contexts.len() as f64);
    let items = results
        .into_iter()
        .map(|result| Item { outcome: Ok(result.into_bytes(&returned.value)), run: share });
    Some(items.collect())
}

/// One encoded list of encoded values; `None` if there are more than a list can hold.
fn list(format: Format, values: &[Bytes]) -> Option<Bytes> {
    let size = values.iter().map(|value| value.len() + 1).sum::<usize>();
    let mut writer = Writer::new(format, size + 8);
    writer.list(u32::try_from(values.len()).ok()?);
    values.iter().for_each(|value| writer.raw(&Raw::trusted(format, value)));
    writer.end_list();
    Some(writer.finish().into())
}
