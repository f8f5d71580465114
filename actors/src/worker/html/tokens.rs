//! Cuts HTML into the tokens that a browser would see: tags, text, comments. Borrowed, linear, no tree.
//! What the tags do to each other stands in `outline`; character references are left as they are written.

use super::names::Name;
use memchr::{memchr, memchr_iter, memmem};

/// What the characters up to the next tag are, which the element before them decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Ordinary content, with tags.
    Markup,
    /// Text up to the end tag of this name, without tags (`style`, `title`, `iframe` …).
    Raw(Name),
    /// The same, with the rule that `<!--` hides a script in a script.
    Script,
    /// Text up to the end of the input.
    Plain,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token<'a> {
    /// Text as it is written, never empty.
    Text(&'a str),
    /// A start tag.
    Start(Tag<'a>),
    /// An end tag.
    End(Tag<'a>),
    /// A comment, or what a browser takes for one.
    Comment,
    /// What the parser never sees: a document type, `</>`.
    Nothing,
}

/// A tag, start or end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag<'a> {
    /// Its name, if the parser knows it.
    pub(crate) name: Name,
    /// The name as it is written.
    pub(crate) text: &'a str,
    /// All that stands between the name and the `>`.
    pub(crate) inside: &'a str,
    /// How many attributes that holds; equal names count each.
    pub(crate) attributes: usize,
    /// Whether it ends in `/>`.
    pub(crate) self_closing: bool,
}

impl<'a> Tag<'a> {
    /// The attributes, in order.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.inside)
    }

    /// Whether two names are one to the parser, which reads NUL as U+FFFD.
    pub(crate) fn same_text(a: &str, b: &str) -> bool {
        fn read(text: &str) -> impl Iterator<Item = char> {
            text.chars().map(|char| {
                if char == '\0' { char::REPLACEMENT_CHARACTER } else { char.to_ascii_lowercase() }
            })
        }
        read(a).eq(read(b))
    }
}

/// One attribute as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    /// The name, in any case.
    pub(crate) name: &'a str,
    /// The value without its quotes, references not read.
    pub(crate) value: &'a str,
}

/// Walks over the attributes of a tag up to and with its `>`.
pub(crate) struct Attributes<'a> {
    rest: &'a str,
    closed: Option<bool>,
}

impl<'a> Attributes<'a> {
    fn new(rest: &'a str) -> Self {
        Self { rest, closed: None }
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn take_until(&mut self, stop: impl Fn(u8) -> bool) -> &'a str {
        self.take(self.rest.bytes().position(stop).unwrap_or(self.rest.len()))
    }

    fn value(&mut self) -> &'a str {
        self.take_until(|byte| !is_space(byte));
        match self.rest.bytes().next() {
            Some(quote @ (b'"' | b'\'')) => {
                self.take(1);
                let value = self.take(memchr(quote, self.rest.as_bytes()).unwrap_or(self.rest.len()));
                self.take(1);
                value
            }
            _ => self.take_until(|byte| is_space(byte) || byte == b'>'),
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        loop {
            self.take_until(|byte| !is_space(byte));
            match self.rest.bytes().next()? {
                b'>' => {
                    self.take(1);
                    self.closed = Some(self.closed.is_some());
                    return None;
                }
                b'/' => {
                    self.take(1);
                    if self.rest.starts_with('>') {
                        self.closed = Some(true);
                    }
                }
                _ => break,
            }
        }
        let first = self.rest.chars().next().map_or(0, char::len_utf8);
        let more = self.rest.get(first..).unwrap_or_default();
        let more = more.bytes().position(|byte| is_space(byte) || matches!(byte, b'/' | b'>' | b'='));
        let name = self.take(more.map_or(self.rest.len(), |more| first.saturating_add(more)));
        let spaces = self.rest.bytes().position(|byte| !is_space(byte)).unwrap_or(self.rest.len());
        if self.rest.as_bytes().get(spaces) != Some(&b'=') {
            return Some(Attribute { name, value: "" });
        }
        self.take(spaces.saturating_add(1));
        Some(Attribute { name, value: self.value() })
    }
}

