//! Any bytes as the body of a message, on every action and channel: it is taken or refused, the refusal can be written as a
//! reply that a caller can read, and a payload that was taken goes into a reply and comes out as it was. What actions and
//! channels do with their payloads is not looked at here.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::channel::{self, Locale, SafeStorageStatus};
use protocol::envelope::{self, Request, RequestId, Written};
use protocol::raw;
use protocol::{Format, Problem, Raw, actions, channels};

/// The parts of a reply that are compared.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Success<'a> {
    request_id: String,
    #[serde(borrow)]
    data: Option<Raw<'a>>,
}

/// Longest text of a [`Problem`], in bytes: 200 characters and an ellipsis.
const LONGEST: usize = 201 * 4;

fn bounded(problem: &Problem) {
    assert!(problem.path.len() <= LONGEST && problem.problem.len() <= LONGEST, "{problem}");
}

/// Reads a payload as everything that some action or channel takes.
fn payloads(raw: &Raw<'_>) {
    macro_rules! read {
        ($($list:ident::$name:ident),* $(,)?) => {$({
            use $list::$name::Request;
            if let Err(problem) = raw.read_object::<Request>("payload") {
                bounded(&problem);
            }
        })*};
    }
    read!(
        actions::content_render,
        actions::macro_render,
        actions::macro_render_many,
        actions::script_compile,
        actions::script_fetch,
        actions::transform_apply,
        actions::utility_run,
        channels::script_check,
        channels::script_create,
        channels::script_defaults,
        channels::script_delete,
        channels::script_get,
        channels::script_history,
        channels::script_list,
        channels::script_rollback,
        channels::script_sync,
        channels::script_update,
        channels::supervisor_cancel,
        channels::supervisor_drain,
        channels::supervisor_pool,
        channels::supervisor_restart,
        channels::supervisor_status,
    );
}

fn action(format: Format, body: &[u8]) {
    let known = |name: &str| actions::find(name).is_some();
    let now = jiff::Timestamp::UNIX_EPOCH;
    match Request::read(format, body, "macro.render", known) {
        Err(refused) => {
            let id = refused.request_id.unwrap_or_else(RequestId::generate);
            let reply =
                Written::failure(format, id.as_str(), refused.failure, now, Vec::new()).parts().concat();
            let read = envelope::Reply::read(format, &reply).expect("a reply of ours can be read");
            assert!(!read.ok && read.request_id == id.as_str());
        }
        Ok(request) => {
            payloads(&request.payload);
            // Of a bare payload nobody has looked at every value: whoever reads it does. But it is no envelope.
            if request.timestamp.is_none() {
                let read = raw::read::<serde_json::Value>(format, body, "$");
                assert!(read.ok().is_none_or(|value| value.get("payload").is_none()));
                return;
            }
            let id = request.request_id.expect("an envelope has one");
            let reply =
                Written::success(format, id.as_str(), &request.payload, now, Vec::new()).parts().concat();
            let read: Success<'_> = raw::read_object(format, &reply, "$").expect("a reply of ours");
            assert_eq!(read.request_id, id.as_str());
            assert_eq!(read.data.expect("data").bytes(), request.payload.bytes());
        }
    }
}

fn channel(format: Format, body: &[u8]) {
    let name = "script:get";
    let (id, code) = match channel::Request::read(format, body, name) {
        Ok(request) => {
            payloads(&request.payload);
            (request.request_id, channel::Code::Ok)
        }
        Err(refused) => {
            bounded(&refused.problem);
            (refused.request_id, channel::Code::ValidationError)
        }
    };
    let id = id.unwrap_or_else(RequestId::generate);
    let locale = Locale::default();
    let head = channel::Head {
        request_id: id.as_str(),
        channel: name,
        code,
        locale: &locale,
        debug: None,
        correlation_id: protocol::Id::generate(),
        duration_ms: 0,
        safe_storage_status: SafeStorageStatus::Unavailable,
    };
    let reply = channel::reply::<()>(format, &head, None);
    let read: channel::Reply = raw::read_object(format, &reply, "$").expect("a reply of ours");
    assert_eq!(read.request_id, id.as_str());
}

fuzz_target!(|data: &[u8]| {
    for format in [Format::Json, Format::MessagePack] {
        action(format, data);
        channel(format, data);
        // What a caller makes of what somebody else may have sent in a node's place.
        let _ = envelope::Reply::read(format, data);
        let _ = raw::read_object::<channel::Reply>(format, data, "$");
    }
});
