//! Where in content a macro may begin: not in code, not in tags, comments, scripts and styles. For markdown the
//! renderer's own parser says what is code.

use super::Stretches;
use crate::worker::html::{Content, Name, Tag, Token, Tokens};
use pulldown_cmark::{Event, Parser, Tag as Block, TagEnd};
use std::ops::Range;

/// The elements that hide macros, as far as they are open.
#[derive(Debug, Default)]
struct Hiding {
    code: usize,
    pre: usize,
    raw: usize,
}

impl Hiding {
    fn is_open(&self) -> bool {
        self.code > 0 || self.pre > 0 || self.raw > 0
    }

    fn count(&mut self, name: Name) -> Option<&mut usize> {
        match name {
            Name::Code => Some(&mut self.code),
            Name::Pre => Some(&mut self.pre),
            _ => raw(name).map(|_| &mut self.raw),
        }
    }

    fn open(&mut self, tag: &Tag<'_>) {
        if let Some(count) = self.count(tag.name) {
            *count = count.saturating_add(1);
        }
    }

    fn close(&mut self, tag: &Tag<'_>) {
        if let Some(count) = self.count(tag.name) {
            *count = count.saturating_sub(1);
        }
    }
}

/// What a browser takes the text in an element for, if not for ordinary content.
fn raw(name: Name) -> Option<Content> {
    use Name::*;
    match name {
        Script => Some(Content::Script),
        Plaintext => Some(Content::Plain),
        Iframe | Noembed | Noframes | Noscript | Style | Textarea | Title | Xmp => Some(Content::Raw(name)),
        _ => None,
    }
}

/// Stretches of HTML.
pub(super) struct Html<'a> {
    tokens: Tokens<'a>,
    hiding: Hiding,
}

impl<'a> Html<'a> {
    pub(super) fn new(content: &'a str) -> Self {
        Self { tokens: Tokens::new(content), hiding: Hiding::default() }
    }
}

impl Stretches for Html<'_> {
    fn next(&mut self, from: usize) -> Option<Range<usize>> {
        if from > self.tokens.position() {
            self.tokens.seek(from);
        }
        loop {
            let start = self.tokens.position();
            match self.tokens.next(false)? {
                Token::Text(_) if !self.hiding.is_open() => return Some(start..self.tokens.position()),
                Token::Start(tag) => {
                    self.hiding.open(&tag);
                    self.tokens.enter(raw(tag.name).unwrap_or(Content::Markup));
                }
                Token::End(tag) => self.hiding.close(&tag),
                Token::Text(_) | Token::Comment | Token::Nothing => {}
            }
        }
    }
}

/// Stretches of markdown.
pub(super) struct Markdown {
    stretches: std::vec::IntoIter<Range<usize>>,
}

impl Markdown {
    pub(super) fn new(content: &str, parser: Parser<'_>) -> Self {
        let mut shown = Shown::default();
        let mut in_block = false;
        for (event, range) in parser.into_offset_iter() {
            match event {
                Event::Code(_) | Event::Start(Block::CodeBlock(_)) => shown.hide(range),
                Event::Start(Block::HtmlBlock) => {
                    in_block = true;
                    shown.html(content, range);
                }
                Event::End(TagEnd::HtmlBlock) => in_block = false,
                Event::Html(_) | Event::InlineHtml(_) if !in_block => shown.html(content, range),
                _ => {}
            }
        }
        shown.hide(content.len()..content.len());
        Self { stretches: shown.stretches.into_iter() }
    }
}

impl Stretches for Markdown {
    fn next(&mut self, from: usize) -> Option<Range<usize>> {
        self.stretches.by_ref().find(|stretch| stretch.end > from)
    }
}

/// Gathers what is left between the hidden parts.
#[derive(Default)]
struct Shown {
    stretches: Vec<Range<usize>>,
    end: usize,
    hiding: Hiding,
}

impl Shown {
    fn hide(&mut self, range: Range<usize>) {
        if range.start > self.end && !self.hiding.is_open() {
            self.stretches.push(self.end..range.start);
        }
        self.end = self.end.max(range.end);
    }

    /// Goes through a piece of HTML: its tags and comments are hidden, and what stands in code.
    fn html(&mut self, content: &str, range: Range<usize>) {
        let start = range.start;
        let mut tokens = Tokens::new(content.get(range).unwrap_or_default());
        loop {
            let from = start.saturating_add(tokens.position());
            let Some(token) = tokens.next(false) else { break };
            let to = start.saturating_add(tokens.position());
            match token {
                Token::Text(_) => {}
                Token::Start(tag) => {
                    self.hide(from..to);
                    self.hiding.open(&tag);
                    tokens.enter(raw(tag.name).unwrap_or(Content::Markup));
                }
                Token::End(tag) => {
                    self.hide(from..to);
                    self.hiding.close(&tag);
                }
                Token::Comment | Token::Nothing => self.hide(from..to),
            }
        }
    }
}
