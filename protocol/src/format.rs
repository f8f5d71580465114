//! The two encodings of a message body and the header values that name them. Reading and writing live in `raw` and `writer`.

use serde::{Deserialize, Serialize};

/// How a message body is encoded. JSON is the default; MessagePack is asked for by `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 8259.
    #[default]
    Json,
    /// The MessagePack specification, maps with string keys.
    #[serde(rename = "msgpack")]
    MessagePack,
}

/// Name of the header that selects a format. NATS headers are case-sensitive; other spellings are read too.
pub const CONTENT_TYPE: &str = "Content-Type";

impl Format {
    /// The media type that a reply in this format bears.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MessagePack => "application/msgpack",
        }
    }

    /// The format that a `Content-Type` asks for; `None` for a media type that nobody here reads.
    /// Parameters (`; charset=utf-8`) are ignored, as RFC 9110 asks of types without any.
    #[must_use]
    pub fn from_content_type(value: &str) -> Option<Self> {
        let media = value.split(';').next().unwrap_or_default().trim();
        match media.to_ascii_lowercase().as_str() {
            "" | "application/json" | "text/json" | "text/plain" => Some(Self::Json),
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => {
                Some(Self::MessagePack)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_read_without_regard_to_case_and_parameters() {
        assert_eq!(Format::from_content_type("Application/JSON; charset=utf-8"), Some(Format::Json));
        assert_eq!(Format::from_content_type("application/msgpack"), Some(Format::MessagePack));
        assert_eq!(Format::from_content_type("application/xml"), None);
    }
}
