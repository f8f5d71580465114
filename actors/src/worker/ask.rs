//! What a running call asks of the node: today a model's answer. The question becomes a request over the bus, with the
//! call's deadline, project and correlation; who serves it is nobody's business here. Whether a cell may ask at all,
//! and what becomes of the answer, is the pool's (`pool::ask`).

use std::rc::Rc;

use bytes::Bytes;
use protocol::envelope::RequestId;
use protocol::frame::ask::{COMPLETE, Failed, LARGEST_DATA};
use protocol::raw::{self, AnyObject, Raw};
use protocol::writer::Writer;
use protocol::{Failure, Format};
use serde::Deserialize;

use crate::bus::Bus;
use crate::bus::link::Upcoming;
use crate::call::{Origin, millis};

/// Most characters of a text in a failure.
const LONGEST: usize = 300;

/// What a question brings: the action's data, one value in MessagePack.
pub type Answered = Result<Bytes, Failed>;

/// Who answers what cells ask.
#[derive(Clone)]
pub enum Asker {
    /// Whoever serves it on this bus.
    Bus(Rc<Bus>),
    /// Nobody: this is only a look at what cells are like here.
    Nobody,
}

impl Asker {
    /// Where it is counted which answers are about to come.
    #[must_use]
    pub fn upcoming(&self) -> Upcoming {
        match self {
            Self::Bus(bus) => bus.upcoming(),
            Self::Nobody => Upcoming::default(),
        }
    }

    /// Asks for a model's answer to `payload`, which a cell sent and which may be anything.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn complete(self, origin: Origin, payload: Bytes) -> Answered {
        let Self::Bus(bus) = self else { return Err(failed(&Failure::unavailable(COMPLETE, 1_000))) };
        let envelope = envelope(&origin, &payload).map_err(|failure| failed(&failure))?;
        let reply = bus.ask_packed(COMPLETE, envelope, &origin).await;
        if origin.deadline.left().is_zero() {
            // The call is over, and the pool ends it: its script shall not run on with a failure instead.
            return std::future::pending().await;
        }
        read(&reply.map_err(|failure| failed(&failure))?)
    }
}

/// The payload in an envelope of our own making. As a bare one it could pretend to be an envelope itself, and name
/// another project.
fn envelope(origin: &Origin, payload: &[u8]) -> Result<Bytes, Failure> {
    raw::read_object::<AnyObject>(Format::MessagePack, payload, "payload")?;
    let mut writer = Writer::new(Format::MessagePack, payload.len() + 256);
    writer.object(6);
    writer.key("requestId");
    writer.text(RequestId::generate().as_str());
    writer.key("action");
    writer.text(COMPLETE);
    writer.key("payload");
    writer.raw(&Raw::trusted(Format::MessagePack, payload));
    writer.key("timestamp");
    writer.timestamp(jiff::Timestamp::now());
    writer.key("timeoutMs");
    writer.value(&millis(origin.deadline.left()).max(1));
    writer.key("project");
    writer.text(origin.project.as_str());
    writer.end_object();
    Ok(writer.finish().into())
}

/// A reply as far as the cell is told of it. Replies may grow.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    data: Option<Raw<'a>>,
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    reason: Option<String>,
}

fn read(body: &Bytes) -> Answered {
    let broken = |problem: &str| failed(&Failure::response(COMPLETE, problem));
    let reply: Reply<'_> = raw::read_object(Format::MessagePack, body, COMPLETE)
        .map_err(|_| broken("an answer that cannot be read"))?;
    match (reply.data, reply.error) {
        (_, Some(Error { code, message, details })) => {
            let cut = |text: String| text.chars().take(LONGEST).collect();
            let reason = details.and_then(|details| details.reason).map(cut);
            Err(Failed { code: cut(code), reason, message: message.map(cut) })
        }
        (Some(data), None) if data.bytes().len() > LARGEST_DATA => Err(broken("an answer that is too large")),
        (Some(data), None) => Ok(data.into_bytes(body)),
        (None, None) => Err(broken("an answer without data")),
    }
}

/// A failure as a script sees it.
#[must_use]
pub fn failed(failure: &Failure) -> Failed {
    let code = failure.code();
    Failed {
        code: code.as_str().to_owned(),
        reason: failure.reason().map(str::to_owned),
        message: Some(code.message().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn packed(value: &Value) -> Bytes {
        rmp_serde::to_vec_named(value).unwrap().into()
    }

    #[test]
    fn what_a_cell_sends_stays_a_payload_whatever_it_looks_like() {
        let deadline = crate::call::Deadline::within(std::time::Duration::from_secs(5));
        let project = protocol::envelope::Project::new("p").unwrap();
        let trace = crate::telemetry::trace::Trace::default();
        let origin = Origin::new(RequestId::generate(), protocol::Id::generate(), project, trace, deadline);
        let payload = json!({"payload": {"messages": []}, "project": "other", "action": COMPLETE});
        let made = envelope(&origin, &packed(&payload)).unwrap();
        let read: Value = rmp_serde::from_slice(&made).unwrap();
        assert_eq!((&read["project"], &read["payload"]), (&json!("p"), &payload));
        for bytes in [b"".as_slice(), b"\x90", b"\xc0", b"\x80\x80", b"\xc1", b"\x81\xa1a"] {
            envelope(&origin, bytes).unwrap_err();
        }
    }

    #[test]
    fn a_reply_is_data_or_a_failure_with_its_reason() {
        let data = json!({"text": "x"});
        let reply = packed(&json!({"requestId": "r", "ok": true, "data": data, "more": 1}));
        assert_eq!(read(&reply).unwrap(), packed(&data));
        let error = json!({"code": "C", "message": "m", "details": {"reason": "r", "retryAfterMs": 5}});
        let failed = read(&packed(&json!({"ok": false, "error": error}))).unwrap_err();
        assert_eq!((failed.code.as_str(), failed.reason.as_deref()), ("C", Some("r")));
        for body in [json!({}), json!([]), json!({"error": 5})] {
            assert_eq!(read(&packed(&body)).unwrap_err().code, "PY_INVALID_RESPONSE", "{body}");
        }
    }
}
