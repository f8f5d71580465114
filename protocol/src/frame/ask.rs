//! Bodies of the frames by which a running call asks the node for something and hears of it. All bear the call's
//! sequence. What is asked for, and who answers it, is the node's business.

use serde::{Deserialize, Serialize};

/// The one action that a cell may ask for; it takes the capability `llm`.
pub const COMPLETE: &str = "llm.complete";

/// Most questions of one call that wait for their answers.
pub const MOST: usize = 16;

/// Largest payload of a question, in bytes.
pub const LARGEST_PAYLOAD: usize = 1 << 20;

/// Largest data of an answer, in bytes: a frame holds them and what is around them.
pub const LARGEST_DATA: usize = super::LARGEST - 1024;

/// `Ask`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ask<'a> {
    /// The question's number, unlike that of every other question of this call.
    pub ask: u32,
    /// What is to be done; [`COMPLETE`].
    pub action: &'a str,
    /// One object in MessagePack.
    #[serde(borrow)]
    pub payload: &'a serde_bytes::Bytes,
}

/// `Drop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dropped {
    /// The question's number.
    pub ask: u32,
}

/// `Answer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer<'a> {
    /// The question's number.
    pub ask: u32,
    /// What came of it.
    #[serde(borrow)]
    pub outcome: Outcome<'a>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome<'a> {
    /// The action's data: one value in MessagePack.
    #[serde(borrow)]
    Data(&'a serde_bytes::Bytes),
    /// It failed.
    Failed(Failed),
}

/// How a question failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failed {
    /// The code of the failure.
    pub code: String,
    /// The machine-readable cause below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The code's own text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `Cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    #[test]
    fn an_answer_survives_with_its_data_borrowed() {
        let failed = Failed { code: "UNAVAILABLE".into(), reason: None, message: Some("away".into()) };
        for outcome in [Outcome::Data(serde_bytes::Bytes::new(b"\x81\x01\x02")), Outcome::Failed(failed)] {
            let mut out = Vec::new();
            let answer = Answer { ask: 7, outcome };
            frame::write(&mut out, frame::Operation::Answer, 3, &answer).unwrap();
            assert_eq!(frame::borrow::<Answer<'_>>(&out[frame::HEADER..]), Ok(answer));
        }
    }

    #[test]
    fn a_cancel_says_nothing_but_its_sequence() {
        let mut out = Vec::new();
        frame::write(&mut out, frame::Operation::Cancel, 3, &Cancel {}).unwrap();
        assert_eq!(out[frame::HEADER..], [0x80]);
        assert_eq!(frame::read::<Cancel>(&[0x81, 0xa1, b'a', 1]), Err(frame::Error::Body));
    }
}
