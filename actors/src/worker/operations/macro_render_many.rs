//! `macro.renderMany`: one macro in many contexts.

use std::rc::Rc;

use bytes::Bytes;
use protocol::abi::Kind;
use protocol::actions::macro_render_many::{MOST, Request};
use protocol::failure::{self, InvalidResponse};
use protocol::frame::LARGEST;
use protocol::writer::Writer;
use protocol::{Failure, Problem, Raw};

use crate::call::{Answer, Call};
use crate::worker::{State, batch, clean};

/// Handles the action.
///
/// # Errors
/// The request as a whole failed; what became of each context is in the answer.
pub async fn handle(worker: Rc<State>, call: Call) -> Answer {
    let request: Request<'_> = call.read()?;
    if request.contexts.len() > MOST {
        return Err(Failure::request("payload.contexts", format!("expected at most {MOST} contexts")));
    }
    let contexts = request.contexts.into_iter().enumerate();
    let contexts: Vec<Bytes> = contexts
        .map(|(number, context)| {
            let context = context.raw(format_args!("payload.contexts[{number}]"))?;
            Ok(context.into_bytes(&call.payload))
        })
        .collect::<Result<_, Problem>>()?;
    let script = worker.scripts.find(&call.origin, Kind::Macro, &request.script).await?;
    let share = worker.cleaning.share();
    let checked = async |item: batch::Item| match item.outcome {
        Ok(value) if request.raw => clean::read(call.format, &value).map(|_| value.clone()),
        Ok(value) => {
            let _turn = share.acquire().await;
            worker.cleaning.result(call.format, &value).await
        }
        Err(failure) => Err(failure),
    };
    let results = batch::render(&worker, &script, &call, contexts, &batch::places(), checked).await;
    write(&call, results)
}

fn write(call: &Call, results: Vec<Result<Bytes, Failure>>) -> Answer {
    let size = results.iter().map(|result| result.as_ref().map_or(256, Bytes::len) + 32).sum();
    if size > 2 * LARGEST {
        let problem = format!("{size} bytes together: ask for fewer contexts at once");
        let reason = Some("too_large".to_owned());
        return Err(Failure::InvalidResponse(InvalidResponse {
            path: "results".into(),
            problem,
            reason,
            ..InvalidResponse::default()
        }));
    }
    let mut writer = Writer::new(call.format, size);
    writer.object(1);
    writer.key("results");
    writer.list(u32::try_from(results.len()).unwrap_or(u32::MAX));
    for result in results {
        writer.object(2);
        writer.key("ok");
        writer.value(&result.is_ok());
        match result {
            Ok(data) => {
                writer.key("data");
                writer.raw(&Raw::trusted(call.format, &data));
            }
            Err(failure) => {
                writer.key("error");
                writer.value(&failure::Body::from(failure));
            }
        }
        writer.end_object();
    }
    writer.end_list();
    writer.end_object();
    Ok(writer.finish().into())
}
