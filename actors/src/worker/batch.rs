//! One macro in many contexts: through its `render_many` where it has one, else one by one. A batch that fails runs
//! again one by one, so that a bad context spoils only itself.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use protocol::failure::{Stage, Timeout};
use protocol::frame::cell::Function;
use protocol::writer::Writer;
use protocol::{Failure, Format, Raw, raw};
use tokio::sync::Semaphore;

use super::job::Work;
use super::pool::Runs;
use super::script::Script;
use super::{Input, State};
use crate::call::Call;

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

/// Renders `contexts`, values in the call's format, by the call's deadline, and makes of each item what `then` does, as
/// soon as it is there; what is returned is in the order of the contexts. `places` bounds how many parts of the call stand
/// in the pool at once.
pub async fn render<T>(
    worker: &State,
    script: &Rc<Script>,
    call: &Call,
    contexts: Vec<Bytes>,
    places: &Semaphore,
    then: impl AsyncFn(Item) -> T,
) -> Vec<T> {
    // A script that asks for a fresh cell has one for each context too.
    if contexts.len() > 1
        && !script.record.fresh
        && has_many(worker, script, call).await
        && let Some(items) = together(worker, script, call, &contexts, places).await
    {
        return join_all(items.into_iter().map(|item| then(item))).await;
    }
    let one = async |bytes| then(alone(worker, script, call, bytes, places).await).await;
    join_all(contexts.into_iter().map(one)).await
}

/// A limit for the parts of one call: more would only wait in the pool's queue, and keep others out of it.
#[must_use]
pub fn places() -> Semaphore {
    const AT_ONCE: usize = 32;
    Semaphore::new(AT_ONCE)
}

async fn alone(worker: &State, script: &Rc<Script>, call: &Call, bytes: Bytes, places: &Semaphore) -> Item {
    let _place = places.acquire().await;
    loop {
        let outcome = worker.call(script, Function::Render, None, input(call, bytes.clone(), ALONE)).await;
        return match outcome {
            Ok(returned) => Item { outcome: Ok(returned.value), run: returned.run },
            // It waited behind contexts that hang; the call itself still has time.
            Err(Failure::Timeout(Timeout { stage: Stage::Queued, .. }))
                if call.origin.deadline.left() > ALONE / 10 =>
            {
                continue;
            }
            Err(failure) => Item { outcome: Err(failure), run: Duration::ZERO },
        };
    }
}

fn input(call: &Call, bytes: Bytes, longest: Duration) -> Input {
    let deadline = call.origin.deadline.no_later_than(longest);
    Input { format: call.format, bytes, origin: call.origin.until(deadline) }
}

async fn has_many(worker: &State, script: &Rc<Script>, call: &Call) -> bool {
    if script.many.get().is_none() {
        // A script that cannot be loaded fails again, with its reason, when its contexts are run.
        let runs = Runs::Script(Rc::clone(script));
        let _loaded = worker.pool_of(script).run(runs, Work::Load, call.origin.clone()).await;
    }
    script.many.get() == Some(true)
}

async fn together(
    worker: &State,
    script: &Rc<Script>,
    call: &Call,
    contexts: &[Bytes],
    places: &Semaphore,
) -> Option<Vec<Item>> {
    let _place = places.acquire().await;
    let format = call.format;
    let input = input(call, list(format, contexts)?, TOGETHER);
    let returned = match worker.call(script, Function::RenderMany, None, input).await {
        Ok(returned) => returned,
        Err(failure) if call.origin.cancel.by().is_some() || call.origin.deadline.left().is_zero() => {
            let item = |_| Item { outcome: Err(failure.clone()), run: Duration::ZERO };
            return Some(contexts.iter().map(item).collect());
        }
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
