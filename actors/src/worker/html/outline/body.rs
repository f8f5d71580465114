//! The rules for tags in the body, which most other places fall back to. Tables have rules of their own in `table`.

use super::super::names::Name;
use super::super::tokens::Tag;
use super::{Mode, Next, Outline, Scope, Space};
use crate::worker::html::tokens::Content;

impl<'a> Outline<'a> {
    pub(super) fn body_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Html => self.add_to_root(tag),
            Body | Frameset => Next::Done,
            Base | Basefont | Bgsound | Link | Meta | Param | Source | Track => self.insert_void(tag),
            Noframes | Style | Script | Title | Iframe | Noembed | Noscript => self.insert_raw(tag),
            Textarea => {
                self.skip_line_feed = true;
                self.insert_raw(tag)
            }
            Template => self.open_template(tag),
            Area | Br | Embed | Img | Keygen | Wbr | Image => {
                self.reconstruct();
                self.insert_void(tag)
            }
            Input => {
                self.close_open(Scope::Default, Select);
                self.reconstruct();
                self.insert_void(tag)
            }
            Math | Svg => {
                self.reconstruct();
                self.enter_foreign(tag, if tag.name == Svg { Space::Svg } else { Space::Math })
            }
            A => {
                self.end_open_link();
                self.reconstruct();
                self.insert_formatting(tag)
            }
            Nobr => {
                self.reconstruct();
                if self.has(Scope::Default, Nobr) {
                    self.adopt(tag);
                    self.reconstruct();
                }
                self.insert_formatting(tag)
            }
            name if name.is_formatting() => {
                self.reconstruct();
                self.insert_formatting(tag)
            }
            name if name.is_table_part() => Next::Done,
            name if name.closes_paragraph() => self.block_start(tag),
            _ => self.inline_start(tag),
        }
    }

    /// The elements that cannot stand in a paragraph.
    fn block_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        if tag.name == Form && self.form.is_some() && !self.in_template() {
            return Next::Done;
        }
        if matches!(tag.name, Li | Dd | Dt) {
            self.close_item(tag.name);
        }
        self.close_paragraph();
        match tag.name {
            Hr => {
                if self.has(Scope::Default, Select) {
                    self.close_implied(Name::is_implied_end);
                }
                return self.insert_void(tag);
            }
            Xmp => {
                self.reconstruct();
                return self.insert_raw(tag);
            }
            name if name.is_heading() && self.top(|top| top.html(Name::is_heading)) => self.pop(),
            _ => {}
        }
        let id = self.push(tag, Space::Html);
        match tag.name {
            Pre | Listing => self.skip_line_feed = true,
            Form if !self.in_template() => self.form = Some(id),
            Table => self.mode = Mode::Table,
            Plaintext => return Next::Into(Content::Plain),
            _ => {}
        }
        Next::Done
    }

    /// The elements that stand in a line, and those that close what came before them in a list of their own.
    fn inline_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        let in_select = || self.has(Scope::Default, Select);
        match tag.name {
            Button if self.has(Scope::Default, Button) => {
                self.close_implied(Name::is_implied_end);
                self.close_named(Button);
            }
            Select if in_select() => {
                self.close_named(Select);
                return Next::Done;
            }
            Option | Optgroup if in_select() => {
                let stays = (tag.name == Option).then_some(Optgroup);
                self.close_implied(|name| name.is_implied_end() && Some(name) != stays);
            }
            Option | Optgroup if self.top_is(Option) => self.pop(),
            Rb | Rtc | Rp | Rt => {
                let stays = matches!(tag.name, Rp | Rt).then_some(Rtc);
                if self.has(Scope::Default, Ruby) {
                    self.close_implied(|name| name.is_implied_end() && Some(name) != stays);
                }
                return self.insert(tag);
            }
            _ => {}
        }
        self.reconstruct();
        if matches!(tag.name, Applet | Marquee | Object) {
            self.insert(tag);
            self.mark();
            return Next::Done;
        }
        self.insert(tag)
    }

    pub(super) fn body_end(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Template => return self.close_template(),
            Body | Html => {}
            Form => self.close_form(),
            P => {
                if !self.has(Scope::Button, P) {
                    self.insert_implied(P, "p");
                }
                self.close_paragraph();
            }
            Li | Dd | Dt => {
                let scope = if tag.name == Li { Scope::ListItem } else { Scope::Default };
                if self.has(scope, tag.name) {
                    self.close_implied(|name| name.is_implied_end() && name != tag.name);
                    self.close_named(tag.name);
                }
            }
            Br => {
                self.reconstruct();
                self.create_bare();
            }
            name if name.is_heading() => {
                if self.in_scope(Scope::Default, |open| open.html(Name::is_heading)) {
                    self.close_implied(Name::is_implied_end);
                    self.close_through(Name::is_heading);
                }
            }
            name if name.is_formatting() => self.adopt(tag),
            name if name.is_plain_block() || matches!(name, Button | Listing | Pre | Select) => {
                self.close_block(name);
            }
            Applet | Marquee | Object => {
                if self.close_block(tag.name) {
                    self.clear_to_marker();
                }
            }
            _ => self.close_generic(tag),
        }
        Next::Done
    }

    /// An end tag without rules of its own: closes its element, unless a block stands between.
    pub(super) fn close_generic(&mut self, tag: &Tag<'a>) {
        let same = |open: &super::Open<'a>| open.is(tag.name) && Tag::same_text(open.text, tag.text);
        let found = self.open.iter().rposition(|open| same(open) || open.html(Name::is_special));
        if let Some(at) = found.filter(|at| self.open.get(*at).is_some_and(same)) {
            self.truncate(at);
        }
    }

    fn close_block(&mut self, name: Name) -> bool {
        let found = self.has(Scope::Default, name);
        if found {
            self.close_implied(Name::is_implied_end);
            self.close_named(name);
        }
        found
    }

    fn close_open(&mut self, scope: Scope, name: Name) {
        if self.has(scope, name) {
            self.close_named(name);
        }
    }

    /// `li`, `dd` and `dt` end the one before them, but not through another list.
    fn close_item(&mut self, name: Name) {
        let closes = |own| match name {
            Name::Li => own == Name::Li,
            _ => matches!(own, Name::Dd | Name::Dt),
        };
        let ends = |own: Name| own.is_special() && !matches!(own, Name::Address | Name::Div | Name::P);
        let found = self.open.iter().rev().find(|open| open.html(closes) || open.html(ends));
        if let Some(own) = found.filter(|open| open.html(closes)).map(|open| open.name) {
            self.close_implied(|name| name.is_implied_end() && name != own);
            self.close_named(own);
        }
    }

    fn close_form(&mut self) {
        if self.in_template() {
            self.close_block(Name::Form);
            return;
        }
        let Some(id) = self.form.take() else { return };
        if self.in_scope(Scope::Default, |open| open.id == id) {
            self.close_implied(Name::is_implied_end);
            self.remove(id);
        }
    }

    /// A second `html` adds its attributes to the first, which takes the longer the more there are.
    fn add_to_root(&mut self, tag: &Tag<'a>) -> Next {
        if !self.in_template() {
            self.root_attributes = self.root_attributes.saturating_add(tag.attributes);
            self.tally.attributes = self.tally.attributes.saturating_add(self.root_attributes);
        }
        Next::Done
    }

    pub(super) fn open_template(&mut self, tag: &Tag<'a>) -> Next {
        self.mark();
        self.mode = Mode::Template;
        self.template_modes.push(Mode::Template);
        self.insert(tag)
    }

    pub(super) fn close_template(&mut self) -> Next {
        if self.in_template() {
            self.close_implied(|name| name.is_implied_end() || is_table_content(name));
            self.close_named(Name::Template);
            self.clear_to_marker();
            self.template_modes.pop();
            self.mode = self.mode_of_stack();
        }
        Next::Done
    }

    /// The first tag in a template decides how the rest is read.
    pub(super) fn template_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        let mode = match tag.name {
            Base | Basefont | Bgsound | Link | Meta | Noframes | Script | Style | Template | Title => {
                return self.body_start(tag);
            }
            Caption | Colgroup | Tbody | Tfoot | Thead => Mode::Table,
            Col => Mode::ColumnGroup,
            Tr => Mode::TableBody,
            Td | Th => Mode::Row,
            _ => Mode::Body,
        };
        self.template_modes.pop();
        self.template_modes.push(mode);
        Next::Again(mode)
    }
}

fn is_table_content(name: Name) -> bool {
    use Name::*;
    matches!(name, Caption | Colgroup | Tbody | Td | Tfoot | Th | Thead | Tr)
}
