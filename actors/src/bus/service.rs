//! The node as a NATS micro service (ADR-32): it answers `PING`, `INFO` and `STATS`, so that `nats service` and
//! dashboards find it.

use std::rc::Rc;

use protocol::actions::Role;
use serde_json::{Value, json};

use super::{Bus, Stop};
use crate::bus::link::{Message, To};
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
pub(super) fn serve(bus: &Rc<Bus>) {
    for (verb, word) in VERBS {
        let subjects =
            [format!("$SRV.{word}"), format!("$SRV.{word}.{NAME}"), format!("$SRV.{word}.{NAME}.{}", bus.id)];
        for subject in subjects {
            let service = Rc::clone(bus);
            let sid = bus.link.subscribe(subject, None, move |message| answer(&service, verb, &message));
            bus.listening.borrow_mut().push((Stop::Outside, sid));
        }
    }
}

fn answer(bus: &Bus, verb: Verb, message: &Message) {
    let Some(inbox) = message.reply().filter(|inbox| bus.may_reply_to(inbox)) else {
        bus.stats.dropped.set(bus.stats.dropped.get() + 1);
        return;
    };
    let body = describe(bus, verb).to_string();
    if let Err(error) = bus.link.publish_bare(To::subject(inbox), body.as_bytes()) {
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
    // Metadata are texts (ADR-32).
    let metadata = match &endpoint.schemas {
        Some((input, output)) => {
            json!({"role": endpoint.role.as_str(), "inputSchema": input, "outputSchema": output})
        }
        None => {
            let file = format!("protocol/schemas/{}.json", schema(endpoint.name));
            json!({"role": endpoint.role.as_str(), "schema": file})
        }
    };
    json!({
        "name": endpoint_name(endpoint.name),
        "subject": bus.prefix.subject(&subject),
        "queue_group": queue,
        "metadata": metadata,
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
