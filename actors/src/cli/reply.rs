//! Reading replies of actions and channels alike, and telling a person how one failed.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{client, error, out};

/// A reply; data stays as it came. Both envelopes fit, and both may grow.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reply<'a> {
    /// Of actions.
    ok: Option<bool>,
    /// Of channels.
    success: Option<bool>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// Of actions.
    error: Option<Body>,
    /// Of channels.
    code: Option<String>,
    /// Of channels.
    user_message: Option<String>,
    /// Of channels.
    remediation: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Body {
    code: String,
    message: String,
    details: Option<Value>,
}

/// How a call failed.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    code: String,
    message: String,
    remediation: Option<String>,
    details: Option<Value>,
}

impl<'a> Reply<'a> {
    /// Reads a reply.
    ///
    /// # Errors
    /// The text is no reply of ours.
    pub(crate) fn read(text: &'a str) -> Result<Self, client::Error> {
        let reply: Self = serde_json::from_str(text).map_err(|_| client::Error::Unreadable)?;
        if reply.ok.or(reply.success).is_none() { Err(client::Error::Unreadable) } else { Ok(reply) }
    }

    /// The data of a success, or the failure.
    pub(crate) fn outcome(self) -> Result<&'a str, Failure> {
        if self.ok.or(self.success) == Some(true) {
            return Ok(self.data.map_or("null", RawValue::get));
        }
        let failure = match self.error {
            Some(Body { code, message, details }) => Failure { code, message, remediation: None, details },
            None => Failure {
                code: self.code.unwrap_or_default(),
                message: self.user_message.unwrap_or_default(),
                remediation: self.remediation,
                details: self.data.and_then(|data| serde_json::from_str(data.get()).ok()),
            },
        };
        Err(failure)
    }
}

impl Failure {
    /// Tells the person, and answers the exit status.
    pub(crate) fn report(&self) -> u8 {
        out::talk(&self.text());
        // A script that is not there has no code of its own, but a class: the one of things that are not found.
        let missing = self.details.as_ref().is_some_and(|details| details["reason"] == "script_missing");
        if missing { error::NOT_FOUND } else { error::exit_status(&self.code) }
    }

    /// Leaves of what the script had printed only what was not shown yet.
    pub(crate) fn leave_of_output(&mut self, left: impl Fn(&str) -> &str) {
        let Some(Value::Object(details)) = &mut self.details else { return };
        let Some(Value::String(output)) = details.get("output") else { return };
        match left(output).to_owned() {
            nothing if nothing.is_empty() => details.remove("output"),
            rest => details.insert("output".to_owned(), rest.into()),
        };
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.code, self.message);
        if let Some(remediation) = &self.remediation {
            let _fits = writeln!(text, "  {remediation}");
        }
        if let Some(details) = &self.details {
            describe(&mut text, 1, details);
        }
        text
    }
}

/// Writes the entries of `value`, one a line; text of several lines stands below its key.
fn describe(text: &mut String, depth: usize, value: &Value) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(entries) => {
            for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                let _fits = match value {
                    Value::Object(_) | Value::Array(_) => {
                        let _fits = writeln!(text, "{indent}{key}:");
                        describe(text, depth + 1, value);
                        Ok(())
                    }
                    Value::String(lines) if lines.contains('\n') => {
                        let below = lines.trim_end().lines().map(|line| format!("{indent}  {line}\n"));
                        writeln!(text, "{indent}{key}:\n{}", below.collect::<String>().trim_end_matches('\n'))
                    }
                    Value::String(line) => writeln!(text, "{indent}{key}: {line}"),
                    scalar => writeln!(text, "{indent}{key}: {scalar}"),
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                match (item.get("path").and_then(Value::as_str), item.get("problem").and_then(Value::as_str))
                {
                    (Some(path), Some(problem)) => {
                        let _fits = writeln!(text, "{indent}{path}: {problem}");
                    }
                    _ => {
                        let _fits = writeln!(text, "{indent}- {item}");
                    }
                }
            }
        }
        scalar => {
            let _fits = writeln!(text, "{indent}{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_of_either_envelope_gives_its_data_as_they_came() {
        for text in [
            r#"{"requestId":"1","ok":true,"data":{"b":1.50,"a":2},"timestamp":"t","newer":1}"#,
            r#"{"requestId":"1","channel":"a:b","success":true,"code":"OK","data":{"b":1.50,"a":2},"userMessage":"Done."}"#,
        ] {
            assert_eq!(Reply::read(text).unwrap().outcome().unwrap(), r#"{"b":1.50,"a":2}"#);
        }
    }

    #[test]
    fn a_failed_action_is_told_with_its_details() {
        let text = r#"{"ok":false,"error":{"code":"PY_ACTION_FAILED","message":"the action failed",
            "details":{"line":3,"exception":"line 3, in render\nValueError: no","reason":"raised","death":{"exit":1}}}}"#;
        let failure = Reply::read(text).unwrap().outcome().unwrap_err();
        let expected = "PY_ACTION_FAILED: the action failed\n  death:\n    exit: 1\n  exception:\n    line 3, in render\n    \
                        ValueError: no\n  line: 3\n  reason: raised\n";
        assert_eq!(failure.text(), expected);
    }

    #[test]
    fn a_script_that_is_missing_has_the_exit_status_of_what_there_is_not() {
        for (reason, status) in [("script_missing", 5), ("script_disabled", 1), ("raised", 1)] {
            let body = serde_json::json!({"code": "PY_ACTION_FAILED", "message": "m", "details": {"reason": reason}});
            let text = serde_json::json!({"ok": false, "error": body}).to_string();
            assert_eq!(Reply::read(&text).unwrap().outcome().unwrap_err().report(), status, "{reason}");
        }
    }

    #[test]
    fn a_failed_channel_is_told_with_what_to_do_and_where() {
        let text = r#"{"success":false,"code":"VALIDATION_ERROR","userMessage":"Not valid.","remediation":"Check.",
            "data":{"fields":[{"path":"payload.kind","problem":"expected one"}]}}"#;
        let failure = Reply::read(text).unwrap().outcome().unwrap_err();
        assert_eq!(
            failure.text(),
            "VALIDATION_ERROR: Not valid.\n  Check.\n  fields:\n    payload.kind: expected one\n"
        );
    }

    #[test]
    fn what_is_no_envelope_of_ours_is_refused() {
        for text in ["", "[]", "{}", "{\"data\":1}", "+OK"] {
            Reply::read(text).unwrap_err();
        }
    }
}
