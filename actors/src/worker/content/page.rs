//! Renders a page around its macros: random words stand in their places while the author's text is rendered and
//! cleaned, and the macros' HTML is put there last, so that neither can reach into the other. Running the macros and
//! cleaning what they give is the caller's part.

mod places;
mod render;

use super::syntax::{self, Macro};
use super::{Error, Format};
use crate::worker::html::{self, Cleaner, Token, Tokens, escape, limits};
use limits::{Exceeded, Limit};
use places::{Part, Word};
use std::borrow::Cow;

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

impl Page {
    /// Finds the macros, renders the content and cleans it.
    ///
    /// # Errors
    ///
    /// [`Error`] when there are too many macros or the author's HTML is over [`limits::PAGE`].
    pub fn new(content: &str, format: Format, cleaner: &Cleaner) -> Result<Self, Error> {
        let found = syntax::scan(content, format)?;
        let word = Word::random();
        let filled = word.fill(content, &found, format);
        let sources: Vec<&str> =
            found.macros.iter().map(|call| content.get(call.span.clone()).unwrap_or_default()).collect();
        let rendered = match format {
            Format::Html => filled,
            Format::Markdown => {
                let restore = |text: &str| word.restore(text, &sources);
                Cow::Owned(render::render(&filled, restore, limits::PAGE.bytes)?)
            }
        };
        let html = html::clean_author(&rendered, cleaner)?.into_owned();
        let parts = word.cut(&html);
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

/// A macro's source as text of the page. In HTML the author's character references stay what they are.
fn shown(source: &str, format: Format) -> String {
    match format {
        Format::Markdown => escape(source),
        Format::Html => escape(source).replace("&amp;", "&"),
    }
}

/// Notes where each macro stands; between tags wins over in a tag.
fn place(parts: &[Part], macros: &mut [Placed]) {
    for part in parts {
        let (index, place) = match part {
            Part::Author(_) => continue,
            Part::Paragraph(inner) => {
                self::place(inner, macros);
                continue;
            }
            Part::Text(index) => (*index, Place::Text),
            Part::Attribute(index) => (*index, Place::Misplaced),
        };
        if let Some(placed) = macros.get_mut(index).filter(|placed| placed.place != Place::Text) {
            placed.place = place;
        }
    }
}

#[cfg(test)]
mod tests;
