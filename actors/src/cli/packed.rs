//! JSON from the command line as MessagePack, and an answer in MessagePack as JSON. Integers up to 64 bits: wider
//! ones, which the wire can carry, are refused here rather than rounded.

use protocol::Format;
use serde_json::Value;

use super::{Error, client};

/// `json`, which is well-formed, in `format`.
pub(crate) fn pack(json: String, format: Format) -> Result<Vec<u8>, Error> {
    match format {
        Format::Json => Ok(json.into_bytes()),
        Format::MessagePack => {
            let value: Value = serde_json::from_str(&json).map_err(Error::Json)?;
            if has_wide_integer(&json) {
                return Err(Error::Usage("an integer beyond 64 bits cannot be sent with --msgpack"));
            }
            rmp_serde::to_vec_named(&value)
                .map_err(|_| Error::Usage("the input cannot be written as MessagePack"))
        }
    }
}

/// The JSON text of an answer in `format`.
pub(crate) fn unpack(body: &[u8], format: Format) -> Result<String, client::Error> {
    let unreadable = |()| client::Error::Unreadable;
    match format {
        Format::Json => String::from_utf8(body.to_vec()).map_err(|_| unreadable(())),
        Format::MessagePack => {
            let value: Value = rmp_serde::from_slice(body).map_err(|_| unreadable(()))?;
            Ok(value.to_string())
        }
    }
}

/// Whether a number outside strings is an integer that fits neither `i64` nor `u64`.
fn has_wide_integer(json: &str) -> bool {
    let mut in_string = false;
    let mut escaped = false;
    let outside = |c: char| {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            return ' ';
        }
        in_string = c == '"';
        c
    };
    let bare: String = json.chars().map(outside).collect();
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    bare.split(|c| !is_number(c)).any(|word| {
        let digits = word.strip_prefix('-').unwrap_or(word);
        let is_integer = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        is_integer && word.parse::<i64>().is_err() && word.parse::<u64>().is_err()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let json = r#"{"a":[1,-2,1.5,18446744073709551615,"é",null,true]}"#;
        for format in [Format::Json, Format::MessagePack] {
            let packed = pack(json.to_owned(), format).unwrap();
            assert_eq!(unpack(&packed, format).unwrap(), json);
        }
    }

    #[test]
    fn an_integer_beyond_64_bits_is_refused_rather_than_rounded() {
        for (json, wide) in [
            ("18446744073709551616", true),
            ("{\"a\": [-9223372036854775809]}", true),
            ("{\"18446744073709551616\": \"18446744073709551616 \\\" 18446744073709551616\"}", false),
            ("1e30", false),
            ("18446744073709551616.5", false),
        ] {
            assert_eq!(pack(json.to_owned(), Format::MessagePack).is_err(), wide, "{json}");
        }
    }
}
