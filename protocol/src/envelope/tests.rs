//! Tests of the envelope of actions: what is read, what is refused and where, and replies in both formats.

use super::*;
use serde_json::{Value, json};

fn encode(format: Format, value: &Value) -> Vec<u8> {
    match format {
        Format::Json => serde_json::to_vec(value).unwrap(),
        Format::MessagePack => rmp_serde::to_vec_named(value).unwrap(),
    }
}

fn full() -> Value {
    json!({"requestId": "r 1", "action": "macro.render", "payload": {"script": "x"}, "timestamp": "2026-01-02T03:04:05Z"})
}

fn take(format: Format, value: &Value) -> Result<(String, Option<u64>), Failure> {
    let body = encode(format, value);
    let known = |name: &str| name.starts_with("macro.");
    Request::read(format, &body, "macro.render", known)
        .map(|request| (request.request_id.unwrap().as_str().to_owned(), request.timeout_ms))
        .map_err(|refused| refused.failure)
}

#[test]
fn a_whole_envelope_is_read_in_both_formats() {
    let mut value = full();
    value["timeoutMs"] = json!(250);
    for format in [Format::Json, Format::MessagePack] {
        assert_eq!(take(format, &value), Ok(("r 1".to_owned(), Some(250))));
    }
}

#[test]
fn an_object_without_the_key_payload_is_the_payload_itself() {
    for format in [Format::Json, Format::MessagePack] {
        let body = encode(format, &json!({"script": "x", "requestId": 5}));
        let request = Request::read(format, &body, "macro.render", |_| true).unwrap();
        assert_eq!(request.payload.bytes(), body);
        assert_eq!(request.request_id, None);
    }
}

#[test]
fn each_broken_field_is_named() {
    let cases = [
        ("requestId", json!(""), "requestId", "expected 1 to 128 characters of printable ASCII"),
        ("requestId", json!("ä"), "requestId", "expected 1 to 128 characters of printable ASCII"),
        ("project", json!("../etc"), "project", "expected 1 to 64 characters of a-z, 0-9 and _"),
        ("timeoutMs", json!("soon"), "timeoutMs", "expected u64"),
        ("timeoutMs", json!(0), "timeoutMs", "expected at least 1"),
        ("leaseMs", json!(60_001), "leaseMs", "expected 0 to 60000"),
        ("token", json!("short"), "token", "expected 16 to 128 characters"),
        ("action", json!("macro.other"), "action", "names another action than the subject does"),
    ];
    for (field, broken, path, problem) in cases {
        let mut value = full();
        value[field] = broken;
        assert_eq!(take(Format::Json, &value), Err(Failure::request(path, problem)), "{field}");
        assert!(
            matches!(take(Format::MessagePack, &value), Err(Failure::RequestInvalid(p)) if p.path == path),
            "{field}"
        );
    }
}

#[test]
fn an_unknown_key_or_a_wrong_time_is_refused_with_its_path() {
    let mut value = full();
    value["extra"] = json!(1);
    assert!(matches!(take(Format::Json, &value), Err(Failure::RequestInvalid(p)) if p.path == "extra"));
    let mut value = full();
    value["timestamp"] = json!("yesterday");
    assert!(matches!(take(Format::Json, &value), Err(Failure::RequestInvalid(p)) if p.path == "timestamp"));
}

#[test]
fn an_action_that_nobody_lists_is_unknown() {
    let mut value = full();
    value["action"] = json!("shell.run");
    let unknown = Failure::ActionUnknown(ActionUnknown { action: "shell.run".to_owned() });
    assert_eq!(take(Format::Json, &value), Err(unknown));
}

#[test]
fn a_refusal_bears_the_callers_id_where_it_can_be_read() {
    let mut value = full();
    value["project"] = json!(7);
    let body = encode(Format::Json, &value);
    let refused = Request::read(Format::Json, &body, "macro.render", |_| true).unwrap_err();
    assert_eq!(refused.request_id, RequestId::new("r 1"));
}

#[test]
fn what_is_no_object_is_refused_at_the_root() {
    for body in [b"[]".as_slice(), b"", b"\xff", b"\"x\"", b"nul", b"{"] {
        let refused = Request::read(Format::Json, body, "macro.render", |_| true).unwrap_err();
        assert!(matches!(&refused.failure, Failure::RequestInvalid(p) if p.path == "$"), "{refused:?}");
    }
}

#[test]
fn replies_say_the_same_in_both_formats() {
    let id = RequestId::new("r").unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    for format in [Format::Json, Format::MessagePack] {
        let data = encode(format, &json!({"html": "x"}));
        let data = Raw::trusted(format, &data);
        let success = Written::success(format, id.as_str(), &data, now, b"old".to_vec());
        let reply = Reply::read(format, &success.parts().concat()).unwrap();
        assert_eq!(
            serde_json::to_value(reply).unwrap(),
            json!({"requestId": "r", "ok": true, "data": {"html": "x"}, "timestamp": "1970-01-01T00:00:00.000Z"})
        );
        let failure = Failure::request("a.b", "c");
        let failure = Written::failure(format, id.as_str(), failure, now, success.into_room());
        let reply = Reply::read(format, &failure.parts().concat()).unwrap();
        assert_eq!(reply.error.unwrap().details, Some(failure::Details::Problem(Problem::new("a.b", "c"))));
    }
}

#[test]
fn a_token_cannot_be_printed() {
    let token: Token = serde_json::from_str("\"0123456789abcdef\"").unwrap();
    assert_eq!(format!("{token:?}"), "Token");
}