/// Reads one token after the other.
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    content: Content,
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning of `text`, in ordinary content.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, content: Content::Markup }
    }

    /// Where the next token starts, in bytes.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Goes on from `at`, which stands between two characters.
    pub(crate) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// Says what the last start tag made of the characters that follow it.
    pub(crate) fn enter(&mut self, content: Content) {
        self.content = content;
    }

    /// The next token; `None` at the end, also in the midst of a tag, which a browser drops.
    /// `foreign` says that the innermost open element is one of SVG or MathML, where `<![CDATA[` is known.
    pub(crate) fn next(&mut self, foreign: bool) -> Option<Token<'a>> {
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let end = match self.content {
            Content::Markup => return self.markup(rest, foreign),
            Content::Raw(name) => raw_end(rest, name),
            Content::Script => script_end(rest),
            Content::Plain => rest.len(),
        };
        self.content = Content::Markup;
        match self.take(end) {
            "" => self.next(foreign),
            text => Some(Token::Text(text)),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, _) = self.rest().split_at_checked(length).unwrap_or((self.rest(), ""));
        self.at = self.at.saturating_add(taken.len());
        taken
    }

    fn markup(&mut self, rest: &'a str, foreign: bool) -> Option<Token<'a>> {
        let end = memchr_iter(b'<', rest.as_bytes()).find(|at| opens_markup(rest, *at)).unwrap_or(rest.len());
        if end > 0 {
            return Some(Token::Text(self.take(end)));
        }
        if let Some(cdata) = rest.strip_prefix("<![CDATA[").filter(|_| foreign) {
            let length = memmem::find(cdata.as_bytes(), b"]]>").unwrap_or(cdata.len());
            self.take("<![CDATA[".len());
            let text = self.take(length);
            self.take("]]>".len());
            return Some(if text.is_empty() { Token::Nothing } else { Token::Text(text) });
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            self.take(comment_end(comment).saturating_add("<!--".len()));
            return Some(Token::Comment);
        }
        let closing = rest.starts_with("</");
        let inside = rest.get(if closing { 2 } else { 1 }..).unwrap_or_default();
        match inside.bytes().next() {
            Some(byte) if byte.is_ascii_alphabetic() => self.tag(inside, closing),
            first => {
                self.take(memchr(b'>', rest.as_bytes()).map_or(rest.len(), |end| end.saturating_add(1)));
                let doctype = inside.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("!doctype"));
                let nothing = if closing { first == Some(b'>') } else { doctype };
                Some(if nothing { Token::Nothing } else { Token::Comment })
            }
        }
    }

    fn tag(&mut self, inside: &'a str, closing: bool) -> Option<Token<'a>> {
        let end = inside.bytes().position(|byte| is_space(byte) || matches!(byte, b'/' | b'>'));
        let (text, rest) = inside.split_at_checked(end.unwrap_or(inside.len())).unwrap_or((inside, ""));
        let mut walk = Attributes::new(rest);
        let attributes = walk.by_ref().count();
        self.at = self.text.len().saturating_sub(walk.rest.len());
        let self_closing = walk.closed?;
        let inside =
            rest.get(..rest.len().saturating_sub(walk.rest.len().saturating_add(1))).unwrap_or_default();
        let tag = Tag { name: Name::of(text), text, inside, attributes, self_closing };
        Some(if closing { Token::End(tag) } else { Token::Start(tag) })
    }
}

/// The space characters of HTML; a carriage return is read as a line feed.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

fn opens_markup(text: &str, at: usize) -> bool {
    let mut after = text.as_bytes().iter().skip(at.saturating_add(1));
    match after.next() {
        Some(b'/') => after.next().is_some(),
        Some(byte) => byte.is_ascii_alphabetic() || matches!(byte, b'!' | b'?'),
        None => false,
    }
}

fn comment_end(comment: &str) -> usize {
    for abrupt in [">", "->"] {
        if comment.starts_with(abrupt) {
            return abrupt.len();
        }
    }
    let closes = |at: &usize| {
        let before = comment.as_bytes().get(..*at).unwrap_or_default();
        before.ends_with(b"--") || before.ends_with(b"--!")
    };
    memchr_iter(b'>', comment.as_bytes()).find(closes).map_or(comment.len(), |at| at.saturating_add(1))
}

/// Whether `text` goes on with `name` and the end of a tag's name.
fn names(text: &str, name: Name) -> bool {
    let end = text.bytes().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or_default();
    Name::of(word) == name
        && rest.bytes().next().is_some_and(|byte| is_space(byte) || matches!(byte, b'/' | b'>'))
}

fn raw_end(text: &str, name: Name) -> usize {
    let found = memmem::find_iter(text.as_bytes(), b"</")
        .find(|at| names(text.get(at.saturating_add(2)..).unwrap_or_default(), name));
    found.unwrap_or(text.len())
}

/// Where a script ends: `<!--` followed by `<script` hides the next `</script`, until `-->`.
fn script_end(text: &str) -> usize {
    let (mut escaped, mut doubly) = (false, false);
    let mut at = 0_usize;
    while let Some(found) = text.as_bytes().get(at..).and_then(|rest| memchr::memchr2(b'<', b'-', rest)) {
        at = at.saturating_add(found);
        let rest = text.get(at..).unwrap_or_default();
        let word = |prefix: &str| rest.strip_prefix(prefix).is_some_and(|rest| names(rest, Name::Script));
        if escaped && rest.starts_with("-->") {
            (escaped, doubly) = (false, false);
        } else if !doubly && word("</") {
            return at;
        } else if doubly && word("</") {
            doubly = false;
        } else if escaped && !doubly && word("<") {
            doubly = true;
        } else if !escaped && rest.starts_with("<!--") {
            // The two dashes may already be those of the `-->`.
            escaped = true;
            at = at.saturating_add(1);
        }
        at = at.saturating_add(1);
    }
    text.len()
}

#[cfg(test)]
mod tests;
