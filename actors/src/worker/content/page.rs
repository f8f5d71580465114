//! Renders a page around its macros: random words stand in their places while the author's text is rendered and
//! cleaned, and the macros' HTML is put there last, so that neither can reach into the other. Running the macros and
//! cleaning what they give is the caller's part.

mod render;

use super::Format;
use super::syntax::{self, Macro, TooMany};
use crate::worker::html::{self, Cleaner, Name, Token, Tokens, escape, limits};
use limits::{Exceeded, Limit};
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::ops::Range;

/// The page could not be made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It holds too many macros, or one too many parameters.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Its HTML is over the limits.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
}

/// Where a macro came to stand in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between tags: its HTML goes there.
    Text,
    /// In a tag, such as the title of a link: no HTML can go there, its source text stays. Nothing needs to be run.
    Misplaced,
    /// Nowhere: it stood in something that rendering or cleaning took out, or that turned out to be code.
    Gone,
}

/// A macro of the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// What the author wrote.
    pub call: Macro,
    /// Where it stands.
    pub place: Place,
}

/// What goes into a macro's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// HTML that was cleaned with [`html::clean`] or made by [`super::marker`].
    Html(String),
    /// The macro as the author wrote it.
    Source,
}

/// A page, rendered and cleaned, with its macros' places open.
#[derive(Debug)]
pub struct Page {
    html: String,
    parts: Vec<Part>,
    macros: Vec<Placed>,
    sources: Vec<String>,
}

/// A part of the page, in order.
#[derive(Debug)]
enum Part {
    /// The author's HTML, in bytes of it.
    Author(Range<usize>),
    /// A macro between tags.
    Text(usize),
    /// A macro in a tag.
    Attribute(usize),
    /// A paragraph that holds macros and spaces only.
    Paragraph(Vec<Part>),
}

impl Page {
    /// Finds the macros, renders the content and cleans it.
    ///
    /// # Errors
    ///
    /// [`Error`] when there are too many macros or the author's HTML is over [`limits::PAGE`].
    pub fn new(content: &str, format: Format, cleaner: &Cleaner) -> Result<Self, Error> {
        let found = syntax::scan(content, format)?;
        let word = format!("macro{}x", uuid::Uuid::new_v4().simple());
        let filled = fill(content, &found, format, &word);
        let sources: Vec<&str> =
            found.macros.iter().map(|call| content.get(call.span.clone()).unwrap_or_default()).collect();
        let rendered = match format {
            Format::Html => filled,
            Format::Markdown => {
                let restore = |text: &str| restore(text, &word, &sources);
                Cow::Owned(render::markdown(&filled, restore, limits::PAGE.bytes)?)
            }
        };
        let html = html::clean_author(&rendered, cleaner)?.into_owned();
        let parts = cut(&html, &word);
        let shown = sources.iter().map(|source| shown(source, format)).collect();
        let mut macros: Vec<Placed> =
            found.macros.into_iter().map(|call| Placed { call, place: Place::Gone }).collect();
        place(&parts, &mut macros);
        Ok(Self { html, parts, macros, sources: shown })
    }

    /// The macros in the order of the content.
    pub fn macros(&self) -> &[Placed] {
        &self.macros
    }

    /// Puts a piece into each macro's place, in the order of [`Page::macros`]; where there are fewer pieces, the
    /// macro stays as it stands. A paragraph that holds nothing but macros is left out around them when one of them
    /// gives a block (an element that would end the paragraph) or all of them give nothing; else it stays.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] when the page would be over [`limits::PAGE`]'s result.
    pub fn splice(self, pieces: Vec<Piece>) -> Result<String, Exceeded> {
        let mut out = Output { page: &self, pieces: &pieces, html: String::with_capacity(self.html.len()) };
        out.write(&self.parts)?;
        Ok(out.html)
    }
}

struct Output<'a> {
    page: &'a Page,
    pieces: &'a [Piece],
    html: String,
}

impl<'a> Output<'a> {
    fn write(&mut self, parts: &[Part]) -> Result<(), Exceeded> {
        for part in parts {
            match part {
                Part::Author(range) => self.push(self.page.html.get(range.clone()).unwrap_or_default())?,
                Part::Text(index) => self.push(self.piece(*index))?,
                Part::Attribute(index) => self.push(self.source(*index))?,
                Part::Paragraph(inner) if self.needs_paragraph(inner) => {
                    self.push("<p>")?;
                    self.write(inner)?;
                    self.push("</p>")?;
                }
                Part::Paragraph(inner) => self.write(inner)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, html: &str) -> Result<(), Exceeded> {
        limits::within(Limit::Result, self.html.len().saturating_add(html.len()), limits::PAGE.result)?;
        self.html.push_str(html);
        Ok(())
    }

    fn source(&self, index: usize) -> &'a str {
        self.page.sources.get(index).map_or("", String::as_str)
    }

    fn piece(&self, index: usize) -> &'a str {
        match self.pieces.get(index) {
            Some(Piece::Html(html)) => html,
            Some(Piece::Source) | None => self.source(index),
        }
    }

    fn needs_paragraph(&self, inner: &[Part]) -> bool {
        let mut pieces = inner.iter().filter_map(|part| match part {
            Part::Text(index) => Some(self.piece(*index)),
            _ => None,
        });
        !pieces.clone().any(holds_block) && pieces.any(|piece| !piece.trim().is_empty())
    }
}

