//! Parts of an answer, as they come before its terminal reply where a caller asks for them (`stream: true`). How they are
//! sent is the bus's business.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::envelope::RequestId;
use crate::format::Format;
use crate::writer::Writer;

/// Most bytes of text in the parts of one answer. What is beyond that stands in the terminal reply only.
pub const MOST_TEXT: usize = 1 << 20;

/// A part. One whose text is empty says only that the call goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StreamPart")]
pub struct Part<'a> {
    /// The request that it belongs to.
    pub request_id: RequestId,
    /// Its number, from 0 without gaps.
    pub seq: u64,
    /// Whether it is the first.
    pub kind: Kind,
    /// What the text is.
    pub channel: Channel,
    /// The text.
    pub text: Cow<'a, str>,
    /// What whoever cancels the call must show; with the first part only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Cow<'a, str>>,
}

impl Part<'_> {
    /// The bytes of its message.
    #[must_use]
    pub fn write(&self, format: Format) -> Vec<u8> {
        let mut writer = Writer::new(format, self.text.len() + 160);
        writer.value(self);
        writer.finish()
    }
}

/// Whether a part is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "StreamPartKind")]
pub enum Kind {
    /// The first: the call was taken.
    Start,
    /// Any other.
    Chunk,
}

/// What the text of a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "StreamChannel")]
pub enum Channel {
    /// A piece of what the answer will be.
    Content,
    /// A piece of a model's reasoning.
    Reasoning,
    /// About the stream itself.
    Meta,
    /// What a script has printed.
    Stdout,
    /// What a script has printed on standard error.
    Stderr,
}

/// What of a text fits into so many bytes, cut at a character's border.
#[must_use]
pub fn head(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_as_it_was_written_in_both_formats() {
        let part = Part {
            request_id: RequestId::new("r").unwrap(),
            seq: 7,
            kind: Kind::Chunk,
            channel: Channel::Stdout,
            text: "größe\n\"x\"".into(),
            token: None,
        };
        let json = part.write(Format::Json);
        assert_eq!(serde_json::from_slice::<Part<'_>>(&json).unwrap(), part);
        let text = r#"{"requestId":"r","seq":7,"kind":"chunk","channel":"stdout","text":"größe\n\"x\""}"#;
        assert_eq!(String::from_utf8(json).unwrap(), text);
        assert_eq!(rmp_serde::from_slice::<Part<'_>>(&part.write(Format::MessagePack)).unwrap(), part);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!([0, 1, 2, 3, 9].map(|bytes| head("aöb", bytes)), ["", "a", "a", "aö", "aöb"]);
    }
}
