//! Reads one macro from its first bracket on. Knows nothing of what stands around it.

use super::{MAX_PARAMS, Macro, TooMany, Value};

/// Reads on from a place in the content.
pub(super) struct Reader<'a> {
    content: &'a str,
    start: usize,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at `start`, where `[[` stands.
    pub(super) fn new(content: &'a str, start: usize) -> Self {
        Self { content, start, at: start.saturating_add(2) }
    }

    /// How far the reader came, in bytes from the start.
    #[cfg(test)]
    pub(super) fn read(&self) -> usize {
        self.at - self.start
    }

    /// The macro; `None` if what stands there is not one.
    pub(super) fn call(&mut self) -> Result<Option<Macro>, TooMany> {
        let name = self.word(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() {
            return Ok(None);
        }
        let mut params = Vec::new();
        let mut too_many = false;
        loop {
            let Some(spaces) = self.spaces() else { return Ok(None) };
            if self.rest().starts_with("]]") {
                self.at = self.at.saturating_add(2);
                let call = Macro { span: self.start..self.at, name: name.to_owned(), params };
                return if too_many { Err(TooMany::Params) } else { Ok(Some(call)) };
            }
            let Some((key, value)) = self.param().filter(|_| spaces > 0) else { return Ok(None) };
            if let Some((_, known)) = params.iter_mut().find(|(known, _)| known == key) {
                *known = value;
            } else if params.len() < MAX_PARAMS {
                params.push((key.to_owned(), value));
            } else {
                too_many = true;
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.content.get(self.at..).unwrap_or_default()
    }

    fn word(&mut self, class: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !class(byte)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(end);
        rest.get(..end).unwrap_or_default()
    }

    /// How many spaces follow; `None` if there is an empty line among them.
    fn spaces(&mut self) -> Option<usize> {
        let spaces = self.word(|byte| byte.is_ascii_whitespace());
        (!has_blank_line(spaces)).then_some(spaces.len())
    }

    fn param(&mut self) -> Option<(&'a str, Value)> {
        let key = self.word(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if key.is_empty() {
            return None;
        }
        if !self.rest().starts_with('=') {
            return Some((key, Value::Bool(true)));
        }
        self.at = self.at.saturating_add(1);
        let value = match self.rest().chars().next()? {
            quote @ ('"' | '\'') => Value::Text(self.quoted(quote)?),
            _ => {
                let bare = self
                    .word(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'[' | b']'));
                typed(bare)?
            }
        };
        Some((key, value))
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let inside = self.rest().get(1..)?;
        let mut value = String::new();
        let mut line_is_blank = false;
        let mut chars = inside.char_indices().peekable();
        while let Some((at, char)) = chars.next() {
            self.at = self.at.saturating_add(char.len_utf8());
            if char == quote {
                self.at = self.at.saturating_add(1);
                return Some(value);
            }
            if ends_line(char, inside.get(at.saturating_add(1)..)) {
                if line_is_blank {
                    return None;
                }
                line_is_blank = true;
            } else if !char.is_ascii_whitespace() {
                line_is_blank = false;
            }
            match chars.next_if(|(_, next)| char == '\\' && matches!(next, '"' | '\'' | '\\')) {
                Some((_, escaped)) => {
                    self.at = self.at.saturating_add(1);
                    value.push(escaped);
                }
                None => value.push(char),
            }
        }
        None
    }
}

/// A line ends with a line feed, or with a carriage return that has none after it.
fn ends_line(char: char, after: Option<&str>) -> bool {
    char == '\n' || (char == '\r' && !after.is_some_and(|after| after.starts_with('\n')))
}

fn has_blank_line(spaces: &str) -> bool {
    spaces
        .char_indices()
        .filter(|(at, char)| ends_line(*char, spaces.get(at.saturating_add(1)..)))
        .nth(1)
        .is_some()
}

/// The value of a word without quotes; `None` for an empty one.
fn typed(bare: &str) -> Option<Value> {
    let digits = bare.strip_prefix('-').unwrap_or(bare);
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = match (bare, digits.split_once('.')) {
        ("", _) => return None,
        ("true", _) => Value::Bool(true),
        ("false", _) => Value::Bool(false),
        (_, None) if all_digits(digits) && (digits == "0" || !digits.starts_with('0')) => {
            Value::Int(bare.to_owned())
        }
        (_, Some((whole, fraction))) if all_digits(whole) && all_digits(fraction) => {
            match bare.parse::<f64>() {
                Ok(number) if number.is_finite() => Value::Float(number),
                _ => Value::Text(bare.to_owned()),
            }
        }
        _ => Value::Text(bare.to_owned()),
    };
    Some(value)
}
