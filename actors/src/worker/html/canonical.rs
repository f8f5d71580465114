//! HTML with nothing in it that the cleaner would take out, written nearly as the cleaner would write it: what scripts make
//! from templates. It need not be made into a tree and written anew; a few edits do.
//!
//! Whatever is not surely the same after these edits as after cleaning is cleaned. The tests and the fuzzer hold every
//! text that is taken here to what the cleaner makes of it.

use super::limits::{self, Exceeded, Limits};
use super::tokens::{Attribute, Tag, Token};
use ammonia::Url;
use std::borrow::Cow;

/// What the cleaner puts at the end of each link's tag.
const REL: &str = " rel=\"noopener noreferrer\"";

/// Text that needs more edits is left to the cleaner.
const MOST_EDITS: usize = 16 * 1024;

/// Character references, and how the cleaner writes what they stand for: in text and in an attribute.
const REFERENCES: &[(&str, &str, &str)] = &[
    ("&amp;", "&amp;", "&amp;"),
    ("&lt;", "&lt;", "&lt;"),
    ("&gt;", "&gt;", "&gt;"),
    ("&nbsp;", "&nbsp;", "&nbsp;"),
    ("&quot;", "\"", "&quot;"),
    ("&#34;", "\"", "&quot;"),
    ("&#39;", "'", "'"),
    ("&#x27;", "'", "'"),
];

/// What stands at `start` to `end` becomes `text`.
#[derive(Debug)]
struct Edit {
    start: usize,
    end: usize,
    text: &'static str,
}

/// What the cleaner makes of `html` within `limits`; `None` if only the cleaner can tell.
///
/// # Errors
///
/// [`Exceeded`] when the HTML is over the limits.
pub(super) fn cleaned<'a>(html: &'a str, limits: &Limits) -> Result<Option<Cow<'a, str>>, Exceeded> {
    let mut seen = Canonical { is: true, limits, seen: 0, links: 0, edits: Vec::new() };
    let survey = limits::survey_with(html, limits, |token, end| seen.see(token, end))?;
    if !seen.is || !survey.regular || seen.seen != html.len() {
        return Ok(None);
    }
    Ok(seen.edited(html).filter(|cleaned| limits.hold(cleaned, &survey, seen.links)))
}

/// What was seen so far of a text.
#[derive(Debug)]
struct Canonical<'a> {
    is: bool,
    limits: &'a Limits,
    /// Where the last token ended. What follows is no token: a tag without an end, which is dropped.
    seen: usize,
    /// Links, each of which gets an attribute.
    links: usize,
    edits: Vec<Edit>,
}