fn holds_block(html: &str) -> bool {
    let mut tokens = Tokens::new(html);
    std::iter::from_fn(|| tokens.next(false))
        .any(|token| matches!(token, Token::Start(tag) if tag.name.closes_paragraph()))
}

/// The content with a placeholder for each macro. In HTML the backslash that escapes one goes, as markdown's own
/// rules have it.
fn fill<'a>(content: &'a str, found: &syntax::Found, format: Format, word: &str) -> Cow<'a, str> {
    let mut gaps: Vec<(Range<usize>, String)> = Vec::new();
    let placeholder = |(index, call): (usize, &Macro)| (call.span.clone(), format!("{word}{index}z"));
    gaps.extend(found.macros.iter().enumerate().map(placeholder));
    if format == Format::Html {
        gaps.extend(found.escapes.iter().map(|at| (*at..at.saturating_add(1), String::new())));
        gaps.sort_by_key(|(range, _)| range.start);
    }
    if gaps.is_empty() {
        return Cow::Borrowed(content);
    }
    let mut filled = String::with_capacity(content.len());
    let mut at = 0;
    for (range, text) in gaps {
        filled.push_str(content.get(at..range.start).unwrap_or_default());
        filled.push_str(&text);
        at = range.end;
    }
    filled.push_str(content.get(at..).unwrap_or_default());
    Cow::Owned(filled)
}

/// The placeholders in a text: where each stands and which macro it is for.
fn placeholders<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (Range<usize>, usize)> + 'a {
    let finder = Finder::new(word.as_bytes()).into_owned();
    let mut from = 0_usize;
    std::iter::from_fn(move || {
        let start = from.saturating_add(finder.find(text.as_bytes().get(from..)?)?);
        let digits = text.get(start.saturating_add(word.len())..)?;
        let (index, _) = digits.split_once('z')?;
        from = start.saturating_add(word.len()).saturating_add(index.len()).saturating_add(1);
        Some((start..from, index.parse().ok()?))
    })
}

/// The text with the macros' sources back in their places: it turned out to be code.
fn restore(text: &str, word: &str, sources: &[&str]) -> Option<String> {
    let mut restored = String::new();
    let mut at = 0;
    for (range, index) in placeholders(text, word) {
        restored.push_str(text.get(at..range.start).unwrap_or_default());
        restored.push_str(sources.get(index).copied().unwrap_or_default());
        at = range.end;
    }
    (at > 0).then(|| restored + text.get(at..).unwrap_or_default())
}

/// A macro's source as text of the page. In HTML the author's character references stay what they are.
fn shown(source: &str, format: Format) -> String {
    match format {
        Format::Markdown => escape(source),
        Format::Html => escape(source).replace("&amp;", "&"),
    }
}

/// Cuts the cleaned page at its placeholders.
fn cut(html: &str, word: &str) -> Vec<Part> {
    if !html.contains(word) {
        return vec![Part::Author(0..html.len())];
    }
    let mut parts = Vec::new();
    let mut tokens = Tokens::new(html);
    // Where the paragraph began of which nothing but macros was seen yet.
    let mut paragraph = None;
    loop {
        let start = tokens.position();
        let Some(token) = tokens.next(false) else { break };
        let end = tokens.position();
        match token {
            Token::Start(tag) if tag.name == Name::P && tag.attributes == 0 => paragraph = Some(parts.len()),
            Token::Text(text) if paragraph.is_some() && is_lone(text, word) => {}
            Token::End(tag) if tag.name == Name::P && paragraph.is_some_and(|from| parts.len() > from.saturating_add(1)) => {
                let mut inner = parts.split_off(paragraph.take().unwrap_or(parts.len()));
                inner.remove(0);
                parts.push(Part::Paragraph(inner));
                continue;
            }
            _ => paragraph = None,
        }
        let in_text = matches!(token, Token::Text(_));
        split(html, start..end, word, in_text, &mut parts);
    }
    parts
}

/// Whether a text is placeholders and spaces only.
fn is_lone(text: &str, word: &str) -> bool {
    let mut at = 0;
    let blank = |range: Range<usize>| text.get(range).is_some_and(|between| between.trim().is_empty());
    let lone = placeholders(text, word).all(|(range, _)| blank(std::mem::replace(&mut at, range.end)..range.start));
    lone && at > 0 && blank(at..text.len())
}

fn split(html: &str, range: Range<usize>, word: &str, in_text: bool, parts: &mut Vec<Part>) {
    let start = range.start;
    let mut at = start;
    for (found, index) in placeholders(html.get(range.clone()).unwrap_or_default(), word) {
        let from = start.saturating_add(found.start);
        if from > at {
            parts.push(Part::Author(at..from));
        }
        parts.push(if in_text { Part::Text(index) } else { Part::Attribute(index) });
        at = start.saturating_add(found.end);
    }
    if range.end > at {
        parts.push(Part::Author(at..range.end));
    }
}

/// Notes where each macro stands; between tags wins over in a tag.
fn place(parts: &[Part], macros: &mut [Placed]) {
    for part in parts {
        match part {
            Part::Author(_) => {}
            Part::Paragraph(inner) => place(inner, macros),
            Part::Text(index) => macros.iter_mut().skip(*index).take(1).for_each(|placed| placed.place = Place::Text),
            Part::Attribute(index) => {
                let gone = macros.iter_mut().skip(*index).take(1).filter(|placed| placed.place == Place::Gone);
                gone.for_each(|placed| placed.place = Place::Misplaced);
            }
        }
    }
}

#[cfg(test)]
mod tests;
