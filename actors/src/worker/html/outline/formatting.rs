//! The list of active formatting elements: what is opened anew after a block cut it off, and the adoption agency
//! that sorts out misnested end tags. Which tags come here is decided by the rules of the body.

use super::super::names::Name;
use super::super::tokens::Tag;
use super::{Next, Open, Outline, Scope, Space};

/// Formatting tags with more attributes than this are not compared one by one.
const COMPARED_ATTRIBUTES: usize = 8;

/// An entry of the list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    /// What lies before it is out of reach: a table cell, a caption, an object began here.
    Marker,
    /// An element, open or not, and the tag that made it.
    Element { id: usize, tag: Tag<'a> },
}

impl Entry<'_> {
    fn is(&self, wanted: usize) -> bool {
        matches!(self, Self::Element { id, .. } if *id == wanted)
    }
}

impl<'a> Outline<'a> {
    pub(super) fn mark(&mut self) {
        self.formatting.push(Entry::Marker);
    }

    pub(super) fn clear_to_marker(&mut self) {
        let at = self.formatting.iter().rposition(|entry| matches!(entry, Entry::Marker));
        self.formatting.truncate(at.unwrap_or_default());
    }

    /// The entries after the last marker, innermost first, with their place.
    fn reachable(&self) -> impl Iterator<Item = (usize, usize, Tag<'a>)> + '_ {
        self.formatting.iter().enumerate().rev().map_while(|(at, entry)| match entry {
            Entry::Marker => None,
            Entry::Element { id, tag } => Some((at, *id, *tag)),
        })
    }

    fn listed(&self, id: usize) -> Option<usize> {
        self.formatting.iter().position(|entry| entry.is(id))
    }

    fn is_open(&self, id: usize) -> bool {
        self.open.iter().rev().any(|open| open.id == id)
    }

    /// Opens anew what was cut off.
    pub(super) fn reconstruct(&mut self) {
        let stays = |entry: &Entry<'a>| match entry {
            Entry::Marker => true,
            Entry::Element { id, .. } => self.is_open(*id),
        };
        let from = self.formatting.iter().rposition(stays).map_or(0, |at| at.saturating_add(1));
        for at in from..self.formatting.len() {
            let Some(Entry::Element { tag, .. }) = self.formatting.get(at).copied() else { return };
            let id = self.push(&tag, Space::Html);
            if let Some(entry) = self.formatting.get_mut(at) {
                *entry = Entry::Element { id, tag };
            }
        }
    }

    /// Opens a formatting element; the fourth of four equal ones pushes the first from the list.
    pub(super) fn insert_formatting(&mut self, tag: &Tag<'a>) -> Next {
        let (mut equal, mut unclear, mut first) = (0_usize, 0_usize, None);
        for (at, _, other) in self.reachable() {
            match same_tag(tag, &other) {
                Some(true) => (equal, first) = (equal.saturating_add(1), Some(at)),
                Some(false) => {}
                None => unclear = unclear.saturating_add(1),
            }
        }
        if equal.saturating_add(unclear) >= 3 {
            if unclear > 0 {
                self.tally.unclear = self.tally.unclear.saturating_add(1);
            }
            first.map(|at| self.formatting.remove(at));
        }
        let id = self.push(tag, Space::Html);
        self.formatting.push(Entry::Element { id, tag: *tag });
        Next::Done
    }

    /// A link in a link ends the outer one.
    pub(super) fn end_open_link(&mut self) {
        let found = self.reachable().find(|(_, _, tag)| tag.name == Name::A);
        let Some((_, id, tag)) = found else { return };
        self.adopt(&tag);
        if let Some(at) = self.listed(id) {
            self.formatting.remove(at);
        }
        self.remove(id);
    }

