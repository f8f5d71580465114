//! Text that is carried through unread.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer};

use super::Raw;
use crate::format::Format;
use crate::problem::{Problem, safe};

/// A value that is text, of which only that is known: its escapes are read once somebody wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(Raw<'a>);

impl<'a> Text<'a> {
    /// What it says; `path` is where it stands in messages.
    ///
    /// # Errors
    /// It is no text; what was read as one always is.
    pub fn read(self, path: &str) -> Result<Cow<'a, str>, Problem> {
        #[derive(serde::Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        let Raw { format, bytes } = self.0;
        super::read::<Borrowed<'a>>(format, bytes, path).map(|Borrowed(text)| text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        let is_text = match (raw.format, raw.bytes.first()) {
            (Format::Json, first) => first == Some(&b'"'),
            (Format::MessagePack, first) => matches!(first, Some(0xa0..=0xbf | 0xd9..=0xdb)),
        };
        if is_text { Ok(Self(raw)) } else { Err(safe("expected a string")) }
    }
}

impl schemars::JsonSchema for Text<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}
