//! How a test asks for a fault: `faults.strike {"point": "worker", "times": 1}`. Only in builds with the feature
//! `faults`; what a fault is stands in `faults`.

use std::rc::{Rc, Weak};

use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;

use super::Bus;
use super::link::To;
use crate::faults;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    point: String,
    times: u64,
}

/// Hears requests for faults as long as the node lives, and answers each once it is armed.
pub fn serve(bus: &Rc<Bus>) {
    tracing::warn!("this build breaks on request: it is for tests");
    let mut requests = bus.hear("faults.strike");
    let bus = Rc::downgrade(bus);
    tokio::task::spawn_local(async move {
        while let (Some(message), Some(bus)) = (requests.next().await, Weak::upgrade(&bus)) {
            let before = serde_json::from_slice::<Request>(message.payload())
                .ok()
                .and_then(|request| faults::arm(&request.point, request.times));
            let Some(inbox) = message.reply().filter(|inbox| bus.may_reply_to(inbox)) else { continue };
            let body = json!({"armed": before.is_some(), "left": before}).to_string();
            if let Err(error) = bus.link.publish_bare(To::subject(inbox), body.as_bytes()) {
                tracing::warn!(%error, "a fault cannot be confirmed");
            }
        }
    });
}
