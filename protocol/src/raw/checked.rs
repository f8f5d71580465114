//! A value that is carried through unread but must be of a type.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::object::Object;
use super::{Raw, Slice};
use crate::format::Format;
use crate::problem::Problem;

/// The name under which a type asks our reader of JSON for a value and then for its bytes.
pub(super) const CHECKED: &str = "$callboard::checked";

/// An encoded object that has to be a `T`. Our reader of JSON sees to that where it passes over the value; where another has read it,
/// [`Checked::raw`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked<'a, T> {
    raw: Raw<'a>,
    is_checked: bool,
    of: PhantomData<T>,
}

impl<'a, T: Deserialize<'a>> Checked<'a, T> {
    /// The value, which is a `T`; `root` is its path in messages.
    ///
    /// # Errors
    /// Says where it is none.
    pub fn raw(self, root: impl std::fmt::Display) -> Result<Raw<'a>, Problem> {
        if !self.is_checked {
            super::read_object::<T>(self.raw.format, self.raw.bytes, &root.to_string())?;
        }
        Ok(self.raw)
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Checked<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let format = if deserializer.is_human_readable() { Format::Json } else { Format::MessagePack };
        let (bytes, is_checked) =
            deserializer.deserialize_newtype_struct(CHECKED, Both { format, of: PhantomData::<T> })?;
        Ok(Self { raw: Raw { format, bytes }, is_checked, of: PhantomData })
    }
}

/// Takes the value and its bytes, or the bytes alone; and whether there was the value too.
struct Both<T> {
    format: Format,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Both<T> {
    type Value = (&'de [u8], bool);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut both: A) -> Result<Self::Value, A::Error> {
        let value = both.next_element::<Object<T>>()?;
        let bytes = both.next_element::<&[u8]>()?;
        match (value, bytes) {
            (Some(_), Some(bytes)) => Ok((bytes, true)),
            _ => Err(de::Error::custom("a value and its bytes are expected")),
        }
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok((bytes, false))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let slice = Slice { format: self.format };
        slice.visit_newtype_struct(deserializer).map(|bytes| (bytes, false))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Checked<'_, T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::abi::Context;

    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        context: Checked<'a, Context<'a>>,
        #[serde(borrow)]
        rest: Option<Vec<Checked<'a, Context<'a>>>>,
    }

    /// The context as it was passed on, or where it is wrong; and whether our reader of JSON has seen to that.
    fn passed(format: Format, body: &[u8]) -> Result<(Vec<u8>, bool), Problem> {
        let request: Request<'_> = super::super::read_object(format, body, "payload")?;
        for (number, context) in request.rest.into_iter().flatten().enumerate() {
            context.raw(format_args!("payload.rest[{number}]"))?;
        }
        let is_checked = request.context.is_checked;
        request.context.raw("payload.context").map(|raw| (raw.bytes().to_owned(), is_checked))
    }

    const RIGHT: &str =
        r#"{"env": {"isPreview":true, "source":{"kind":"p\u00f6st"}}, "params":{"a":[1,{}]},"data":null }"#;

    #[test]
    fn what_is_right_is_passed_on_as_it_came() {
        let body = format!("{{\"rest\":[{RIGHT} ,\n {RIGHT}],\"context\" : {RIGHT} }}");
        assert_eq!(passed(Format::Json, body.as_bytes()), Ok((RIGHT.as_bytes().to_owned(), true)));
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        let context = rmp_serde::to_vec_named(&value["context"]).unwrap();
        let packed = rmp_serde::to_vec_named(&value).unwrap();
        assert_eq!(passed(Format::MessagePack, &packed), Ok((context, false)));
    }

    #[test]
    fn what_is_wrong_is_named_as_if_it_had_been_read_by_itself() {
        let deep = format!(
            "{{\"env\":{{\"isPreview\":true}},\"data\":{{\"a\":{}1{}}}}}",
            "[".repeat(130),
            "]".repeat(130)
        );
        let wrong = [
            ("{}", "payload.context"),
            ("[]", "payload.context"),
            ("null", "payload.context"),
            (r#"{"env":{"isPreview":1}}"#, "payload.context.env.isPreview"),
            (r#"{"env":[true]}"#, "payload.context.env"),
            (r#"{"env":{"isPreview":true},"more":1}"#, "payload.context.more"),
            (r#"{"env":{"isPreview":true},"params":{"a":"\ud800"}}"#, "payload.context"),
            (&deep, "payload"),
        ];
        for (wrong, path) in wrong {
            let body = format!("{{\"context\":{wrong}}}");
            let problem = passed(Format::Json, body.as_bytes()).unwrap_err();
            assert_eq!(problem.path, path, "{wrong}: {problem}");
            let rest = format!("{{\"context\":{RIGHT},\"rest\":[{RIGHT},{wrong}]}}");
            let path = path.replace("payload.context", "payload.rest[1]");
            let problem = passed(Format::Json, rest.as_bytes()).unwrap_err();
            assert_eq!(problem.path, path, "{wrong}: {problem}");
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&body) {
                let packed = rmp_serde::to_vec_named(&value).unwrap();
                let problem = passed(Format::MessagePack, &packed).unwrap_err();
                assert!(problem.path.starts_with("payload"), "{wrong}: {problem}");
            }
        }
    }
}
