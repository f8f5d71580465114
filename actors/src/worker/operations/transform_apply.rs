//! `transform.apply`: a post through the enabled transforms of its project, in their order. One that fails is recorded, and the
//! last valid post goes on to the next.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use protocol::abi::Kind;
use protocol::actions::transform_apply::{
    Context, Error, Format, MOST_NOTICES, Notice, Post, Reply, Request,
};
use protocol::frame::cell::Function;
use protocol::writer::Writer;
use protocol::{Failure, raw};

use crate::call::{Answer, Call};
use crate::worker::job::Returned;
use crate::worker::script::Script;
use crate::worker::{Input, State, death};

/// Longest time for one transform.
const ALONE: Duration = Duration::from_secs(5);

/// Handles the action.
///
/// # Errors
/// How it failed. A transform that fails is no failure of the action; that nobody could run it is.
pub async fn handle(worker: Rc<State>, call: Call) -> Answer {
    let Request { post, context } = call.read()?;
    post.check("payload.post")?;
    context.check("payload.context")?;
    let mut post = cleaned(&worker, &context, post.into_owned())
        .await
        .map_err(|failure| Failure::request("payload.post.content", death::explain(&failure)))?;
    let (mut applied, mut errors, mut notices) = (Vec::new(), Vec::new(), Vec::new());
    for script in worker.scripts.of_kind(&call.origin, Kind::Transform).await? {
        let id = script.record.id;
        match apply(&worker, &call, &script, &post, &context).await {
            Ok((changed, said)) => {
                post = changed;
                applied.push(id);
                let room = MOST_NOTICES - notices.len();
                notices.extend(said.into_iter().take(room).map(|text| Notice { script_id: id, text }));
            }
            Err(failure) if ends_all(&failure, &call) => return Err(failure),
            Err(failure) => {
                let message = death::explain(&failure);
                errors.push(Error { script_id: id, slug: script.record.slug.clone(), message });
            }
        }
    }
    let mut writer = Writer::new(call.format, post.content.len() + 512);
    writer.value(&Reply { post, applied, errors, notices });
    Ok(writer.finish().into())
}

/// Whether a failure says nothing about the transform, and the rest would fail like it.
fn ends_all(failure: &Failure, call: &Call) -> bool {
    let nobody = matches!(failure, Failure::Overloaded(_) | Failure::Unavailable(_) | Failure::Cancelled(_));
    nobody || call.origin.deadline.left().is_zero()
}

/// Runs one transform: the post that it makes, valid and clean, and what it has to say.
async fn apply(
    worker: &State,
    call: &Call,
    script: &Rc<Script>,
    post: &Post<'_>,
    context: &Context<'_>,
) -> Result<(Post<'static>, Vec<String>), Failure> {
    let mut writer = Writer::new(call.format, post.content.len() + 512);
    writer.object(2);
    writer.key("post");
    writer.value(post);
    writer.key("context");
    writer.value(context);
    writer.end_object();
    let deadline = call.origin.deadline.no_later_than(ALONE);
    let origin = call.origin.until(deadline);
    let input = Input { format: call.format, bytes: writer.finish().into(), origin };
    let Returned { value, notices, .. } = worker.call(script, Function::Transform, None, input).await?;
    // The cell may have sent anything.
    let broken = |problem: protocol::Problem| Failure::response(problem.path, problem.problem);
    raw::check_depth(call.format, &value, raw::DEEPEST).map_err(broken)?;
    let changed: Post<'_> = raw::read_object(call.format, &value, "result").map_err(broken)?;
    changed.check("result").map_err(broken)?;
    Ok((cleaned(worker, context, changed.into_owned()).await?, notices))
}

/// The post with its content cleaned, if that is HTML.
async fn cleaned(
    worker: &State,
    context: &Context<'_>,
    post: Post<'static>,
) -> Result<Post<'static>, Failure> {
    match context.format {
        Some(Format::Html) => {
            let cleaned = worker.cleaning.html(&post.content).await?;
            Ok(Post { content: cleaned.map_or(post.content, Cow::Owned), ..post })
        }
        Some(Format::Markdown) | None => Ok(post),
    }
}
