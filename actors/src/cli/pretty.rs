//! Lays out JSON text for people or programs without reading its values: numbers of any size, the order of keys and
//! the spelling of strings stay as they came.

/// The well-formed `text` with line breaks and indentation, or without any white space.
pub(crate) fn json(text: &str, indented: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line = Line { indented, depth: 0 };
    let mut in_string = false;
    let mut escaped = false;
    let mut opened = false;
    for c in text.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        line.depth = line.depth.saturating_sub(usize::from(closes));
        // An empty container stays on its line.
        if opened != closes {
            line.feed(&mut out);
        }
        out.push(c);
        opened = matches!(c, '{' | '[');
        line.depth += usize::from(opened);
        match c {
            ',' => line.feed(&mut out),
            ':' if indented => out.push(' '),
            '"' => in_string = true,
            _ => {}
        }
    }
    out
}

struct Line {
    indented: bool,
    depth: usize,
}

impl Line {
    fn feed(&self, out: &mut String) {
        if self.indented {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#" { "b" : [ 1.50 , -123456789012345678901234567890 , { } , [ ] ] , "a" : "x \" , {\\" , "c":{"d":null}} "#;

    #[test]
    fn people_get_lines_and_values_stay_as_they_came() {
        let expected = r#"{
  "b": [
    1.50,
    -123456789012345678901234567890,
    {},
    []
  ],
  "a": "x \" , {\\",
  "c": {
    "d": null
  }
}"#;
        assert_eq!(json(TEXT, true), expected);
    }

    #[test]
    fn programs_get_one_line_without_white_space() {
        let expected =
            r#"{"b":[1.50,-123456789012345678901234567890,{},[]],"a":"x \" , {\\","c":{"d":null}}"#;
        assert_eq!(json(TEXT, false), expected);
        assert_eq!(json(&json(TEXT, true), false), expected);
        for scalar in ["1", "\"a b\"", "null", "{}", "[]"] {
            assert_eq!(json(scalar, true), scalar);
        }
    }
}
