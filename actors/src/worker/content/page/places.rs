//! Placeholders: random words that keep the macros' places while the page is rendered and cleaned, and the cuts where
//! they come out again. What goes there stands in `page`.

use super::super::Format;
use super::super::syntax::Found;
use crate::worker::html::{Token, Tokens};
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::ops::Range;

/// A part of the page, in order.
#[derive(Debug)]
pub(super) enum Part {
    /// The author's HTML, in bytes of it.
    Author(Range<usize>),
    /// A macro between tags.
    Text(usize),
    /// A macro in a tag.
    Attribute(usize),
    /// A paragraph that holds macros and spaces only.
    Paragraph(Vec<Part>),
}

/// A placeholder: where it stands and which macro it is for.
type Hit = (Range<usize>, usize);

/// What the placeholders of one rendering begin with: letters and digits, which neither markdown nor the cleaning
/// changes, and which nobody can foretell.
pub(super) struct Word {
    text: String,
    finder: Finder<'static>,
}

impl Word {
    pub(super) fn random() -> Self {
        let text = format!("macro{}x", uuid::Uuid::new_v4().simple());
        let finder = Finder::new(text.as_bytes()).into_owned();
        Self { text, finder }
    }

    /// The content with a placeholder for each macro. In HTML the backslash that escapes one goes, as in markdown the
    /// renderer drops it.
    pub(super) fn fill<'a>(&self, content: &'a str, found: &Found, format: Format) -> Cow<'a, str> {
        let mut gaps: Vec<(Range<usize>, String)> = Vec::new();
        for (index, call) in found.macros.iter().enumerate() {
            gaps.push((call.span.clone(), format!("{}{index}z", self.text)));
        }
        if format == Format::Html {
            gaps.extend(found.escapes.iter().map(|at| (*at..at.saturating_add(1), String::new())));
            gaps.sort_by_key(|(range, _)| range.start);
        }
        if gaps.is_empty() { Cow::Borrowed(content) } else { Cow::Owned(replace(content, &gaps)) }
    }

    /// The text with the macros' sources back in their places, if it holds any.
    pub(super) fn restore(&self, text: &str, sources: &[&str]) -> Option<String> {
        let source = |index: usize| sources.get(index).copied().unwrap_or_default();
        let gaps: Vec<(Range<usize>, &str)> =
            self.hits(text).map(|(range, index)| (range, source(index))).collect();
        (!gaps.is_empty()).then(|| replace(text, &gaps))
    }

    /// Cuts the cleaned page at its placeholders.
    pub(super) fn cut(&self, html: &str) -> Vec<Part> {
        let mut hits = self.hits(html).peekable();
        let mut cuts = Cuts { at: 0, parts: Vec::new() };
        let mut tokens = Tokens::new(html);
        while hits.peek().is_some() {
            let start = tokens.position();
            let Some(token) = tokens.next(false) else { break };
            let range = start..tokens.position();
            let mut inside: Vec<Hit> = Vec::new();
            while let Some(hit) = hits.next_if(|(hit, _)| hit.start < range.end) {
                inside.push(hit);
            }
            match token {
                _ if inside.is_empty() => {}
                Token::Text(_) if is_alone(html, &range, &inside) => cuts.paragraph(&range, inside),
                Token::Text(_) => cuts.all(inside, Part::Text),
                _ => cuts.all(inside, Part::Attribute),
            }
        }
        cuts.author(html.len());
        cuts.parts
    }

    fn hits<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Hit> + 'a {
        let mut from = 0_usize;
        std::iter::from_fn(move || {
            let start = from.saturating_add(self.finder.find(text.as_bytes().get(from..)?)?);
            let digits = start.saturating_add(self.text.len());
            let (index, _) = text.get(digits..)?.split_once('z')?;
            from = digits.saturating_add(index.len()).saturating_add(1);
            Some((start..from, index.parse().ok()?))
        })
    }
}

/// The cuts made so far.
struct Cuts {
    at: usize,
    parts: Vec<Part>,
}

impl Cuts {
    fn author(&mut self, end: usize) {
        if end > self.at {
            self.parts.push(Part::Author(self.at..end));
        }
        self.at = end;
    }

    fn all(&mut self, hits: Vec<Hit>, part: impl Fn(usize) -> Part) {
        for (range, index) in hits {
            self.author(range.start);
            self.parts.push(part(index));
            self.at = range.end;
        }
    }

    /// A text that fills a paragraph: the tags around it are left to the splicing.
    fn paragraph(&mut self, text: &Range<usize>, hits: Vec<Hit>) {
        self.author(text.start.saturating_sub("<p>".len()));
        let mut inner = Cuts { at: text.start, parts: Vec::new() };
        inner.all(hits, Part::Text);
        inner.author(text.end);
        self.parts.push(Part::Paragraph(inner.parts));
        self.at = text.end.saturating_add("</p>".len());
    }
}

/// Whether a text is placeholders and spaces only and all that a paragraph without attributes holds. In cleaned HTML
/// no attribute ends in `<p>`, so that the bytes before it tell.
fn is_alone(html: &str, text: &Range<usize>, hits: &[Hit]) -> bool {
    let before = html.get(..text.start).unwrap_or_default();
    let after = html.get(text.end..).unwrap_or_default();
    let blank = |range: Range<usize>| html.get(range).is_some_and(|between| between.trim().is_empty());
    let mut at = text.start;
    let blanks = hits.iter().all(|(hit, _)| blank(std::mem::replace(&mut at, hit.end)..hit.start));
    before.ends_with("<p>") && after.starts_with("</p>") && blanks && blank(at..text.end)
}

fn replace<Text: AsRef<str>>(text: &str, gaps: &[(Range<usize>, Text)]) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut at = 0;
    for (range, with) in gaps {
        replaced.push_str(text.get(at..range.start).unwrap_or_default());
        replaced.push_str(with.as_ref());
        at = range.end;
    }
    replaced.push_str(text.get(at..).unwrap_or_default());
    replaced
}
