//! How much HTML the parser is let near: a linear pass that follows the parser's stack and refuses what would take it
//! long or make it large. What a page may hold stands in `html`; this only counts.

mod vocabulary;

use super::names::Name;
use super::outline::{Outline, Tally};
use super::tokens::{Tag, Token, Tokens};
use std::fmt;
use vocabulary::Vocabulary;

/// The largest figures that are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Input, in bytes.
    pub bytes: usize,
    /// Elements open at a time.
    pub open: usize,
    /// Formatting elements (`b`, `a`, `code` …) open, or cut off and waiting to be opened anew, at a time.
    pub formatting: usize,
    /// Attributes of one tag.
    pub attributes: usize,
    /// Elements, attributes and comments in all, counting also those that the parser adds of itself. However high
    /// this is, no more than two for each byte of input, and 256, are let through: what costs much must be long.
    pub nodes: usize,
    /// Different names, over seven bytes long, of attributes and of elements that the parser has no rules for.
    pub names: usize,
    /// Character references, or what begins like one.
    pub references: usize,
    /// Nodes that may not stand in the table they stand in; the parser moves each in front of it.
    pub fostered: usize,
    /// Output, in bytes; already the start tags alone may not make more.
    pub result: usize,
}

impl Limits {
    /// How many nodes may be made of `html`.
    fn nodes_of(&self, html: &str) -> usize {
        self.nodes.min(html.len().saturating_mul(2).saturating_add(256))
    }

    /// Whether HTML that was surveyed is also within these limits when it is written as `cleaned`, with `added` attributes more,
    /// at most one in a tag that has room for it.
    pub(super) fn hold(&self, cleaned: &str, survey: &Survey, added: usize) -> bool {
        cleaned.len() <= self.result
            && survey.nodes.saturating_add(added) <= self.nodes_of(cleaned)
            && references(cleaned) <= self.references
    }
}

fn references(html: &str) -> usize {
    memchr::memchr_iter(b'&', html.as_bytes()).count()
}

/// For the HTML of one macro.
pub const MACRO: Limits = Limits {
    bytes: 256 * 1024,
    open: 64,
    formatting: 8,
    attributes: 64,
    nodes: 64 * 1024,
    names: 1024,
    references: 64 * 1024,
    fostered: 256,
    result: 1024 * 1024,
};

/// For the author's page.
pub const PAGE: Limits = Limits { bytes: 1024 * 1024, nodes: 128 * 1024, ..MACRO };

/// Which figure was too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::bytes`].
    Bytes,
    /// [`Limits::open`].
    Open,
    /// [`Limits::formatting`].
    Formatting,
    /// [`Limits::attributes`].
    Attributes,
    /// [`Limits::nodes`].
    Nodes,
    /// [`Limits::names`].
    Names,
    /// [`Limits::references`].
    References,
    /// [`Limits::fostered`].
    Fostered,
    /// [`Limits::result`].
    Result,
    /// Tags whose attributes decide how the rest is read and are written so that only a parser could tell (none is
    /// let through).
    Unclear,
    /// Open blocks of markdown times its lines.
    Steps,
    /// Cleanings after which the HTML would still be read differently from how it is written.
    Rounds,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Open => "open elements",
            Self::Formatting => "open formatting elements",
            Self::Attributes => "attributes in a tag",
            Self::Nodes => "nodes",
            Self::Names => "different names",
            Self::References => "character references",
            Self::Fostered => "misplaced nodes in tables",
            Self::Result => "bytes of result",
            Self::Unclear => "tags that cannot be read ahead",
            Self::Steps => "blocks times lines",
            Self::Rounds => "rounds of cleaning",
        })
    }
}

/// The HTML is larger or deeper than is let through. Holds no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("html over its limits: {found} {limit}, at most {allowed}")]
pub struct Exceeded {
    /// What there is too much of.
    pub limit: Limit,
    /// How much was found when the pass stopped; there may be more.
    pub found: usize,
    /// How much is let through.
    pub allowed: usize,
}

/// What the pass saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// The parser would read every tag as it stands, so that what it writes is what it read.
    pub(super) regular: bool,
    /// Elements that the parser would create.
    pub(super) elements: usize,
    /// Those, their attributes and comments.
    pub(super) nodes: usize,
}

