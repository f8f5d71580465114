//! What the rules do with the stack of open elements: open, look up, close.

use super::super::names::Name;
use super::super::tokens::{Content, Tag};
use super::{Mode, Next, Open, Outline, Scope, Space};

impl<'a> Outline<'a> {
    pub(super) fn top_is(&self, name: Name) -> bool {
        self.top(|top| top.is(name))
    }

    pub(super) fn top(&self, class: impl Fn(&Open<'a>) -> bool) -> bool {
        self.open.last().is_some_and(class)
    }

    /// Creates an element without opening it; answers its id.
    pub(super) fn create(&mut self, tag: &Tag<'a>) -> usize {
        self.tally.attributes = self.tally.attributes.saturating_add(tag.attributes);
        self.tally.written =
            self.tally.written.saturating_add(tag.text.len()).saturating_add(tag.inside.len());
        self.create_bare()
    }

    /// Creates an element that no tag of its own asked for.
    pub(super) fn create_bare(&mut self) -> usize {
        self.tally.elements = self.tally.elements.saturating_add(1);
        if self.fostering && self.top(Open::is_table_outer) {
            self.tally.fostered = self.tally.fostered.saturating_add(1);
        }
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    pub(super) fn push(&mut self, tag: &Tag<'a>, space: Space) -> usize {
        let id = self.create(tag);
        let holds_html = space == Space::Math && self.says_html(tag);
        self.open.push(Open { name: tag.name, text: tag.text, space, id, holds_html });
        id
    }

    pub(super) fn insert(&mut self, tag: &Tag<'a>) -> Next {
        self.push(tag, Space::Html);
        Next::Done
    }

    pub(super) fn insert_void(&mut self, tag: &Tag<'a>) -> Next {
        self.create(tag);
        Next::Done
    }

    pub(super) fn insert_implied(&mut self, name: Name, text: &'static str) {
        let id = self.create_bare();
        self.open.push(Open { name, text, space: Space::Html, id, holds_html: false });
    }

    pub(super) fn insert_raw(&mut self, tag: &Tag<'a>) -> Next {
        self.push(tag, Space::Html);
        self.mode_before_text = self.mode;
        self.mode = Mode::Text;
        Next::Into(if tag.name == Name::Script { Content::Script } else { Content::Raw(tag.name) })
    }

    pub(super) fn pop(&mut self) {
        self.truncate(self.open.len().saturating_sub(1));
    }

    /// Keeps the outermost `length` elements; the root always stays.
    pub(super) fn truncate(&mut self, length: usize) {
        let length = length.max(1);
        self.tally.closed = self.tally.closed.saturating_add(self.open.len().saturating_sub(length));
        self.open.truncate(length);
    }

    pub(super) fn remove(&mut self, id: usize) {
        if let Some(at) = self.open.iter().rposition(|open| open.id == id) {
            self.open.remove(at);
            self.tally.closed = self.tally.closed.saturating_add(1);
        }
    }

    pub(super) fn in_scope(&self, scope: Scope, wanted: impl Fn(&Open<'a>) -> bool) -> bool {
        let found = self.open.iter().rev().find(|open| wanted(open) || scope.ends_at(open));
        found.is_some_and(wanted)
    }

    pub(super) fn has(&self, scope: Scope, name: Name) -> bool {
        self.in_scope(scope, |open| open.is(name))
    }

    pub(super) fn in_template(&self) -> bool {
        self.open.iter().any(|open| open.is(Name::Template))
    }

    pub(super) fn close_implied(&mut self, class: impl Fn(Name) -> bool) {
        while self.top(|top| top.html(&class)) {
            self.pop();
        }
    }

    /// Closes up to and with the innermost element of the class.
    pub(super) fn close_through(&mut self, class: impl Fn(Name) -> bool) {
        let at = self.open.iter().rposition(|open| open.html(&class));
        self.truncate(at.unwrap_or_default());
    }

    pub(super) fn close_named(&mut self, name: Name) {
        self.close_through(|own| own == name);
    }

    /// Closes until the innermost element is one of the class.
    pub(super) fn close_down_to(&mut self, class: impl Fn(Name) -> bool) {
        let at = self.open.iter().rposition(|open| open.html(&class));
        self.truncate(at.unwrap_or_default().saturating_add(1));
    }

    pub(super) fn close_paragraph(&mut self) {
        if self.has(Scope::Button, Name::P) {
            self.close_implied(|name| name.is_implied_end() && name != Name::P);
            self.close_named(Name::P);
        }
    }

    pub(super) fn foster(&mut self, rule: impl FnOnce(&mut Self) -> Next) -> Next {
        self.fostering = true;
        let next = rule(self);
        self.fostering = false;
        next
    }
}