impl Canonical<'_> {
    /// Looks at the next token, which ends at the byte `end`.
    fn see(&mut self, token: &Token<'_>, end: usize) {
        self.seen = end;
        if self.is {
            self.is = match token {
                Token::Start(tag) => self.start(tag, end),
                Token::End(tag) => tag.inside.is_empty() && !tag.self_closing,
                Token::Text(text) => self.text(text, end.saturating_sub(text.len()), false),
                Token::Comment | Token::Nothing => false,
            };
        }
    }

    /// `html` with the edits made.
    fn edited<'a>(&self, html: &'a str) -> Option<Cow<'a, str>> {
        if self.edits.is_empty() {
            return Some(Cow::Borrowed(html));
        }
        let mut out = String::with_capacity(html.len() + self.edits.len() * REL.len());
        let mut at = 0;
        for edit in &self.edits {
            out.push_str(html.get(at..edit.start)?);
            out.push_str(edit.text);
            at = edit.end;
        }
        out.push_str(html.get(at..)?);
        Some(Cow::Owned(out))
    }

    /// A start tag: whether it stays, with attributes that stay, each after one space and in double quotes.
    fn start(&mut self, tag: &Tag<'_>, end: usize) -> bool {
        if tag.self_closing || !is_element(tag.text) {
            return false;
        }
        let close = end.saturating_sub(1);
        let mut rest = tag.inside;
        for (number, attribute) in tag.attributes().enumerate() {
            let again = tag.attributes().take(number).any(|earlier| earlier.name == attribute.name);
            let after = rest.strip_prefix(' ').and_then(|rest| rest.strip_prefix(attribute.name));
            let Some(value) = after.and_then(|rest| rest.strip_prefix("=\"")) else { return false };
            let start = close.saturating_sub(value.len());
            let behind = value.strip_prefix(attribute.value).and_then(|rest| rest.strip_prefix('"'));
            let Some(behind) = behind.filter(|_| !again && self.stays(tag.text, &attribute, start)) else {
                return false;
            };
            rest = behind;
        }
        if tag.text == "a" {
            if tag.attributes >= self.limits.attributes {
                return false;
            }
            self.links += 1;
            return rest.is_empty() && self.edit(close, close, REL);
        }
        rest.is_empty()
    }

    /// Notes an edit; whether there may be so many.
    fn edit(&mut self, start: usize, end: usize, text: &'static str) -> bool {
        self.edits.push(Edit { start, end, text });
        self.edits.len() <= MOST_EDITS
    }

    /// Whether an attribute of `element` stays, whose value begins at `start`.
    fn stays(&mut self, element: &str, attribute: &Attribute<'_>, start: usize) -> bool {
        match (element, attribute.name) {
            ("img", "src") | ("a", "href") => is_address(attribute.value),
            (_, "class" | "title" | "lang")
            | ("img", "alt" | "width" | "height")
            | ("td" | "th", "colspan" | "rowspan") => self.text(attribute.value, start, true),
            (_, name) => is_data(name) && self.text(attribute.value, start, true),
        }
    }

    /// Whether `text`, which begins at `start`, stays or becomes what the cleaner writes by edits.
    fn text(&mut self, text: &str, start: usize, in_attribute: bool) -> bool {
        let mut at = 0;
        while let Some(found) = text.get(at..).and_then(|rest| rest.bytes().position(is_special)) {
            at += found;
            let rest = text.get(at..).unwrap_or_default();
            let (length, written) = match rest.chars().next() {
                Some('"') if !in_attribute => (1, None),
                Some('>') if !in_attribute => (1, Some("&gt;")),
                Some('&') => {
                    let Some((reference, of_text, of_attribute)) =
                        REFERENCES.iter().find(|(reference, ..)| rest.starts_with(reference))
                    else {
                        return false;
                    };
                    let written = if in_attribute { of_attribute } else { of_text };
                    (reference.len(), Some(*written).filter(|written| written != reference))
                }
                // A no-break space is written as a reference, a byte order mark may be dropped.
                Some(other) if !other.is_ascii() && !matches!(other, '\u{a0}' | '\u{feff}') => {
                    (other.len_utf8(), None)
                }
                _ => return false,
            };
            if written.is_some_and(|written| !self.edit(start + at, start + at + length, written)) {
                return false;
            }
            at += length;
        }
        true
    }
}

/// Whether an element stays that has no rules for its text and line ends. How elements may stand in each other is read in
/// `outline`.
fn is_element(name: &str) -> bool {
    matches!(
        name,
        "a" | "abbr"
            | "article"
            | "aside"
            | "b"
            | "blockquote"
            | "br"
            | "caption"
            | "cite"
            | "code"
            | "dd"
            | "del"
            | "div"
            | "dl"
            | "dt"
            | "em"
            | "figcaption"
            | "figure"
            | "footer"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "i"
            | "img"
            | "ins"
            | "kbd"
            | "li"
            | "mark"
            | "nav"
            | "ol"
            | "p"
            | "q"
            | "s"
            | "samp"
            | "small"
            | "span"
            | "strong"
            | "sub"
            | "sup"
            | "table"
            | "tbody"
            | "td"
            | "th"
            | "thead"
            | "time"
            | "tr"
            | "u"
            | "ul"
            | "var"
            | "wbr"
    )
}

/// Whether an attribute is one of those that pages keep for scripts of their own.
fn is_data(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.strip_prefix("data-").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain))
}

/// Whether an address stays: a path, or an absolute one of the web, without anything that is read in more than one way.
fn is_address(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'&' | b'"' | b'<' | b'>' | b'\\');
    let is_path = value.starts_with('/') && !value.starts_with("//");
    let on_the_web = || {
        let web = value.starts_with("https://") || value.starts_with("http://");
        web && Url::parse(value).is_ok()
    };
    value.bytes().all(plain) && (is_path || on_the_web())
}

/// Whether a byte cannot be passed over at a glance: what is written in another way, what is dropped or replaced, and the
/// first bytes of a no-break space and a byte order mark.
const fn is_special(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | b'"' | 0xc2 | 0xef | 0..=8 | 11..=31 | 127)
}

#[cfg(test)]
mod tests;
