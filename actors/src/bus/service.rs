//! The node as a NATS micro service (ADR-32): it answers `PING`, `INFO` and `STATS`, so that `nats service` and
//! dashboards find it.

use std::rc::Rc;

use futures_util::StreamExt as _;
use protocol::actions::Role;
use serde_json::{Value, json};

use super::{Bus, Error, Stop};
use crate::bus::stats::Endpoint;

/// The service's name.
pub const NAME: &str = "callboard";

const PREFIX: &str = "io.nats.micro.v1";

#[derive(Debug, Clone, Copy)]
enum Verb {
    Ping,
    Info,
    Stats,
}

const VERBS: [(Verb, &str); 3] = [(Verb::Ping, "PING"), (Verb::Info, "INFO"), (Verb::Stats, "STATS")];

/// Subscribes to the nine subjects and answers until the node stops.
pub(super) async fn serve(bus: &Rc<Bus>) -> Result<(), Error> {
    for (verb, word) in VERBS {
        let subjects =
            [format!("$SRV.{word}"), format!("$SRV.{word}.{NAME}"), format!("$SRV.{word}.{NAME}.{}", bus.id)];
        for subject in subjects {
            let subscribed = bus.client.subscribe(subject).await;
            let mut subscriber = subscribed.map_err(|error| Error::Subscribe(error.to_string()))?;
            let service = Rc::clone(bus);
            let task = tokio::task::spawn_local(async move {
                let mut stop = service.stop.subscribe();
                loop {
                    let message = tokio::select! {
                        message = subscriber.next() => message,
                        () = super::reached(&mut stop, Stop::Outside) => None,
                    };
                    let Some(message) = message else { break };
                    answer(&service, verb, message).await;
                }
            });
            bus.listening.borrow_mut().push((Stop::Outside, task));
        }
    }
    Ok(())
}

async fn answer(bus: &Bus, verb: Verb, message: async_nats::Message) {
    let Some(inbox) = message.reply.filter(|inbox| bus.may_reply_to(inbox)) else {
        bus.stats.dropped.set(bus.stats.dropped.get() + 1);
        return;
    };
    let body = describe(bus, verb).to_string();
    if let Err(error) = bus.client.publish(inbox, body.into()).await {
        tracing::warn!(%error, "a service request could not be answered");
    }
}

fn describe(bus: &Bus, verb: Verb) -> Value {
    let endpoints = bus.stats.endpoints();
    let mut body = json!({
        "name": NAME,
        "id": bus.id,
        "version": env!("CARGO_PKG_VERSION"),
        "metadata": {"node": bus.node, "prefix": bus.prefix.as_str()},
    });
    let more = match verb {
        Verb::Ping => json!({"type": format!("{PREFIX}.ping_response")}),
        Verb::Info => json!({
            "type": format!("{PREFIX}.info_response"),
            "description": env!("CARGO_PKG_DESCRIPTION"),
            "endpoints": endpoints.iter().map(|endpoint| info(bus, endpoint)).collect::<Vec<_>>(),
        }),
        Verb::Stats => json!({
            "type": format!("{PREFIX}.stats_response"),
            "started": bus.started.to_string(),
            "endpoints": endpoints.iter().map(|endpoint| stats(bus, endpoint)).collect::<Vec<_>>(),
        }),
    };
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

fn info(bus: &Bus, endpoint: &Endpoint) -> Value {
    let subject = protocol::subject::of_channel(endpoint.name);
    let queue = if endpoint.role == Role::Supervisor { "" } else { endpoint.role.as_str() };
    json!({
        "name": endpoint_name(endpoint.name),
        "subject": bus.prefix.subject(&subject),
        "queue_group": queue,
        "metadata": {"role": endpoint.role.as_str(), "schema": format!("protocol/schemas/{}.json", schema(endpoint.name))},
    })
}

fn stats(bus: &Bus, endpoint: &Endpoint) -> Value {
    let requests = endpoint.requests.get();
    let processing = u64::try_from(endpoint.processing.get().as_nanos()).unwrap_or(u64::MAX);
    let mut body = info(bus, endpoint);
    let more = json!({
        "num_requests": requests,
        "num_errors": endpoint.errors.get(),
        "last_error": *endpoint.last_error.borrow(),
        "processing_time": processing,
        "average_processing_time": processing.checked_div(requests).unwrap_or(0),
    });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
        body.remove("metadata");
    }
    body
}

/// Names of endpoints have neither dots nor colons (ADR-32).
fn endpoint_name(name: &str) -> String {
    name.replace(['.', ':'], "-")
}

fn schema(name: &str) -> String {
    if name.contains(':') {
        format!("channels/{}", name.replace(':', "."))
    } else {
        format!("actions/{name}")
    }
}
