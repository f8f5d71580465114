//! Golden files: bytes that earlier versions wrote and every later one must still read and write. A difference here
//! is a change of a contract; it needs a version, not a new file.

use std::path::Path;

use crate::capability::Capability;
use crate::channel::{self, Locale, SafeStorageStatus};
use crate::envelope::{self, RequestId, Written};
use crate::failure::{ActionFailed, Death, Phases, Stage, Timeout};
use crate::frame::ask::{Answer, Ask, COMPLETE, Cancel, Dropped, Failed, Outcome};
use crate::frame::cell::{Call, Function, Hello, Load, Output, Raised, Reason, Return};
use crate::frame::control::{FromZygote, Limits, ToZygote};
use crate::frame::{self, Operation};
use crate::{Failure, Format, Raw, abi, raw};

/// Compares bytes with their file; `CALLBOARD_WRITE=1` writes files that are not there yet, and only those.
fn compare(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("CALLBOARD_WRITE").is_some() && !path.exists() {
        std::fs::write(&path, bytes).unwrap();
    }
    let found = std::fs::read(&path).unwrap_or_else(|_| panic!("{} is missing", path.display()));
    assert_eq!(found, bytes, "{name}: the bytes on the wire have changed");
}

fn frame_bytes<T: serde::Serialize>(operation: Operation, body: &T) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, operation, 7, body).unwrap();
    out
}

#[test]
fn frames_are_what_they_were() {
    let load = Load {
        project: "default".into(),
        slug: "gallery".into(),
        kind: abi::Kind::Macro,
        entrypoint: "render".into(),
        body: "def render(context): ...\n".into(),
        actions: None,
        capabilities: vec![Capability::Llm],
    };
    let call = Call {
        function: Function::Render,
        entrypoint: None,
        format: Format::Json,
        deadline: 1_000_000_007,
        input: serde_bytes::Bytes::new(b"{\"env\":{\"isPreview\":true}}"),
    };
    let output = Output { stdout: "hi\n".into(), stderr: String::new(), truncated: false };
    let value = serde_bytes::Bytes::new(b"{\"html\":\"\"}");
    let returned = Return { value, output: output.clone(), run: 12, notices: vec!["look".into()] };
    let raised = Raised {
        reason: Reason::Raised,
        exception: "ValueError: x".into(),
        line: Some(3),
        refused: None,
        output,
        notices: Vec::new(),
    };
    let hello = Hello {
        protocol: frame::VERSION,
        abi: abi::VERSION,
        python: "3.11.7".into(),
        layers: vec!["seccomp".into()],
    };
    compare("load.frame", &frame_bytes(Operation::Load, &load));
    compare("call.frame", &frame_bytes(Operation::Call, &call));
    compare("return.frame", &frame_bytes(Operation::Return, &returned));
    compare("raised.frame", &frame_bytes(Operation::Raised, &raised));
    compare("hello.frame", &frame_bytes(Operation::Hello, &hello));
    let ask = Ask { ask: 3, action: COMPLETE, payload: serde_bytes::Bytes::new(b"\x80") };
    compare("ask.frame", &frame_bytes(Operation::Ask, &ask));
    compare("drop.frame", &frame_bytes(Operation::Drop, &Dropped { ask: 3 }));
    let failed = Failed { code: "UNAVAILABLE".into(), reason: None, message: None };
    for (name, outcome) in [
        ("answer.frame", Outcome::Data(serde_bytes::Bytes::new(b"\xc3"))),
        ("answer-failed.frame", Outcome::Failed(failed)),
    ] {
        compare(name, &frame_bytes(Operation::Answer, &Answer { ask: 3, outcome }));
    }
    compare("cancel.frame", &frame_bytes(Operation::Cancel, &Cancel {}));
}

#[test]
fn control_messages_are_what_they_were() {
    let fork = ToZygote::Fork { cell: 5, limits: Limits { memory: 1 << 29, capabilities: Vec::new() } };
    compare("fork.control", &rmp_serde::to_vec_named(&fork).unwrap());
    let folder = Capability::new("files:read:/srv/photos").unwrap();
    let limits = Limits { memory: 1 << 29, capabilities: vec![Capability::Llm, folder] };
    let fork = ToZygote::Fork { cell: 5, limits };
    compare("fork-capabilities.control", &rmp_serde::to_vec_named(&fork).unwrap());
    let exited = FromZygote::Exited { cell: 5, status: None, signal: Some(9), peak: 4_096 };
    compare("exited.control", &rmp_serde::to_vec_named(&exited).unwrap());
}

#[test]
fn replies_are_what_they_were() {
    let id = RequestId::new("request 1").unwrap();
    let now = jiff::Timestamp::from_second(1_780_000_000).unwrap();
    let death = Death {
        phases: Phases { queued: 0.5, run: Some(250.0), ..Phases::default() },
        line: Some(4),
        signal: Some("SIGKILL".into()),
        advice: "look for a loop".into(),
        ..Death::default()
    };
    let timeout = Timeout {
        timeout_ms: 250,
        stage: Stage::Running,
        late_ms: None,
        death: Some(Box::new(death)),
        output: None,
    };
    for (format, ending) in [(Format::Json, "json"), (Format::MessagePack, "msgpack")] {
        let data = match format {
            Format::Json => br#"{"html":"<p>x</p>"}"#.to_vec(),
            Format::MessagePack => b"\x81\xa4html\xa8<p>x</p>".to_vec(),
        };
        let data = Raw::trusted(format, &data);
        let success = Written::success(format, id.as_str(), &data, now, Vec::new());
        compare(&format!("success.{ending}"), &success.parts().concat());
        let failure = |failure| Written::failure(format, id.as_str(), failure, now, b"old".to_vec());
        let failed = Failure::ActionFailed(ActionFailed { line: Some(2), ..ActionFailed::default() });
        compare(&format!("action_failed.{ending}"), &failure(failed).parts().concat());
        let failed = Failure::Timeout(timeout.clone());
        compare(&format!("timeout.{ending}"), &failure(failed).parts().concat());
    }
}

#[test]
fn channel_replies_are_what_they_were() {
    let locale = Locale::new("fr").unwrap();
    let head = channel::Head {
        request_id: "0192f1c0-0000-7000-8000-000000000000",
        channel: "script:get",
        code: channel::Code::ScriptNotFound,
        locale: &locale,
        debug: None,
        correlation_id: crate::Id::new("0192f1c0-0000-7000-8000-000000000001").unwrap(),
        duration_ms: 2,
        safe_storage_status: SafeStorageStatus::Unavailable,
    };
    compare("script_not_found.json", &channel::reply::<()>(Format::Json, &head, None));
    compare("script_not_found.msgpack", &channel::reply::<()>(Format::MessagePack, &head, None));
}

#[test]
fn requests_that_were_right_are_still_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let json = std::fs::read(folder.join("request.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let packed = rmp_serde::to_vec_named(&value).unwrap();
    compare("request.msgpack", &packed);
    for (format, body) in [(Format::Json, &json), (Format::MessagePack, &packed)] {
        let request = envelope::Request::read(format, body, "macro.render", |_| true).unwrap();
        assert_eq!(request.timeout_ms, Some(250));
        let payload: crate::actions::macro_render::Request<'_> =
            request.payload.read_object("payload").unwrap();
        assert_eq!(payload.script, "gallery");
        raw::check_depth(format, body, 16).unwrap();
    }
}
