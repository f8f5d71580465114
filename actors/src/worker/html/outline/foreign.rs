//! The rules for SVG and MathML: what stays in them, what breaks out, and where HTML may stand inside.

use super::super::names::Name;
use super::super::tokens::Tag;
use super::{Next, Open, Outline, Space};

impl Open<'_> {
    /// An element of MathML that holds text.
    pub(super) fn is_math_text(&self) -> bool {
        self.space == Space::Math
            && matches!(self.name, Name::Mi | Name::Mo | Name::Mn | Name::Ms | Name::Mtext)
    }

    /// An element of SVG that holds HTML.
    pub(super) fn is_svg_html(&self) -> bool {
        self.space == Space::Svg && matches!(self.name, Name::ForeignObject | Name::Desc | Name::Title)
    }
}

impl<'a> Outline<'a> {
    /// Whether a start tag is one for the rules of foreign content.
    pub(super) fn is_foreign_start(&self, tag: &Tag<'a>) -> bool {
        self.top(|top| match top.space {
            Space::Html => false,
            Space::Svg => !top.is_svg_html(),
            Space::Math if top.is_math_text() => matches!(tag.name, Name::Mglyph | Name::Malignmark),
            Space::Math if top.name == Name::AnnotationXml => tag.name != Name::Svg && !top.holds_html,
            Space::Math => true,
        })
    }

    /// Whether text is for the rules of foreign content.
    pub(super) fn is_foreign_text(&self) -> bool {
        self.top(|top| {
            top.space != Space::Html && !top.is_svg_html() && !top.is_math_text() && !top.holds_html
        })
    }

    /// Opens the outermost element of foreign content.
    pub(super) fn enter_foreign(&mut self, tag: &Tag<'a>, space: Space) -> Next {
        if tag.self_closing {
            self.create(tag);
        } else {
            self.push(tag, space);
        }
        Next::Done
    }

    pub(super) fn foreign_start(&mut self, tag: &Tag<'a>) -> Next {
        let styled = |name: &str| ["color", "face", "size"].iter().any(|own| name.eq_ignore_ascii_case(own));
        let font = tag.name == Name::Font && tag.attributes().any(|attribute| styled(attribute.name));
        if tag.name.leaves_foreign() || font {
            self.leave_foreign();
            return self.start_in(self.mode, tag);
        }
        let space = self.open.last().map_or(Space::Html, |top| top.space);
        self.enter_foreign(tag, space)
    }

    pub(super) fn foreign_end(&mut self, tag: &Tag<'a>) -> Next {
        if matches!(tag.name, Name::Br | Name::P) {
            self.leave_foreign();
            return self.end_in(self.mode, tag);
        }
        let inner = self.open.len().saturating_sub(1);
        let html = |at: usize, open: &Open<'a>| at != inner && open.space == Space::Html;
        let same = |open: &Open<'a>| open.name == tag.name && Tag::same_text(open.text, tag.text);
        let found =
            self.open.iter().enumerate().skip(1).rev().find(|(at, open)| html(*at, open) || same(open));
        match found.map(|(at, open)| (at, html(at, open))) {
            Some((_, true)) => self.end_in(self.mode, tag),
            Some((at, false)) => {
                self.truncate(at);
                Next::Done
            }
            None => Next::Done,
        }
    }

    fn leave_foreign(&mut self) {
        while self.top(|top| top.space != Space::Html && !top.is_math_text() && !top.is_svg_html()) {
            self.pop();
        }
    }

    /// Whether an `annotation-xml` says that it holds HTML.
    pub(super) fn says_html(&mut self, tag: &Tag<'a>) -> bool {
        if tag.name != Name::AnnotationXml {
            return false;
        }
        let encoding = tag.attributes().find(|attribute| attribute.name.eq_ignore_ascii_case("encoding"));
        let encoding = encoding.map_or("", |attribute| attribute.value);
        if encoding.contains('&') {
            self.tally.unclear = self.tally.unclear.saturating_add(1);
        }
        ["text/html", "application/xhtml+xml"].iter().any(|html| encoding.eq_ignore_ascii_case(html))
    }
}