/// Refuses HTML that is over its limits. Linear in the input: each tag costs at most a walk over the open elements,
/// which are bounded.
///
/// # Errors
///
/// [`Exceeded`] names the first limit that was passed.
pub fn check(html: &str, limits: &Limits) -> Result<(), Exceeded> {
    survey(html, limits).map(|_| ())
}

pub(super) fn survey(html: &str, limits: &Limits) -> Result<Survey, Exceeded> {
    survey_with(html, limits, |_, _| {})
}

/// The same; `see` is shown each token and where it ends.
pub(super) fn survey_with(
    html: &str,
    limits: &Limits,
    mut see: impl FnMut(&Token<'_>, usize),
) -> Result<Survey, Exceeded> {
    within(Limit::Bytes, html.len(), limits.bytes)?;
    within(Limit::References, references(html), limits.references)?;
    let limits = Limits { nodes: limits.nodes_of(html), ..*limits };
    let mut tokens = Tokens::new(html);
    let mut outline = Outline::new();
    let mut vocabulary = Vocabulary::new();
    let mut survey = Survey { regular: true, ..Survey::default() };
    while let Some(token) = tokens.next(outline.is_foreign()) {
        let before = (outline.depth(), outline.tally());
        let innermost = outline.innermost();
        if let Token::Start(tag) | Token::End(tag) = token {
            within(Limit::Attributes, tag.attributes, limits.attributes)?;
            note(&tag, &mut vocabulary);
            within(Limit::Names, vocabulary.count(), limits.names)?;
        }
        see(&token, tokens.position());
        let change = match token {
            Token::Start(tag) => {
                tokens.enter(outline.start(&tag));
                if tag.name.is_void() { Change::Void } else { Change::Opens }
            }
            Token::End(tag) => {
                outline.end(&tag);
                if innermost == Some((tag.name, tag.text)) { Change::Closes } else { Change::Other }
            }
            Token::Text(text) => {
                outline.text(text);
                Change::None
            }
            Token::Comment => {
                outline.comment();
                Change::Other
            }
            Token::Nothing => {
                outline.nothing();
                Change::Other
            }
        };
        survey.regular &= change.is_all(before, (outline.depth(), outline.tally()));
        bounded(&outline, &limits)?;
    }
    survey.regular &= outline.depth() == 0;
    survey.elements = outline.tally().elements;
    survey.nodes = nodes(outline.tally());
    Ok(survey)
}

fn note(tag: &Tag<'_>, vocabulary: &mut Vocabulary) {
    if tag.name == Name::Other {
        vocabulary.note(tag.text);
    }
    tag.attributes().for_each(|attribute| vocabulary.note(attribute.name));
}

fn nodes(tally: Tally) -> usize {
    tally.elements.saturating_add(tally.attributes).saturating_add(tally.comments)
}

fn bounded(outline: &Outline<'_>, limits: &Limits) -> Result<(), Exceeded> {
    let tally = outline.tally();
    within(Limit::Open, outline.depth(), limits.open)?;
    within(Limit::Formatting, outline.formatting(), limits.formatting)?;
    within(Limit::Nodes, nodes(tally), limits.nodes)?;
    within(Limit::Result, tally.written, limits.result)?;
    within(Limit::Fostered, tally.fostered, limits.fostered)?;
    within(Limit::Unclear, tally.unclear, 0)
}

/// Refuses `found` when it is more than `allowed`.
pub(crate) fn within(limit: Limit, found: usize, allowed: usize) -> Result<(), Exceeded> {
    if found > allowed { Err(Exceeded { limit, found, allowed }) } else { Ok(()) }
}

/// What a token does to the stack when it is read as it stands.
#[derive(Clone, Copy)]
enum Change {
    None,
    Void,
    Opens,
    Closes,
    Other,
}

impl Change {
    fn is_all(self, before: (usize, Tally), after: (usize, Tally)) -> bool {
        let (created, opened, closed) = match self {
            Self::None => (0, 0, 0),
            Self::Void => (1, 0, 0),
            Self::Opens => (1, 1, 0),
            Self::Closes => (0, 0, 1),
            Self::Other => return false,
        };
        let (depth, tally) = before;
        after.0.saturating_add(closed) == depth.saturating_add(opened)
            && after.1.elements == tally.elements.saturating_add(created)
            && after.1.closed == tally.closed.saturating_add(closed)
            && after.1.fostered == tally.fostered
    }
}

#[cfg(test)]
mod tests;