    /// The adoption agency: closes the formatting element of that name, and where a block stands open in it, splits
    /// it so that the block keeps its formatting.
    pub(super) fn adopt(&mut self, tag: &Tag<'a>) {
        let current = self.open.last().filter(|top| top.is(tag.name)).map(|top| top.id);
        if current.is_some_and(|id| self.listed(id).is_none()) {
            return self.pop();
        }
        for _ in 0..8 {
            let Some((listed, id, found)) = self.reachable().find(|(_, _, found)| found.name == tag.name)
            else {
                return self.close_generic(tag);
            };
            let Some(at) = self.open.iter().rposition(|open| open.id == id) else {
                self.formatting.remove(listed);
                return;
            };
            if !self.in_scope(Scope::Default, |open| open.id == id) {
                return;
            }
            let block = self.open.iter().enumerate().skip(at).find(|(_, open)| open.html(Name::is_special));
            let Some((block_at, block)) = block.map(|(at, open)| (at, *open)) else {
                self.truncate(at);
                self.formatting.remove(listed);
                return;
            };
            self.split(id, found, block_at, block.id);
        }
    }

    /// Moves the block at `block_at` out of the formatting element `id` and the formatting into the block.
    fn split(&mut self, id: usize, tag: Tag<'a>, block_at: usize, block: usize) {
        let mut after = None;
        let mut at = block_at;
        for round in 1.. {
            at = at.saturating_sub(1);
            let Some(node) = self.open.get(at).copied().filter(|node| node.id != id) else { break };
            match self.listed(node.id) {
                Some(listed) if round <= 3 => {
                    let fresh = self.copy(listed);
                    self.open.iter_mut().skip(at).take(1).for_each(|open| open.id = fresh);
                    after = after.or(Some(fresh));
                }
                listed => {
                    listed.map(|listed| self.formatting.remove(listed));
                    self.remove(node.id);
                }
            }
        }
        if self.fostering {
            self.tally.fostered = self.tally.fostered.saturating_add(1);
        }
        let fresh = self.create(&tag);
        if let Some(listed) = after.and_then(|after| self.listed(after)) {
            self.formatting.insert(listed.saturating_add(1), Entry::Element { id: fresh, tag });
            self.formatting.retain(|entry| !entry.is(id));
        } else if let Some(entry) = self.formatting.iter_mut().find(|entry| entry.is(id)) {
            *entry = Entry::Element { id: fresh, tag };
        }
        self.remove(id);
        let under = self.open.iter().position(|open| open.id == block).unwrap_or(self.open.len());
        let open = Open { name: tag.name, text: tag.text, space: Space::Html, id: fresh, holds_html: false };
        self.open.insert(self.open.len().min(under.saturating_add(1)), open);
    }

    /// A new element in the place of the listed one; answers its id.
    fn copy(&mut self, listed: usize) -> usize {
        let Some(Entry::Element { tag, .. }) = self.formatting.get(listed).copied() else { return 0 };
        let fresh = self.create(&tag);
        self.formatting
            .iter_mut()
            .skip(listed)
            .take(1)
            .for_each(|entry| *entry = Entry::Element { id: fresh, tag });
        fresh
    }
}

/// Whether two tags are equal to the parser, in whatever order their attributes stand; `None` where that takes
/// reading character references or too many attributes.
fn same_tag(a: &Tag<'_>, b: &Tag<'_>) -> Option<bool> {
    if a.name != b.name || (a.attributes == 0) != (b.attributes == 0) {
        return Some(false);
    }
    if a.attributes == 0 || a.inside == b.inside {
        return Some(true);
    }
    let plain = |tag: &Tag<'_>| {
        tag.attributes <= COMPARED_ATTRIBUTES
            && !tag.inside.bytes().any(|byte| matches!(byte, b'&' | b'\0' | b'\r'))
    };
    if !plain(a) || !plain(b) {
        return None;
    }
    fn first<'t>(tag: &Tag<'t>, name: &str) -> Option<&'t str> {
        tag.attributes().find(|attribute| attribute.name.eq_ignore_ascii_case(name)).map(|found| found.value)
    }
    let holds = |a: &Tag<'_>, b: &Tag<'_>| a.attributes().all(|own| first(a, own.name) == first(b, own.name));
    Some(holds(a, b) && holds(b, a))
}
